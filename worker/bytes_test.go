package worker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cocaine/cocaine-go/worker"
)

func TestRequestRead(t *testing.T) {
	got := make(chan []string, 1)
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("e", func(ctx context.Context, s *worker.Stream) error {
			var all []string
			first, err := s.Recv(ctx)
			if err != nil {
				return err
			}
			all = append(all, string(first))
			for chunk, err := range s.All(ctx) { // the rest
				if err != nil {
					return err
				}
				all = append(all, string(chunk))
			}
			for range 2 {
				if _, err := s.Recv(ctx); err != io.EOF {
					t.Errorf("past the end: %v", err)
				}
			}
			got <- all
			return nil
		})
	})
	s.Send(2, invoke, "e")
	for _, chunk := range []string{"a", "", "b\xff\x00"} {
		s.Send(2, write, chunk)
	}
	s.Send(2, closing)
	s.Want(2, closing)
	if all := await(t, got, "the chunks"); strings.Join(all, "|") != "a||b\xff\x00" {
		t.Errorf("got %q", all)
	}
	s.stop()
}

// Peek waits and takes nothing, however often it is called.
func TestRequestPeek(t *testing.T) {
	waiting, got := make(chan struct{}, 1), make(chan error, 1)
	check := func(ctx context.Context, s *worker.Stream) error {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.Peek(ended); err != context.Canceled {
			t.Errorf("Peek with nothing there: %v", err)
		}
		if n := s.Buffered(); n != 0 {
			t.Errorf("%d chunks before the first", n)
		}
		waiting <- struct{}{}
		for range 3 {
			if chunk, err := s.Peek(ctx); string(chunk) != "a" || err != nil {
				t.Errorf("Peek: %q, %v", chunk, err)
			}
		}
		if n := s.Buffered(); n != 1 {
			t.Errorf("%d chunks wait, want 1", n)
		}
		waiting <- struct{}{}
		var all []string
		for chunk, err := range s.All(ctx) { // the first is still there
			if err != nil {
				return err
			}
			all = append(all, string(chunk))
			if len(all) == 2 {
				break
			}
		}
		for range 2 { // and so is what the loop has left
			if chunk, err := s.Peek(ctx); string(chunk) != "c" || err != nil {
				t.Errorf("Peek: %q, %v", chunk, err)
			}
		}
		chunk, err := s.Recv(ctx)
		if got := strings.Join(append(all, string(chunk)), "|"); got != "a|b|c" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		for range 2 {
			if _, err := s.Peek(ctx); err != io.EOF || s.Buffered() != 0 {
				t.Errorf("past the end: %v", err)
			}
		}
		return nil
	}
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("e", func(ctx context.Context, s *worker.Stream) error {
			err := check(ctx, s)
			got <- err
			return err
		})
	})
	s.Send(2, invoke, "e")
	await(t, waiting, "the handler")
	s.Send(2, write, "a")
	await(t, waiting, "the chunk to be seen")
	s.Send(2, write, "b")
	s.Send(2, write, "c")
	s.Send(2, closing)
	s.Want(2, closing)
	if err := await(t, got, "the handler"); err != nil {
		t.Error(err)
	}
	s.stop()
}

func TestRequestReader(t *testing.T) {
	text := strings.Repeat("0123456789", 10)
	failed := make(chan error, 1)
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("check", func(ctx context.Context, s *worker.Stream) error {
			return iotest.TestReader(s.Reader(ctx), []byte(text))
		})
		w.HandleStream("copy", func(ctx context.Context, s *worker.Stream) error {
			_, err := io.Copy(s.Writer(ctx), s.Reader(ctx))
			return err
		})
		w.HandleStream("fail", func(ctx context.Context, s *worker.Stream) error {
			_, err := io.ReadAll(s.Reader(ctx))
			failed <- err
			return nil
		})
		w.HandleStream("cancelled", func(ctx context.Context, s *worker.Stream) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			_, err := s.Reader(ctx).Read(make([]byte, 1))
			_, werr := s.Writer(ctx).Write([]byte("x"))
			failed <- errors.Join(err, werr)
			return nil
		})
	})
	for i, event := range []string{"check", "copy"} {
		channel := uint64(2 + i)
		s.Send(channel, invoke, event)
		s.Send(channel, write, "")
		s.Send(channel, write, text[:33])
		s.Send(channel, write, "")
		s.Send(channel, write, text[33:])
		s.Send(channel, closing)
	}
	answers := map[uint64]string{}
	for ends := 0; ends < 2; {
		switch f := s.Recv(); f.Type {
		case write:
			answers[f.Channel] += f.Values()[0].(string)
		case closing:
			ends++
		default:
			t.Fatalf("got %v", f)
		}
	}
	if answers[2] != "" || answers[3] != text {
		t.Errorf("got %q and %q", answers[2], answers[3])
	}
	s.Send(4, invoke, "fail")
	s.Send(4, write, "x")
	s.Send(4, fail, []any{43, 1}, "why")
	if _, ok := errors.AsType[*worker.RequestError](await(t, failed, "the error")); !ok {
		t.Error("the caller's error is lost")
	}
	s.Want(4, closing)
	s.Send(5, invoke, "cancelled")
	if err := await(t, failed, "the error"); !errors.Is(err, context.Canceled) || strings.Count(err.Error(), "canceled") != 2 {
		t.Errorf("got %v", err)
	}
	s.Want(5, closing)
	s.Send(5, closing)
	s.stop()
}

// What does not fit a chunk is sent as several.
func TestWriterSplits(t *testing.T) {
	const limit = 100
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("e", func(ctx context.Context, s *worker.Stream) error {
			out := s.Writer(ctx)
			if n, err := out.Write(nil); n != 0 || err != nil {
				t.Errorf("an empty write: %d, %v", n, err)
			}
			n, err := out.Write(bytes.Repeat([]byte("x"), 5*limit))
			if n != 5*limit {
				t.Errorf("%d bytes were written", n)
			}
			return err
		})
	}, func(o *worker.Options) { o.MaxChunk = limit })
	s.Send(2, invoke, "e")
	total := 0
	for {
		f := s.Recv()
		if f.Type != write {
			break
		}
		n := len(f.Values()[0].(string))
		if n == 0 || n > limit {
			t.Errorf("a chunk of %d bytes", n)
		}
		total += n
	}
	if total != 5*limit {
		t.Errorf("got %d bytes", total)
	}
	s.Send(2, closing)
	s.stop()
}

func TestWriteAfterClose(t *testing.T) {
	got := make(chan error, 10)
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("e", func(ctx context.Context, s *worker.Stream) error {
			if s.Closed() {
				t.Error("closed from the start")
			}
			got <- s.CloseSend(ctx)
			got <- s.CloseSend(ctx)
			if !s.Closed() {
				t.Error("Close left it open")
			}
			got <- s.Send(ctx, []byte("x"))
			got <- s.Encode(ctx, 5)
			_, err := s.Writer(ctx).Write([]byte("x"))
			got <- err
			got <- s.Fail(ctx, errors.New("too late"))
			return nil
		})
	})
	s.Send(2, invoke, "e")
	s.Want(2, closing)
	for i, want := range []error{nil, nil, io.ErrClosedPipe, io.ErrClosedPipe, io.ErrClosedPipe, nil} {
		if err := await(t, got, "the handler"); !errors.Is(err, want) {
			t.Errorf("step %d: %v, want %v", i, err, want)
		}
	}
	s.Send(2, closing)
	s.stop()
}

// An error is the end of the answer: nothing follows it.
func TestErrorThenChoke(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("e", func(ctx context.Context, s *worker.Stream) error {
			err := errors.Join(s.Send(ctx, []byte("x")), s.Fail(ctx, errors.New("why")), s.Fail(ctx, errors.New("again")), s.CloseSend(ctx))
			if err != nil || !s.Closed() {
				t.Errorf("got %v", err)
			}
			if err := s.Send(ctx, []byte("y")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("Send after Fail: %v", err)
			}
			defer func() {
				if recover() == nil {
					t.Error("a failure without an error")
				}
			}()
			return s.Fail(ctx, nil)
		})
	})
	s.Send(2, invoke, "e")
	s.Want(2, write, "x")
	if text := s.WantError(2, 42, 100); text != "why" {
		t.Errorf("the error reads %q", text)
	}
	s.Send(2, closing)
	s.stop() // nothing else has come
}

// The end of the caller's half, an error included, wakes a handler that waits.
func TestRequestErrorWakesReader(t *testing.T) {
	waiting, got := make(chan struct{}, 1), make(chan error, 1)
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("e", func(ctx context.Context, s *worker.Stream) error {
			waiting <- struct{}{}
			_, err := s.Recv(context.Background())
			got <- err
			return nil
		})
	})
	for i, end := range []func(channel uint64){
		func(channel uint64) { s.Send(channel, closing) },
		func(channel uint64) { s.Send(channel, fail, []any{43, 100}, "reason") },
	} {
		channel := uint64(2 + i)
		s.Send(channel, invoke, "e")
		await(t, waiting, "the handler")
		end(channel)
		err := await(t, got, "the end of Recv")
		e, ok := errors.AsType[*worker.RequestError](err)
		if i == 0 && err != io.EOF || i == 1 && (!ok || e.Err.Code != 100 || e.Err.Message != "reason") {
			t.Errorf("%d: got %v", i, err)
		}
		s.Want(channel, closing)
	}
	s.stop()
}
