package cocaine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// A caller that loses interest between two attempts learns why the first failed and
// why there was no second, of the call that it made.
func TestEndOfContextBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Worker("app", func(w *worker.Worker) {
			worker.Handle(w, "greet", func(context.Context, string) (string, error) { return "", cocaine.ErrQueueFull })
		})
		s := rt.Client().App("app").With(cocaine.CallOptions{
			Idempotent: true, Retry: &cocaine.RetryPolicy{Attempts: 2, Delay: time.Hour, MaxDelay: time.Hour},
		})
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		got := background(func() (string, error) { return cocaine.Invoke[string](ctx, s, "greet", "Ann") })
		synctest.Wait() // the first attempt has failed, the second is an hour away
		cause := errors.New("changed my mind")
		cancel(cause)
		_, err := (<-got).Get()
		for _, want := range []error{cause, context.Canceled, cocaine.ErrQueueFull} {
			if !errors.Is(err, want) {
				t.Errorf("%v is not %v", err, want)
			}
		}
		var call *cocaine.CallError
		if !errors.As(err, &call) || call.Method != "greet" || strings.Count(err.Error(), "cannot call") != 1 {
			t.Errorf("the call is named wrongly: %v", err)
		}
	})
}
