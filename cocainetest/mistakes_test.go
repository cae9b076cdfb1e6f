package cocainetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
)

// What a service of the test cannot do is told to its caller, and costs nobody else
// anything: the connection stays.
func TestMistakesOfAService(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	ctx := t.Context()
	rt.Service("mine", cocainetest.Methods{
		"func":   cocainetest.Answer(func() {}),
		"stream": cocainetest.Stream(1, make(chan int)),
		"panic":  cocainetest.Func(func(context.Context, *cocainetest.Call) (any, error) { panic("oh no") }),
		"bind": cocainetest.Func(func(_ context.Context, c *cocainetest.Call) (any, error) {
			var n int
			return n, c.Bind(&n)
		}),
		"dance": cocainetest.StreamFunc(func(ctx context.Context, _ *cocainetest.Call, ch *cocainetest.Channel) error {
			return ch.SendMessage(ctx, "dance")
		}),
		"good": cocainetest.Answer(7),
	})
	rt.Service("storage", nil)
	mine, storage := rt.Client().Service("mine"), rt.Client().Service("storage")
	if err := mine.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]string{
		"func":   "cannot encode func(): it is a function",
		"stream": "cannot encode chan int: it is a channel",
		"panic":  "internal error", // the log of the test has the rest
		"bind":   "cannot read argument 1 of bind",
		"dance":  `does not answer with "dance"`,
	} {
		_, err := cocaine.Collect(cocaine.Chunks[any](ctx, mine, method, "no number"))
		if _, ok := errors.AsType[*cocaine.Error](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", method, err, want)
		}
		if n, err := cocaine.Get[int](ctx, mine, "good"); n != 7 || err != nil {
			t.Errorf("after %s: %d, %v", method, n, err)
		}
	}
	for name, err := range map[string]error{
		"unknown method":       cocaine.Exec(ctx, mine, "better"),
		"unknown known method": cocaine.Exec(ctx, storage, "dance"),
	} {
		if !errors.Is(err, cocaine.ErrNoMethod) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
