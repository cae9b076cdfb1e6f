package worker_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/worker"
)

func echo(ctx context.Context, s *worker.Stream) error {
	for chunk, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		if err := s.Send(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func TestStream(t *testing.T) {
	s := play(t, func(w *worker.Worker) { w.HandleStream("echo", echo) })
	s.Send(2, invoke, "echo")
	for _, chunk := range []string{"one", "", strings.Repeat("x", 100_000)} {
		s.Send(2, write, chunk)
		s.Want(2, write, chunk)
	}
	s.Send(2, closing)
	s.Want(2, closing)
	s.stop()
}

func TestStreamsInterleave(t *testing.T) {
	s := play(t, func(w *worker.Worker) { w.HandleStream("echo", echo) })
	s.Send(2, invoke, "echo")
	s.Send(3, invoke, "echo")
	s.Send(3, write, "b")
	s.Want(3, write, "b")
	s.Send(2, write, "a")
	s.Want(2, write, "a")
	s.Send(2, closing)
	s.Want(2, closing)
	s.Send(3, closing)
	s.Want(3, closing)
	s.stop()
}

func TestStreamValues(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("greet", func(ctx context.Context, s *worker.Stream) error {
			for {
				var p person
				err := s.Decode(ctx, &p)
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				if err := s.Encode(ctx, greeting{"hello " + p.Name}); err != nil {
					return err
				}
			}
		})
	})
	s.Send(2, invoke, "greet")
	s.Send(2, write, "\x81\xa4name\xa3Ann")
	s.Want(2, write, "\x81\xa4text\xa9hello Ann")
	s.Send(2, write, "\xc1")
	s.WantError(2, 42, 100)
	s.Send(2, write, "late")
	s.Send(2, closing)
	json := []hpack.Header{{Name: "content-type", Value: "application/json"}}
	s.SendHeaders(json, 3, invoke, "greet")
	s.Send(3, write, `{"name":"Bob"}`)
	s.Want(3, write, `{"text":"hello Bob"}`)
	s.Send(3, closing)
	s.Want(3, closing)
	s.stop()
}

func TestStreamEnds(t *testing.T) {
	checked := make(chan struct{}, 10)
	var kept *worker.Stream
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("close", func(ctx context.Context, s *worker.Stream) error {
			if err := errors.Join(s.Send(ctx, []byte("x")), s.CloseSend(ctx), s.CloseSend(ctx)); err != nil {
				t.Error(err)
			}
			if err := s.Send(ctx, []byte("y")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("Send after Close: %v", err)
			}
			for range 2 {
				if _, err := s.Recv(ctx); err != io.EOF { // receiving goes on
					t.Errorf("Recv: %v", err)
				}
			}
			checked <- struct{}{}
			return errors.New("too late to tell")
		})
		w.HandleStream("error", func(ctx context.Context, s *worker.Stream) error {
			for range 2 {
				if _, err := s.Recv(ctx); !errors.Is(err, &cocaine.Error{Category: 1, Code: 2}) {
					t.Errorf("Recv: %v", err)
				}
			}
			if context.Cause(ctx) == nil {
				t.Error("the context lives on")
			}
			kept = s
			return nil
		})
	})
	s.Send(2, invoke, "close")
	s.Want(2, write, "x")
	s.Want(2, closing)
	s.Send(2, closing)
	await(t, checked, "the handler")
	s.Send(3, invoke, "error")
	s.Send(3, fail, []any{1, 2}, "why")
	s.Want(3, closing)
	if err := kept.Send(context.Background(), []byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Send after the handler's return: %v", err)
	}
	s.stop()
}

func TestRequestReadTimeout(t *testing.T) {
	ready := make(chan struct{})
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("e", func(ctx context.Context, s *worker.Stream) error {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			if _, err := s.Recv(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if err := s.Send(short, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			ready <- struct{}{}
			return echo(ctx, s)
		})
	})
	s.Send(2, invoke, "e")
	await(t, ready, "the handler")
	s.Send(2, write, "kept")
	s.Want(2, write, "kept")
	s.Send(2, closing)
	s.Want(2, closing)
	s.stop()
}

func TestBadFrames(t *testing.T) {
	s := play(t, func(w *worker.Worker) {
		w.HandleStream("echo", echo)
		worker.Handle(w, "greet", greet)
	})
	s.Send(2, 7, "x") // no invoke
	s.WantError(2, 7, 5)
	s.Send(3, invoke) // no event
	s.WantError(3, 7, 2)
	s.Send(4, invoke, 5)
	s.WantError(4, 7, 2)
	for i, event := range []string{"echo", "greet"} {
		channel := uint64(5 + 2*i)
		s.Send(channel, invoke, event)
		s.Send(channel, write, 5) // no chunk
		s.WantError(channel, 7, 2)
		s.Send(channel, closing)
		s.Send(channel+1, invoke, event)
		s.Send(channel+1, 9) // no message
		s.Send(channel+1, fail, "no code")
		if f := s.Recv(); f.Channel != channel+1 || f.Type != fail {
			t.Errorf("got %v", f)
		}
	}
	s.stop()
}

// A caller that sends more than its handler reads is held up, and not without end:
// the other requests and the heart of the worker wait with it.
func TestHandlerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := make(chan struct{})
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "greet", greet)
			w.HandleStream("asleep", func(ctx context.Context, s *worker.Stream) error {
				start := time.Now()
				<-began
				<-ctx.Done()
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("it was given up after %v", took)
				}
				_, err := s.Recv(context.Background())
				return err
			})
		})
		s.Send(2, invoke, "asleep")
		piece := string(make([]byte, 1<<20))
		for range 6 {
			s.Send(2, write, piece)
		}
		s.ask(3, "greet", "\x81\xa4name\xa3Ann")
		began <- struct{}{}
		start := time.Now()
		// Both go on at the same moment.
		for range 3 {
			switch f := s.Recv(); {
			case f.Channel == 2 && f.Type == fail, f.Channel == 3:
			default:
				t.Errorf("got %v", f)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the other request waited %v", took)
		}
		s.Send(2, closing)
		s.stop()
	})
}

// A slow handler gets everything, in order.
func TestBackPressure(t *testing.T) {
	const pieces = 20
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := play(t, func(w *worker.Worker) {
			w.HandleStream("slow", func(ctx context.Context, s *worker.Stream) error {
				<-release
				n := byte(0)
				for chunk, err := range s.All(ctx) {
					if err != nil {
						return err
					}
					if len(chunk) != 1<<20 || chunk[0] != n {
						t.Errorf("chunk %d: %d bytes, number %d", n, len(chunk), chunk[0])
					}
					n++
				}
				return s.Send(ctx, []byte{n})
			})
		})
		s.Send(2, invoke, "slow")
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i := range pieces {
				piece := make([]byte, 1<<20)
				piece[0] = byte(i)
				s.Send(2, write, string(piece))
			}
			s.Send(2, closing)
		}()
		synctest.Wait()
		select {
		case <-sent:
			t.Error("20 MiB were taken for a handler that does not read")
		default:
		}
		release <- struct{}{}
		<-sent
		s.Want(2, write, string([]byte{pieces}))
		s.Want(2, closing)
		s.stop()
	})
}
