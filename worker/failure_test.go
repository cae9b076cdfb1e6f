package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/worker"
)

// records are what a JSON log says, by message.
func (s *scene) records(message string) []map[string]any {
	s.t.Helper()
	var all []map[string]any
	for line := range strings.Lines(s.log.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatalf("%v: %s", err, line)
		}
		if r["msg"] == message {
			all = append(all, r)
		}
	}
	return all
}

// inJSON makes a scene's log one of JSON.
func inJSON(to *logtest.Buffer) func(*worker.Options) {
	return func(o *worker.Options) { o.Logger = slog.New(slog.NewJSONHandler(to, nil)) }
}

func TestNoHandler(t *testing.T) {
	s := play(t, func(w *worker.Worker) { worker.Handle(w, "greet", greet) })
	for i, event := range []string{"nobody", "", "greet2", "gree"} {
		channel := uint64(2 + i)
		s.ask(channel, event, "x")
		s.WantError(channel, 42, 200)
	}
	s.ask(9, "greet", "\x81\xa4name\xa3Ann")
	s.answer(9, "\x81\xa4text\xa9hello Ann")
	s.stop()
}

// A panic is in the log with what is needed to find it, and costs nobody else
// anything.
func TestHandlerPanic(t *testing.T) {
	log := new(logtest.Buffer)
	cause := cocaine.Errorf(cocaine.CategoryUser, 9, "inside")
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "value", func(context.Context, any) (any, error) { panic("oh no") })
		w.HandleStream("stream", func(context.Context, *worker.Stream) error { panic(cause) })
		w.HandleStream("echo", echo)
	}, inJSON(log))
	s.log = log
	s.Send(2, invoke, "echo") // another request, all the while
	s.Send(2, write, "x")
	s.Want(2, write, "x")
	trace := cocaine.Trace{ID: 0xabc, Span: 2, Parent: 3}
	for i, c := range []struct{ event, text string }{{"value", "panic: oh no"}, {"stream", "panic: inside [43, 9]"}} {
		channel := uint64(3 + i)
		s.SendHeaders(trace.Headers(), channel, invoke, c.event)
		s.Send(channel, write, "\xc0")
		s.Send(channel, closing)
		if text := s.WantError(channel, 42, 100); text != c.text {
			t.Errorf("%s: the error reads %q", c.event, text)
		}
	}
	s.Send(2, write, "y")
	s.Want(2, write, "y")
	s.Send(2, closing)
	s.Want(2, closing)
	s.stop()
	records := s.records("handler panicked")
	if len(records) != 2 {
		t.Fatalf("%d panics are in the log", len(records))
	}
	for i, event := range []string{"value", "stream"} {
		r := records[i]
		stack, _ := r["stack"].(string)
		if r["event"] != event || r["trace_id"] != "0000000000000abc" || r["channel"] != float64(3+i) || !strings.Contains(stack, "TestHandlerPanic.func") {
			t.Errorf("the log says %v", r)
		}
	}
	if records[0]["panic"] != "oh no" {
		t.Errorf("the panic was logged as %v", records[0]["panic"])
	}
}

// A handler that fails before it has read its input costs only its own request.
func TestPlainHandlerError(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("fail", func(context.Context, *worker.Stream) error { return errors.New("at once") })
		w.HandleStream("echo", echo)
	})
	s.Send(2, invoke, "echo")
	s.Send(3, invoke, "fail")
	if text := s.WantError(3, 42, 100); text != "at once" {
		t.Errorf("the error reads %q", text)
	}
	s.Send(3, write, "the chunk that always follows")
	s.Send(3, closing)
	s.Send(2, write, "x")
	s.Want(2, write, "x")
	s.Send(2, closing)
	s.Want(2, closing)
	s.stop()
}

// The return of a handler is the end of its answer, whatever its caller still does.
func TestAutoClose(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("forgetful", func(ctx context.Context, s *worker.Stream) error { return s.Send(ctx, []byte("x")) })
		w.HandleStream("silent", func(context.Context, *worker.Stream) error { return nil })
	})
	s.Send(2, invoke, "forgetful")
	s.Want(2, write, "x")
	s.Want(2, closing)
	s.Send(3, invoke, "silent")
	s.Want(3, closing)
	s.Send(2, write, "more")
	s.Send(2, closing)
	s.stop() // which waits for nothing
}

// Chunks of requests that are over, or never were, end nothing but themselves.
func TestStrayChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, func(w *worker.Worker) { worker.Handle(w, "greet", greet) })
		s.ask(5, "greet", "\x81\xa4name\xa3Ann")
		s.answer(5, "\x81\xa4text\xa9hello Ann")
		s.Send(5, write, "late")
		s.Send(5, closing)
		s.Send(5, fail, []any{5, 2}, "later")
		s.WantIdle()
		s.Send(4, write, "never opened")
		s.WantError(4, 7, 4)
		s.Send(4, write, "again") // answered once
		s.WantIdle()
		s.ask(6, "greet", "\x81\xa4name\xa3Bob")
		s.answer(6, "\x81\xa4text\xa9hello Bob")
		s.stop()
	})
}

// Recover shows middleware outside it a panic as an error.
func TestRecover(t *testing.T) {
	seen := make(chan error, 1)
	s := play(t, func(w *worker.Worker) {
		w.Use(func(next worker.Handler) worker.Handler {
			return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
				err := next.Serve(ctx, s)
				seen <- err
				return err
			})
		}, worker.Recover())
		worker.Handle(w, "value", func(context.Context, any) (any, error) { panic(context.Canceled) })
	})
	s.ask(2, "value", "\xc0")
	s.WantError(2, 42, 100)
	e, ok := errors.AsType[*cocaine.PanicError](await(t, seen, "the error"))
	if !ok || e.Value != context.Canceled || !strings.Contains(string(e.Stack), "TestRecover") || !errors.Is(e, context.Canceled) {
		t.Errorf("middleware saw %v", e)
	}
	s.stop()
}
