package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// The tests here have a whole runtime in memory, in virtual time: what a worker's
// callers see of it.

// TestCallerGivesUp: the handler learns of it, and the worker goes on.
func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		causes := make(chan error, 1)
		rt.Worker("app", func(w *worker.Worker) {
			worker.Handle(w, "greet", greet)
			w.HandleStream("wait", func(ctx context.Context, _ *worker.Stream) error {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return ctx.Err()
			})
		})
		app := rt.Client().App("app")
		st, err := app.Enqueue(t.Context(), "wait")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		st.Close()
		if err := <-causes; !errors.Is(err, cocaine.Errorf(2, 125, "")) {
			t.Errorf("the caller gave up, and the handler's context ended because of %v", err)
		}
		if _, err := app.Enqueue(t.Context(), "wait"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		rt.Client().Close()
		if err := <-causes; !errors.Is(err, cocaine.Errorf(5, 2, "")) && !errors.Is(err, cocaine.Errorf(2, 104, "")) {
			t.Errorf("the caller went away, and the handler's context ended because of %v", err)
		}
		other := rt.NewClient(cocaine.Options{})
		if g, err := cocaine.Invoke[greeting](t.Context(), other.App("app"), "greet", person{"Ann"}); err != nil || g.Text != "hello Ann" {
			t.Errorf("the next caller gets %v, %v", g, err)
		}
	})
}

// TestStopFinishesRequests: a worker that is told to stop answers what it has, and
// has no more time for it than Options.Drain.
func TestStopFinishesRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		sleepy := func(w *worker.Worker) {
			worker.Handle(w, "sleep", func(ctx context.Context, d time.Duration) (string, error) {
				select {
				case <-time.After(d):
					return "rested", nil
				case <-ctx.Done():
					return "", context.Cause(ctx)
				}
			})
		}
		for _, c := range []struct {
			nap  time.Duration
			want error
		}{{5 * time.Second, nil}, {time.Hour, cocaine.Errorf(42, 100, "")}} {
			w := rt.Worker("app", sleepy)
			nap := cocaine.Go(t.Context(), func(ctx context.Context) (string, error) {
				return cocaine.Invoke[string](ctx, rt.Client().App("app"), "sleep", c.nap)
			})
			synctest.Wait()
			start := time.Now()
			if err := w.Stop(); err != nil {
				t.Errorf("Run returned %v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("stopping took %v", took)
			}
			if text, err := nap.Wait(t.Context()); (c.want == nil) != (text == "rested") || !errors.Is(err, c.want) {
				t.Errorf("a nap of %v: %q, %v", c.nap, text, err)
			}
		}
	})
}
