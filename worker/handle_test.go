package worker_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/worker"
)

func TestHandle(t *testing.T) {
	s := play(t, func(w *worker.Worker) { worker.Handle(w, "greet", greet) })
	s.ask(2, "greet", "\x81\xa4name\xa3Ann")
	s.answer(2, "\x81\xa4text\xa9hello Ann")
	s.ask(3, "greet", "\x81\xa4name\xa3Bob")
	s.answer(3, "\x81\xa4text\xa9hello Bob")
	s.stop()
}

func TestAnswerInKind(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "greet", greet)
		worker.Handle(w, "upper", func(_ context.Context, in []byte) ([]byte, error) { return []byte(strings.ToUpper(string(in))), nil })
	})
	content := func(v string) []hpack.Header { return []hpack.Header{{Name: "content-type", Value: v}} }
	s.SendHeaders(content("application/json"), 2, invoke, "greet")
	s.Send(2, write, `{"name":"Ann"}`)
	s.Send(2, closing)
	s.answer(2, `{"text":"hello Ann"}`)

	s.SendHeaders(content("application/msgpack"), 3, invoke, "greet")
	s.Send(3, write, "\x81\xa4name\xa3Ann")
	s.Send(3, closing)
	s.answer(3, "\x81\xa4text\xa9hello Ann")

	s.SendHeaders(content("application/octet-stream"), 4, invoke, "upper")
	s.Send(4, write, "shout")
	s.Send(4, closing)
	s.answer(4, "SHOUT")

	s.SendHeaders(content("text/html"), 5, invoke, "greet")
	s.Send(5, write, "<p>")
	s.Send(5, closing)
	s.WantError(5, 12, 22)
	s.stop()
}

// The handler starts with the first chunk; it need not wait for the end.
func TestHandlerStartsWithTheChunk(t *testing.T) {
	s := play(t, func(w *worker.Worker) { worker.Handle(w, "greet", greet) })
	s.Send(2, invoke, "greet")
	s.Send(2, write, "\x81\xa4name\xa3Ann")
	s.answer(2, "\x81\xa4text\xa9hello Ann")
	s.Send(2, write, "more")
	s.Send(2, closing)
	s.stop()
}

func TestNoInputIsTheZeroValue(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "echo", func(_ context.Context, in string) (string, error) { return "<" + in + ">", nil })
	})
	s.Send(2, invoke, "echo")
	s.Send(2, closing)
	s.answer(2, packed("<>"))
	s.ask(3, "echo", "")
	s.answer(3, packed("<>"))
	s.stop()
}

func TestHandlerError(t *testing.T) {
	var panicking error
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "greet", greet)
		worker.Handle(w, "fail", func(_ context.Context, how string) (string, error) {
			coded := cocaine.Errorf(cocaine.CategoryUser, 7, "no such user")
			switch how {
			case "coded":
				return "", coded
			case "wrapped":
				return "", fmt.Errorf("cannot greet: %w", coded)
			case "inner":
				return "", fmt.Errorf("cannot greet: %w", &cocaine.CallError{Service: "users", Method: "find", Err: coded})
			case "panic":
				panic("oh no")
			case "nil":
				return panicking.Error(), nil
			case "exit":
				runtime.Goexit()
			}
			return "", errors.New("plain")
		})
		worker.Handle(w, "func", func(context.Context, any) (func(), error) { return func() {}, nil })
		w.HandleStream("stream", func(context.Context, *worker.Stream) error { panic("in a stream") })
		w.HandleStream("exit", func(context.Context, *worker.Stream) error { runtime.Goexit(); return nil })
	})
	channel := uint64(1)
	for _, c := range []struct {
		event, chunk   string
		category, code int
		text           string
	}{
		{"greet", "\x80", 42, 100, "whom?"},
		{"greet", "\x93", 12, 22, `cannot read input of event "greet": cannot decode *worker_test.person: incomplete msgpack value`},
		{"nobody", "x", 42, 200, `there is no handler for event "nobody"`},
		{"fail", packed("coded"), 43, 7, "no such user"},
		{"fail", packed("wrapped"), 43, 7, "cannot greet: no such user"},
		{"fail", packed("inner"), 42, 100, "cannot greet: cannot call users.find: no such user [43, 7]"},
		{"fail", packed("plain"), 42, 100, "plain"},
		{"fail", packed("panic"), 42, 100, "panic: oh no"},
		{"fail", packed("nil"), 42, 100, "panic: runtime error: invalid memory address or nil pointer dereference"},
		{"fail", packed("exit"), 42, 100, "handler ended its goroutine"},
		{"stream", "x", 42, 100, "panic: in a stream"},
		{"exit", "x", 42, 100, "handler ended its goroutine"},
	} {
		channel++
		s.ask(channel, c.event, c.chunk)
		if text := s.WantError(channel, c.category, c.code); text != c.text {
			t.Errorf("%s %q: the error reads %q, want %q", c.event, c.chunk, text, c.text)
		}
	}
	s.ask(channel+1, "greet", "\x81\xa4name\xa3Ann") // the worker lives
	s.answer(channel+1, "\x81\xa4text\xa9hello Ann")
	s.stop()
}

func TestHandlerContext(t *testing.T) {
	type seen struct {
		event   string
		header  string
		left    time.Duration
		bounded bool
		trace   cocaine.Trace
		err     error
	}
	got := make(chan seen, 10)
	look := func(ctx context.Context) {
		deadline, ok := ctx.Deadline()
		got <- seen{worker.Event(ctx), worker.Headers(ctx).Get("x-my"), time.Until(deadline), ok, cocaine.TraceOf(ctx), ctx.Err()}
	}
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "value", func(ctx context.Context, _ any) (any, error) { look(ctx); return nil, nil })
		w.HandleStream("stream", func(ctx context.Context, s *worker.Stream) error {
			if s.Event() != worker.Event(ctx) || s.Headers().Get("x-my") != worker.Headers(ctx).Get("x-my") {
				t.Error("stream and context disagree")
			}
			look(context.WithValue(ctx, anyKey{}, 2)) // also through a context made of it
			return nil
		})
	})
	timeout := make([]byte, 8)
	binary.LittleEndian.PutUint64(timeout, 60_000)
	trace := cocaine.Trace{ID: 1, Span: 2, Parent: 3}
	hs := append(trace.Headers(), hpack.Header{Name: "x-my", Value: "v"}, hpack.Header{Name: "request_timeout", Value: string(timeout)})
	for i, event := range []string{"value", "stream"} {
		channel := uint64(2 + 2*i)
		s.SendHeaders(hs, channel, invoke, event)
		s.Send(channel, closing)
		v := await(t, got, "the handler")
		if v.event != event || v.header != "v" || !v.bounded || v.left > time.Minute || v.left < 30*time.Second || v.trace != trace || v.err != nil {
			t.Errorf("%s: got %+v", event, v)
		}
		s.Send(channel+1, invoke, event)
		s.Send(channel+1, closing)
		if v := await(t, got, "the handler"); v.event != event || v.header != "" || v.bounded || v.trace != (cocaine.Trace{}) {
			t.Errorf("%s without headers: got %+v", event, v)
		}
	}
	if worker.Headers(context.Background()) != nil || worker.Event(context.Background()) != "" {
		t.Error("a context of nobody's has a request")
	}
}

// obedient waits for the end of its context and tells why it came.
func obedient(why chan<- error) func(context.Context, string) (string, error) {
	return func(ctx context.Context, _ string) (string, error) {
		<-ctx.Done()
		why <- context.Cause(ctx)
		return "", ctx.Err()
	}
}

func TestClientGoes(t *testing.T) {
	why := make(chan error, 10)
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "wait", obedient(why))
		w.HandleStream("stream", func(ctx context.Context, s *worker.Stream) error {
			_, err := obedient(why)(ctx, "")
			if _, recv := s.Recv(context.Background()); !errors.Is(recv, &cocaine.Error{Category: 5, Code: 2}) {
				t.Errorf("Recv: %v", recv)
			}
			return err
		})
	})
	s.Send(2, invoke, "wait")
	s.Send(2, write, packed("x"))
	s.Send(2, fail, []any{5, 2}, "End of file")
	if err := await(t, why, "the end of the context"); !errors.Is(err, &cocaine.Error{Category: 5, Code: 2}) {
		t.Errorf("the cause is %v", err)
	}
	s.WantError(2, 42, 100)
	s.Send(3, invoke, "stream")
	s.Send(3, fail, []any{5, 2}, "End of file")
	await(t, why, "the end of the context")
	s.WantError(3, 42, 100)
	s.Send(4, invoke, "wait") // gone before it has sent anything
	s.Send(4, fail, []any{5, 2}, "End of file")
	s.WantError(4, 42, 100)
	if len(why) != 0 {
		t.Error("a handler ran for a caller that had gone")
	}
	s.stop()
}

func TestEngineGone(t *testing.T) {
	why, dead := make(chan error, 10), make(chan error, 10)
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "wait", obedient(why))
		w.HandleStream("recv", func(ctx context.Context, s *worker.Stream) error {
			_, err := s.Recv(context.Background())
			dead <- err
			dead <- s.Send(context.Background(), []byte("x"))
			dead <- s.CloseSend(ctx)
			return nil
		})
	})
	s.ask(2, "wait", packed("x")) // its receiving half is over
	s.Send(3, invoke, "wait")
	s.Send(3, write, packed("x"))
	s.Send(4, invoke, "recv")
	s.Send(5, invoke, "wait") // not begun
	s.Send(6, invoke, "nobody")
	s.WantError(6, 42, 200) // all have arrived
	s.Peer.Close()
	for range 2 {
		if err := await(t, why, "the end of a context"); !errors.Is(err, cocaine.ErrDisconnected) {
			t.Errorf("the cause is %v", err)
		}
	}
	for range 3 {
		if err := await(t, dead, "the stream"); !errors.Is(err, cocaine.ErrDisconnected) || errors.Is(err, io.EOF) {
			t.Errorf("the stream says %v", err)
		}
	}
	if err := s.end(); !errors.Is(err, cocaine.ErrDisconnected) {
		t.Errorf("Run returned %v", err)
	}
}

func TestBind(t *testing.T) {
	w, err := worker.New(worker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	worker.Handle(w, "a", greet)
	for _, again := range []func(){
		func() { worker.Handle(w, "a", greet) },
		func() { w.HandleStream("a", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a second handler was bound to an event")
				}
			}()
			again()
		}()
	}
	s := play(t, func(w *worker.Worker) {})
	defer func() {
		if recover() == nil {
			t.Error("a handler was bound to a running worker")
		}
		if err := s.worker.Run(context.Background()); err == nil {
			t.Error("a worker was run twice")
		}
	}()
	worker.Handle(s.worker, "late", greet)
}

func TestConcurrencyIsBounded(t *testing.T) {
	began, release := make(chan string, 10), make(chan struct{})
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "work", func(_ context.Context, in string) (string, error) {
			began <- in
			<-release
			return in, nil
		})
	}, func(o *worker.Options) { o.Concurrency = 2 })
	for i := range uint64(5) {
		s.ask(2+i, "work", packed("x"))
	}
	await(t, began, "the first")
	await(t, began, "the second")
	s.Send(9, invoke, "nobody")
	s.WantError(9, 42, 200)
	if len(began) != 0 {
		t.Error("a third handler runs")
	}
	for range 5 {
		release <- struct{}{}
		if f := s.Recv(); f.Type != write {
			t.Fatalf("got %v", f)
		}
		s.Recv() // its end
	}
	if len(began) != 3 {
		t.Errorf("%d handlers ran", 2+len(began))
	}
	s.stop()
}

func TestChunkTooLarge(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "value", func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
		w.HandleStream("stream", func(ctx context.Context, s *worker.Stream) error { return s.Send(ctx, make([]byte, 200)) })
	}, func(o *worker.Options) { o.MaxChunk = 100 })
	s.ask(2, "value", "\x14")
	s.answer(2, packed(strings.Repeat("x", 20)))
	s.ask(3, "value", "\xcc\xc8")
	s.WantError(3, 42, 100)
	s.ask(4, "stream", "")
	s.WantError(4, 42, 100)
	s.stop()
}

type anyKey struct{}
