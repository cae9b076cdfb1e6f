package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// revoke is the control message by which the runtime says that a caller has given up.
const revoke = 65535

// TestRevokeEndsTheContext: the caller has said everything, and gives up: a handler of
// any kind learns of it as of the caller's error, at once, and nothing is amiss when it
// answers all the same.
func TestRevokeEndsTheContext(t *testing.T) {
	kinds := map[string]func(w *worker.Worker, f func(ctx context.Context)){
		"typed": func(w *worker.Worker, f func(ctx context.Context)) {
			worker.Handle(w, "event", func(ctx context.Context, _ any) (string, error) { f(ctx); return "late", nil })
		},
		"typed, with middleware": func(w *worker.Worker, f func(ctx context.Context)) {
			w.Use(func(next worker.Handler) worker.Handler {
				return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error { return next.Serve(ctx, s) })
			})
			worker.Handle(w, "event", func(ctx context.Context, _ any) (string, error) { f(ctx); return "late", nil })
		},
		"stream": func(w *worker.Worker, f func(ctx context.Context)) {
			w.HandleStream("event", func(ctx context.Context, s *worker.Stream) error { f(ctx); return context.Cause(ctx) })
		},
	}
	for name, bind := range kinds {
		t.Run(name, func(t *testing.T) {
			began, causes := make(chan struct{}, 1), make(chan error, 1)
			s := play(t, func(w *worker.Worker) {
				bind(w, func(ctx context.Context) {
					began <- struct{}{}
					<-ctx.Done()
					causes <- context.Cause(ctx)
				})
			})
			for i, c := range []struct {
				category, code int
				says           string
			}{
				{2, 125, "caller ended the request: caller gave up [2, 125]"},
				{5, 2, "caller ended the request: caller went away [5, 2]"},
				{2, 104, "caller ended the request: caller went away [2, 104]"},
				{43, 7, "caller ended the request: caller gave up [43, 7]"},
				{12, 110, context.DeadlineExceeded.Error()},
			} {
				channel := uint64(2 + 2*i)
				s.ask(channel, "event", packed("x"))
				await(t, began, "the handler")
				s.Send(channel+1, revoke, channel, []any{c.category, c.code})
				err := await(t, causes, "the end of the context")
				if err.Error() != c.says {
					t.Errorf("[%d, %d]: the context ended because of %v", c.category, c.code, err)
				}
				if e, ok := errors.AsType[*worker.RequestError](err); ok != (c.code != 110) || ok && !errors.Is(e, cocaine.Errorf(c.category, c.code, "")) {
					t.Errorf("[%d, %d]: the context ended because of %v", c.category, c.code, err)
				}
				for s.Recv().Type == write { // the answer, of whatever kind
				}
			}
			s.Send(100, revoke, 2, []any{2, 125}) // answered long ago
			s.Send(101, revoke, 77, []any{2, 125})
			s.Send(102, revoke, 9999, []any{2, 125})
			s.Send(103, revoke) // nonsense
			s.stop()
		})
	}
}

// TestRevokeBeforeItBegins: a request that waits for its turn is dropped; those around
// it are served.
func TestRevokeBeforeItBegins(t *testing.T) {
	began, goOn := make(chan struct{}, 10), make(chan struct{})
	var served atomic.Int64
	s := play(t, func(w *worker.Worker) {
		serve := func() { served.Add(1); began <- struct{}{}; <-goOn }
		worker.Handle(w, "typed", func(context.Context, any) (string, error) { serve(); return "done", nil })
		w.HandleStream("stream", func(ctx context.Context, s *worker.Stream) error { serve(); return s.Send(ctx, []byte("done")) })
	}, func(o *worker.Options) { o.Concurrency = 1 })
	s.ask(2, "typed", packed("x"))
	await(t, began, "the first")
	s.ask(3, "typed", packed("x"))
	s.ask(4, "stream", packed("x"))
	s.Send(5, revoke, 3, []any{2, 125})
	s.Send(6, revoke, 4, []any{2, 125})
	for range 2 {
		if f := s.Recv(); f.Type != fail || f.Channel != 3 && f.Channel != 4 {
			t.Errorf("a request that was dropped got %v", f)
		}
	}
	close(goOn)
	s.answer(2, packed("done"))
	if n := served.Load(); n != 1 {
		t.Errorf("%d handlers were called", n)
	}
	s.stop()
}

// TestRevokeOfAnOpenHalf: as the caller's error would, for a runtime that says it so.
func TestRevokeOfAnOpenHalf(t *testing.T) {
	causes := make(chan error, 1)
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "typed", func(context.Context, any) (string, error) { return "", errors.New("called") })
		w.HandleStream("stream", func(ctx context.Context, s *worker.Stream) error {
			if chunk, err := s.Recv(context.WithoutCancel(ctx)); string(chunk) != "x" || err != nil {
				t.Errorf("the chunk before it is %q, %v", chunk, err)
			}
			_, err := s.Recv(context.WithoutCancel(ctx))
			causes <- err
			return err
		})
	})
	s.Send(2, invoke, "typed")
	s.Send(3, revoke, 2, []any{2, 125})
	s.WantError(2, 42, 100)
	s.Send(4, invoke, "stream")
	s.Send(4, write, "x")
	s.Send(5, invoke, "nobody") // when it is answered, the stream has begun or is about to
	s.WantError(5, 42, 200)
	s.Send(6, revoke, 4, []any{2, 125})
	if f := s.Recv(); f.Channel != 4 || f.Type != fail {
		t.Errorf("got %v", f)
	}
	select {
	case err := <-causes:
		if !errors.Is(err, cocaine.Errorf(2, 125, "")) {
			t.Errorf("its input ended with %v", err)
		}
	default: // it had not begun
	}
	s.stop()
}

// TestRevokeRacesWithAnswers: whatever happens first, each request gets one end, and
// the worker is left with nothing.
func TestRevokeRacesWithAnswers(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "quick", func(ctx context.Context, in string) (string, error) { return in, ctx.Err() })
	})
	const n = 1000
	told := make(chan struct{})
	go func() {
		defer close(told)
		for i := range uint64(n) {
			s.ask(2+2*i, "quick", packed("x"))
			s.Send(3+2*i, revoke, 2+2*i, []any{2, 125})
		}
	}()
	ends := make(map[uint64]int)
	for len(ends) < n {
		if f := s.Recv(); f.Type != write {
			ends[f.Channel]++
		}
	}
	for channel, k := range ends {
		if k != 1 || channel%2 != 0 {
			t.Errorf("channel %d has %d ends", channel, k)
		}
	}
	<-told
	s.stop()
}

// TestInvokeGivenUp: over the fake runtime of cocainetest.
func TestInvokeGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		causes := make(chan error, 1)
		rt.Worker("app", func(w *worker.Worker) {
			worker.Handle(w, "wait", func(ctx context.Context, _ any) (any, error) {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return nil, ctx.Err()
			})
			worker.Handle(w, "second", func(ctx context.Context, i int) (any, error) {
				if i == 2 {
					<-ctx.Done()
					causes <- context.Cause(ctx)
				}
				return nil, ctx.Err()
			})
			w.HandleStream("tick", func(ctx context.Context, s *worker.Stream) error {
				for s.Encode(ctx, "tick") == nil {
				}
				causes <- context.Cause(ctx)
				return ctx.Err()
			})
		})
		gaveUp := cocaine.Errorf(2, 125, "")
		app := rt.Client().App("app")
		ctx, cancel := context.WithCancel(t.Context())
		call := cocaine.Go(t.Context(), func(context.Context) (any, error) { return cocaine.Invoke[any](ctx, app, "wait", nil) })
		synctest.Wait()
		cancel()
		if err := <-causes; !errors.Is(err, gaveUp) {
			t.Errorf("Invoke was given up, and the handler's context ended because of %v", err)
		}
		_, _ = call.Wait(t.Context())
		for range cocaine.InvokeStream[string](t.Context(), app, "tick", nil) {
			break
		}
		if err := <-causes; !errors.Is(err, gaveUp) {
			t.Errorf("the loop was left, and the handler's context ended because of %v", err)
		}
		for range cocaine.InvokeEach[any](t.Context(), app, "second", 2, func(yield func(int, error) bool) {
			for i := 1; yield(i, nil) && i < 2; i++ {
			}
		}) {
			synctest.Wait()
			break
		}
		if err := <-causes; !errors.Is(err, gaveUp) {
			t.Errorf("InvokeEach was given up, and the handler's context ended because of %v", err)
		}
		go func() { _, _ = cocaine.Invoke[any](t.Context(), app, "wait", nil) }()
		synctest.Wait()
		rt.Client().Close()
		if err := <-causes; !errors.Is(err, cocaine.Errorf(5, 2, "")) && !errors.Is(err, cocaine.Errorf(2, 104, "")) {
			t.Errorf("the client went, and the handler's context ended because of %v", err)
		}
	})
}
