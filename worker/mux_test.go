package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/worker"
)

// says is a handler that names itself and the event.
func says(name string) worker.HandlerFunc {
	return func(ctx context.Context, s *worker.Stream) error {
		if s.Event() != worker.Event(ctx) {
			return errors.New("stream and context disagree")
		}
		return s.Send(ctx, fmt.Appendf(nil, "%s:%s", name, s.Event()))
	}
}

func TestDefaultHandler(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		w.HandleDefault(says("default"))
		w.HandlePrefix("user.", says("user"))
		w.HandlePrefix("user.admin.", says("admin"))
		w.Handle("user.get", says("exact"))
		w.HandlePrefix("values.", worker.Func(func(ctx context.Context, in string) (string, error) { return worker.Event(ctx) + in, nil }))
	})
	for i, c := range []struct{ event, want string }{
		{"", "default:"},
		{"user", "default:user"},
		{"user.", "user:user."},
		{"user.get", "exact:user.get"},
		{"user.gets", "user:user.gets"},
		{"user.admin.x", "admin:user.admin.x"},
		{"values.x", packed("values.x!")},
	} {
		channel := uint64(2 + i)
		s.ask(channel, c.event, packed("!"))
		s.answer(channel, c.want)
	}
	s.stop()
}

func TestBindTwice(t *testing.T) {
	w, err := worker.New(worker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Handle("e", says(""))
	w.HandlePrefix("p", says(""))
	w.HandleDefault(says(""))
	raw := worker.Raw(func(_ context.Context, chunk []byte) ([]byte, error) { return chunk, nil })
	for what, again := range map[string]func(){
		`event "e": there is a handler`:     func() { w.Handle("e", says("")) },
		`events "p*": there is a handler`:   func() { w.HandlePrefix("p", says("")) },
		`events "*": there is a handler`:    func() { w.HandleDefault(says("")) },
		`event "nil": the handler is nil`:   func() { w.Handle("nil", nil) },
		`handlers to 0 at once`:             func() { worker.Limit(0) },
		`the time of a handler to -1ns`:     func() { worker.Timeout(-1) },
		`event "fnil": the handler is nil`:  func() { w.HandleStream("fnil", nil) },
		`event "typed": the handler is nil`: func() { worker.Handle[int, int](w, "typed", nil) },
		`event "func": the handler is nil`:  func() { w.Handle("func", worker.HandlerFunc(nil)) },
		`event "http": the handler is nil`:  func() { w.Handle("http", worker.HTTP(nil)) },
		`event "fs": the handler is nil`:    func() { w.Handle("fs", worker.FileEvent(nil)) },
		`event "opt": an option is nil`:     func() { w.Handle("opt", raw, nil) },
		`use middleware: it is nil`:         func() { w.Use(worker.Recover(), nil) },
		`cannot use middleware: it is nil`:  func() { w.Handle("with", raw, worker.With(nil)) },
		`hook: the function is nil`:         func() { w.OnStart(nil) },
		`add hook: the function is nil`:     func() { w.OnStop(nil) },
		`"zero": the worker is not one of`:  func() { new(worker.Worker).Handle("zero", raw) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, what) {
					t.Errorf("want a panic about %s, got %s", what, text)
				}
			}()
			again()
		}()
	}
}

// A raw handler sees the chunk as it came, whatever the request says it is.
func TestHandleRaw(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		w.HandleRaw("e", func(_ context.Context, chunk []byte) ([]byte, error) {
			if string(chunk) == "fail" {
				return nil, cocaine.Errorf(cocaine.CategoryUser, 5, "asked to")
			}
			return append(chunk, '!'), nil
		})
	})
	s.ask(2, "e", "\xc1 is no msgpack")
	s.answer(2, "\xc1 is no msgpack!")
	s.SendHeaders([]hpack.Header{{Name: "content-type", Value: "text/html"}}, 3, invoke, "e")
	s.Send(3, write, "<p>")
	s.Send(3, closing)
	s.answer(3, "<p>!")
	s.Send(4, invoke, "e")
	s.Send(4, closing)
	s.answer(4, "!")
	s.ask(5, "e", "fail")
	s.WantError(5, 43, 5)
	s.stop()
}

// noting is middleware that writes down when it is passed.
func noting(name string, mu *sync.Mutex, notes *[]string) worker.Middleware {
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		*notes = append(*notes, name+what)
	}
	return func(next worker.Handler) worker.Handler {
		return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
			note("(")
			err := next.Serve(ctx, s)
			if err != nil {
				note("!")
			}
			note(")")
			return err
		})
	}
}

// Middleware works alike for handlers of every kind, in the order in which it was
// bound, and what its handler answers and fails with is what it would be without.
func TestMiddleware(t *testing.T) {
	var mu sync.Mutex
	var notes []string
	type key struct{}
	for _, wrapped := range []bool{false, true} {
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "typed", greet)
			if wrapped {
				w.Use(noting("a", &mu, &notes), func(next worker.Handler) worker.Handler {
					return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
						if s.Headers().Get("token") == "wrong" {
							return cocaine.Errorf(cocaine.CategoryUser, 401, "who are you?")
						}
						return next.Serve(context.WithValue(ctx, key{}, "seen"), s)
					})
				})
				w.Use(noting("b", &mu, &notes))
			}
			var opts []worker.HandleOption
			if wrapped {
				opts = append(opts, worker.With(noting("c", &mu, &notes), noting("d", &mu, &notes)))
			}
			worker.Handle(w, "value", func(ctx context.Context, _ any) (any, error) { return ctx.Value(key{}), nil })
			w.HandleStream("stream", echo)
			w.HandleRaw("raw", func(_ context.Context, in []byte) ([]byte, error) { return in, nil }, opts...)
			w.HandleDefault(says("default"))
		})
		passed := func(want string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(notes, ""); wrapped && got != want {
				t.Errorf("middleware was passed like %s, want %s", got, want)
			}
			notes = nil
		}
		s.ask(2, "typed", "\x81\xa4name\xa3Ann")
		s.answer(2, "\x81\xa4text\xa9hello Ann")
		passed("a(b(b)a)")
		s.ask(3, "typed", "\x80")
		s.WantError(3, 42, 100)
		passed("a(b(b!b)a!a)")
		s.ask(4, "typed", "\x93")
		s.WantError(4, 12, 22)
		passed("a(b(b!b)a!a)")
		s.Send(5, invoke, "typed")
		s.Send(5, closing)
		s.WantError(5, 42, 100)
		passed("a(b(b!b)a!a)")
		s.Send(6, invoke, "typed")
		s.Send(6, fail, []any{5, 2}, "gone")
		if text := s.WantError(6, 42, 100); text != "caller gave up before it had sent anything" {
			t.Errorf("the error reads %q", text)
		}
		passed("a(b(b!b)a!a)")
		s.SendHeaders([]hpack.Header{{Name: "content-type", Value: "text/html"}}, 7, invoke, "typed")
		s.Send(7, closing)
		s.WantError(7, 12, 22)
		passed("a(b(b!b)a!a)")
		s.ask(8, "raw", "\xc1")
		s.answer(8, "\xc1")
		passed("a(b(c(d(d)c)b)a)")
		s.Send(9, invoke, "stream")
		s.Send(9, write, "x")
		s.Want(9, write, "x")
		s.Send(9, closing)
		s.Want(9, closing)
		passed("a(b(b)a)")
		s.ask(10, "nobody", "x")
		s.answer(10, "default:nobody")
		passed("a(b(b)a)")
		s.ask(11, "value", "\xc0")
		if wrapped {
			s.answer(11, packed("seen"))
		} else {
			s.answer(11, "\xc0")
		}
		passed("a(b(b)a)")
		if wrapped {
			s.SendHeaders([]hpack.Header{{Name: "token", Value: "wrong"}}, 12, invoke, "typed")
			s.Send(12, write, "\x81\xa4name\xa3Ann")
			s.Send(12, closing)
			s.WantError(12, 43, 401)
			passed("a(a!a)")
		}
		s.stop()
	}
}

// What middleware does around a handler of one value, the caller sees in order.
func TestMiddlewareAndValues(t *testing.T) {
	after := func(f func(ctx context.Context, s *worker.Stream, next worker.Handler) error) worker.HandleOption {
		return worker.With(func(next worker.Handler) worker.Handler {
			return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
				if err := next.Serve(ctx, s); err != nil {
					return err
				}
				return f(ctx, s, next)
			})
		})
	}
	s := play(t, func(w *worker.Worker) {
		value := worker.Func(func(_ context.Context, in string) (string, error) { return "<" + in + ">", nil })
		w.Handle("more", value, after(func(ctx context.Context, s *worker.Stream, _ worker.Handler) error {
			return s.Send(ctx, []byte("more"))
		}))
		w.Handle("error", value, after(func(context.Context, *worker.Stream, worker.Handler) error { return errors.New("after all") }))
		w.Handle("fail", value, after(func(ctx context.Context, s *worker.Stream, _ worker.Handler) error {
			return s.Fail(ctx, errors.New("after all"))
		}))
		w.Handle("close", value, after(func(ctx context.Context, s *worker.Stream, _ worker.Handler) error { return s.CloseSend(ctx) }))
		w.Handle("twice", value, after(func(ctx context.Context, s *worker.Stream, next worker.Handler) error { return next.Serve(ctx, s) }))
		w.Handle("panic", value, after(func(context.Context, *worker.Stream, worker.Handler) error { panic("after all") }))
		w.Handle("closed", value, worker.With(func(next worker.Handler) worker.Handler {
			return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
				if err := s.CloseSend(ctx); err != nil {
					return err
				}
				if err := next.Serve(ctx, s); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("a value after the end: %v", err)
				}
				return nil
			})
		}))
	})
	channel := uint64(1)
	for event, want := range map[string][]string{
		"more": {packed("<x>"), "more"}, "twice": {packed("<x>"), packed("<>")}, "close": {packed("<x>")}, "closed": {},
		"error": nil, "fail": nil, "panic": nil,
	} {
		channel++
		s.ask(channel, event, packed("x"))
		if want == nil {
			s.WantError(channel, 42, 100)
			continue
		}
		for _, chunk := range want {
			s.Want(channel, write, chunk)
		}
		s.Want(channel, closing)
	}
	s.stop()
}

func TestMiddlewareIsBoundBeforeRun(t *testing.T) {
	s := play(t, func(*worker.Worker) {})
	for _, late := range []func(){
		func() { s.worker.Use(worker.Recover()) },
		func() { s.worker.OnStart(func(context.Context) error { return nil }) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a running worker was changed")
				}
			}()
			late()
		}()
	}
	s.stop()
}

// Limit holds up the requests of its event and no others.
func TestLimit(t *testing.T) {
	began, release := make(chan uint64, 10), make(chan struct{})
	slow := func(ctx context.Context, s *worker.Stream) error {
		began <- s.Channel()
		<-release
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		began, release = make(chan uint64, 10), make(chan struct{})
		s := play(t, func(w *worker.Worker) {
			w.HandleStream("slow", slow, worker.Limit(2))
			worker.Handle(w, "value", func(context.Context, any) (any, error) { began <- 0; <-release; return nil, nil }, worker.Limit(1))
			worker.Handle(w, "greet", greet)
		})
		for channel := range uint64(4) {
			s.Send(2+channel, invoke, "slow")
			s.Send(2+channel, closing)
		}
		for channel := range uint64(2) {
			s.ask(6+channel, "value", "\xc0")
		}
		s.ask(8, "greet", "\x81\xa4name\xa3Ann")
		s.answer(8, "\x81\xa4text\xa9hello Ann")
		synctest.Wait()
		if n := len(began); n != 3 {
			t.Errorf("%d handlers run, want 2 and 1", n)
		}
		// One that waits gives up when its caller does, or its caller's time is up.
		s.SendHeaders(cocaineTimeout("\xb8\x0b"), 9, invoke, "slow")
		start := time.Now()
		if text := s.WantError(9, 12, 110); !strings.Contains(text, "slow") || time.Since(start) != 3*time.Second {
			t.Errorf("the error reads %q, after %v", text, time.Since(start))
		}
		s.Send(9, closing)
		s.Send(10, invoke, "slow")
		synctest.Wait()
		s.Send(10, fail, []any{5, 2}, "gone")
		s.WantError(10, 5, 2)
		for range 6 {
			release <- struct{}{}
			synctest.Wait()
		}
		for range 4 + 2*2 {
			if f := s.Recv(); f.Type == fail {
				t.Errorf("got %v", f)
			}
		}
		if n := len(began); n != 6 {
			t.Errorf("%d handlers ran, want 6", n)
		}
		s.stop()
	})
}

// Requests that wait for a place when the worker stops are refused.
func TestLimitWhenStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, func(w *worker.Worker) {
			w.HandleStream("wait", func(ctx context.Context, s *worker.Stream) error { <-ctx.Done(); return nil }, worker.Limit(1))
		})
		s.Send(2, invoke, "wait")
		synctest.Wait()
		s.Send(3, invoke, "wait")
		synctest.Wait()
		s.Send(1, terminate, 11, "stop")
		for range 2 {
			f := s.Recv()
			if f.Channel == 2 && f.Type != closing || f.Channel == 3 && f.Type != fail {
				t.Errorf("got %v", f)
			}
		}
		s.Want(1, terminate, 11, "stop")
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
}

// The caller of a handler that takes too long is answered when the time is up, even
// if the handler does not care.
func TestTimeout(t *testing.T) {
	const limit = 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		why := make(chan error, 10)
		release := make(chan struct{})
		s := play(t, func(w *worker.Worker) {
			look := func(ctx context.Context) {
				at, ok := ctx.Deadline()
				<-ctx.Done()
				if !ok || !at.Equal(time.Now()) || ctx.Err() != context.DeadlineExceeded {
					t.Errorf("the deadline is %v, %v; the end is %v", at, ok, ctx.Err())
				}
				why <- context.Cause(ctx)
			}
			worker.Handle(w, "value", func(ctx context.Context, in string) (string, error) { look(ctx); return "late", nil }, worker.Timeout(limit))
			w.HandleStream("stream", func(ctx context.Context, s *worker.Stream) error {
				look(ctx)
				synctest.Wait()
				if err := s.Send(context.Background(), []byte("late")); err == nil || !s.Closed() {
					t.Errorf("a late chunk: %v", err)
				}
				return ctx.Err()
			}, worker.Timeout(limit))
			worker.Handle(w, "stubborn", func(context.Context, any) (any, error) { <-release; return 1, nil }, worker.Timeout(limit), worker.Limit(1))
			worker.Handle(w, "quick", greet, worker.Timeout(limit))
		})
		s.ask(2, "quick", "\x81\xa4name\xa3Ann")
		s.answer(2, "\x81\xa4text\xa9hello Ann")
		for i, event := range []string{"value", "stream", "stubborn"} {
			channel := uint64(3 + i)
			start := time.Now()
			s.ask(channel, event, packed("x"))
			text := s.WantError(channel, 12, 110)
			if took := time.Since(start); took != limit || text != fmt.Sprintf("handler of event %q took longer than 5s", event) {
				t.Errorf("%s: %q after %v", event, text, took)
			}
			if event != "stubborn" {
				if cause := <-why; cause != worker.ErrTimeout {
					t.Errorf("%s: the cause is %v", event, cause)
				}
			}
		}
		// The caller's own deadline comes first.
		s.SendHeaders(cocaineTimeout("\xb8\x0b"), 6, invoke, "value")
		s.Send(6, closing)
		s.answer(6, packed("late"))
		if cause := <-why; cause != context.DeadlineExceeded {
			t.Errorf("the cause is %v", cause)
		}
		// The stubborn one keeps its place, and the time of the next begins later.
		s.ask(7, "stubborn", packed("x"))
		time.Sleep(2 * limit)
		synctest.Wait()
		close(release)
		s.answer(7, "\x01")
		s.stop()
	})
}

// A handler that is bound is not called for that.
func TestBindingCallsNothing(t *testing.T) {
	w, err := worker.New(worker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	called := func() { t.Error("a handler was called") }
	w.Use(func(next worker.Handler) worker.Handler { called(); return next })
	worker.Handle(w, "typed", func(context.Context, any) (any, error) { called(); return nil, nil })
	w.HandleRaw("raw", func(context.Context, []byte) ([]byte, error) { called(); return nil, nil })
	w.HandleStream("stream", func(context.Context, *worker.Stream) error { called(); return nil })
	w.HandleDefault(worker.HandlerFunc(func(context.Context, *worker.Stream) error { called(); return nil }))
	w.Handle("http", worker.HTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called() })))
	w.Handle("fs", worker.FileEvent(func(context.Context, worker.FileInfo) error { called(); return nil }))
	w.OnStart(func(context.Context) error { called(); return nil })
}
