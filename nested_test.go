package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
)

// TestNestedCalls: a step of a sequence makes calls of its own, takes as many of
// their answers as it likes, one past the end included, and goes on with another
// service; what it has taken from the first stays.
func TestNestedCalls(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	rt.Service("numbers", cocainetest.Methods{"upto": cocainetest.Stream(1, 2, 3)})
	pairs := rt.Service("pairs", cocainetest.Methods{
		"of": cocainetest.StreamFunc(func(ctx context.Context, c *cocainetest.Call, ch *cocainetest.Channel) error {
			var n int
			if err := c.Bind(&n); err != nil {
				return err
			}
			if n == 2 {
				return cocaine.Errorf(cocaine.CategoryUser, 2, "two is one too many")
			}
			if err := ch.Send(ctx, 10*n); err != nil {
				return err
			}
			return ch.Send(ctx, 10*n+1)
		}),
	})
	rt.Service("names", cocainetest.Methods{"name": cocainetest.Func(func(_ context.Context, c *cocainetest.Call) (any, error) {
		var n int
		err := c.Bind(&n)
		return fmt.Sprintf("<%d>", n), err
	})})
	ctx, client := patient(t), rt.Client()

	step := func(n int) (string, error) {
		s, err := client.Service("pairs").Call(ctx, "of", n)
		if err != nil {
			return "", err
		}
		defer s.Close()
		var first, second int
		if err := s.Decode(ctx, &first); err != nil {
			return "", err
		}
		if err := s.Decode(ctx, &second); err != nil {
			return "", err
		}
		for range 2 {
			if _, err := s.Recv(ctx); err != io.EOF {
				t.Errorf("past the end of %d: %v", n, err)
			}
		}
		name, err := cocaine.Get[string](ctx, client.Service("names"), "name", second)
		return fmt.Sprint(first, name), err
	}
	seq := cocaine.Map(cocaine.Chunks[int](ctx, client.Service("numbers"), "upto"), step)
	var got []string
	for text, err := range seq {
		if e, ok := errors.AsType[*cocaine.Error](err); ok {
			text = e.Message
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, text)
	}
	if want := "[10<11> two is one too many 30<31>]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := len(pairs.Calls()); n != 3 {
		t.Errorf("%d calls of pairs", n)
	}
}
