package cocaine_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// The tests here have a whole runtime in memory, in virtual time: client, locator,
// services and workers.

// TestDeadlineReachesTheHandler: what the caller's context has, the handler's has too, less
// nothing.
func TestDeadlineReachesTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Worker("app", func(w *worker.Worker) {
			worker.Handle(w, "left", func(ctx context.Context, _ any) (time.Duration, error) {
				deadline, ok := ctx.Deadline()
				if !ok {
					return 0, errors.New("there is no deadline")
				}
				return time.Until(deadline), nil
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute)
		defer cancel()
		got, err := cocaine.Invoke[time.Duration](ctx, rt.Client().App("app"), "left", nil)
		if err != nil || got != 90*time.Minute {
			t.Errorf("the handler has %v left, %v", got, err)
		}
		if _, err := cocaine.Invoke[time.Duration](t.Context(), rt.Client().App("app"), "left", nil); err == nil {
			t.Error("without a deadline the handler has one")
		}
	})
}

// TestSlowServiceOutlivesDialTimeout: connecting is bounded by DialTimeout, a call by
// its context alone.
func TestSlowServiceOutlivesDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		s := rt.Service("slow", cocainetest.Methods{"items": cocainetest.Stream("late", cocainetest.Every(24*time.Hour))})
		client := rt.NewClient(cocaine.Options{DialTimeout: time.Second})
		if v, err := cocaine.Get[string](t.Context(), client.Service("slow"), "items"); v != "late" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		s.SetFaults(cocainetest.Delay(time.Hour)) // connecting is not what takes the time
		s.Drop()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := cocaine.Get[string](ctx, client.Service("slow"), "items"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// TestReconnectBacksOff: while nobody listens, a service is not dialed for every call.
func TestReconnectBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		s := rt.Service("mine", cocainetest.Methods{"get": cocainetest.Answer(1)})
		s.Down()
		for start := time.Now(); time.Since(start) < time.Minute; {
			if _, err := cocaine.Get[int](t.Context(), rt.Client().Service("mine"), "get"); err == nil {
				t.Fatal("it answers")
			}
		}
		if n := s.Dials(); n < 30 || n > 200 { // one a second or two, in the end
			t.Errorf("it was dialed %d times in a minute", n)
		}
		s.Up()
		if _, err := cocaine.Get[int](t.Context(), rt.Client().Service("mine"), "get"); err != nil {
			t.Errorf("it is up: %v", err)
		}
	})
}

// TestStreamThroughWorker: both directions are open at once, and end independently.
func TestStreamThroughWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Worker("app", func(w *worker.Worker) {
			w.HandleStream("echo", func(ctx context.Context, s *worker.Stream) error {
				for chunk, err := range s.All(ctx) {
					if err != nil {
						return err
					}
					if err := s.Send(ctx, chunk); err != nil {
						return err
					}
				}
				return s.Send(ctx, []byte("bye"))
			})
		})
		ctx := t.Context()
		st, err := rt.Client().App("app").Enqueue(ctx, "echo")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		for _, text := range []string{"one", "two"} {
			if err := st.Send(ctx, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if chunk, err := st.Recv(ctx); err != nil || string(chunk) != text {
				t.Errorf("got %q, %v", chunk, err)
			}
			time.Sleep(time.Hour) // heartbeats keep the worker
		}
		if err := st.CloseSend(ctx); err != nil {
			t.Fatal(err)
		}
		if chunk, err := st.Recv(ctx); err != nil || string(chunk) != "bye" {
			t.Errorf("got %q, %v", chunk, err)
		}
		if _, err := st.Recv(ctx); err != io.EOF {
			t.Errorf("got %v", err)
		}
	})
}

// TestLocatorComesBack: a client that was made before its runtime finds it later.
func TestLocatorComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Service("mine", cocainetest.Methods{"get": cocainetest.Answer(1)})
		rt.Locator().Down()
		for range 5 {
			if _, err := cocaine.Get[int](t.Context(), rt.Client().Service("mine"), "get"); err == nil {
				t.Fatal("it was found")
			}
		}
		rt.Locator().Up()
		if v, err := cocaine.Get[int](t.Context(), rt.Client().Service("mine"), "get"); v != 1 || err != nil {
			t.Errorf("got %v, %v", v, err)
		}
	})
}
