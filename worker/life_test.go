package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

func beat(heartbeat, disown time.Duration) func(*worker.Options) {
	return func(o *worker.Options) { o.Heartbeat, o.Disown = heartbeat, disown }
}

func TestHeartbeatCadence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, func(*worker.Worker) {}, beat(0, 0)) // the defaults: 5 s and 30 s
		start := time.Now()
		for i := range 20 {
			s.Send(1, heartbeat)
			s.Want(1, heartbeat)
			if at := time.Since(start); at != time.Duration(i+1)*5*time.Second {
				t.Fatalf("heartbeat %d came after %v", i, at)
			}
		}
		s.stop()
	})
}

func TestBlockedHandlerKeepsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "busy", func(context.Context, any) (any, error) { <-release; return nil, nil })
		}, beat(5*time.Second, 30*time.Second))
		for i := range 50 {
			s.ask(uint64(2+i), "busy", "\xc0")
		}
		for range 20 {
			s.Send(1, heartbeat)
			s.Want(1, heartbeat)
		}
		close(release)
		for range 100 {
			s.Recv()
		}
		s.stop()
	})
}

func TestDisown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := make(chan error, 1)
		s := play(t, func(w *worker.Worker) { worker.Handle(w, "wait", obedient(why)) }, beat(4*time.Second, 30*time.Second))
		s.ask(2, "wait", packed("x"))
		start := time.Now()
		for i := range 5 { // requests are no sign of life: the engine may hang behind them
			s.Want(1, heartbeat)
			s.ask(uint64(3+i), "nobody", "x")
			s.WantError(uint64(3+i), 42, 200)
			if i == 0 {
				s.Send(1, heartbeat) // the only answer, at 4 s
			}
		}
		for range 3 {
			s.Want(1, heartbeat)
		}
		err := s.end()
		if took := time.Since(start); !errors.Is(err, worker.ErrDisowned) || took != 34*time.Second {
			t.Errorf("Run returned %v after %v", err, took)
		}
		if cause := <-why; cause != worker.ErrDisowned {
			t.Errorf("the handler's context ended with %v", cause)
		}
	})
}

func TestTerminateWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, func(*worker.Worker) {})
		start := time.Now()
		s.stop()
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// Requests under way are finished, new ones are refused, and only then terminate
// is answered. The heart beats on.
func TestGracefulTerminate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "work", func(ctx context.Context, in string) (string, error) {
				time.Sleep(6 * time.Second)
				return in, ctx.Err()
			})
		}, beat(5*time.Second, 30*time.Second))
		s.ask(2, "work", packed("a"))
		synctest.Wait()
		s.Send(1, terminate, 11, "overseer is shutting down")
		synctest.Wait()
		s.ask(3, "work", packed("b"))
		s.WantError(3, 21503, 14)
		s.Want(1, heartbeat)
		s.answer(2, packed("a"))
		s.Want(1, terminate, 11, "overseer is shutting down")
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// A handler that needs more time than there is learns it from its context.
func TestTerminateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := make(chan error, 1)
		s := play(t, func(w *worker.Worker) { worker.Handle(w, "wait", obedient(why)) })
		s.ask(2, "wait", packed("x"))
		synctest.Wait()
		start := time.Now()
		s.Send(1, terminate, 13, "idle")
		s.WantError(2, 42, 100)
		s.Want(1, terminate, 13, "idle")
		if took := time.Since(start); took != 8*time.Second {
			t.Errorf("it took %v, want Options.Drain", took)
		}
		if cause := <-why; cause != worker.ErrStopping {
			t.Errorf("the cause is %v", cause)
		}
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// Neither a handler that ignores its context nor a runtime that leaves the
// connection open keeps the worker.
func TestStubbornHandlerAndRuntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "stubborn", func(context.Context, any) (any, error) { <-release; return nil, nil })
		}, func(o *worker.Options) { o.Drain = 2 * time.Second })
		s.ask(2, "stubborn", "\xc0")
		synctest.Wait()
		start := time.Now()
		s.Send(1, terminate, 1, "stop")
		s.Want(1, terminate, 1, "stop")
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("terminate was answered after %v", took)
		}
		if err := s.end(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(start); took < 4*time.Second || took > 4100*time.Millisecond { // 3 s, and one for the runtime
			t.Errorf("Run returned after %v", took)
		}
		if log := s.log.String(); !strings.Contains(log, "handlers ignore the end of their contexts") {
			t.Errorf("the log does not say so:\n%s", log)
		}
		close(release)
	})
}

func TestContextStopsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "work", func(ctx context.Context, in string) (string, error) {
				time.Sleep(time.Second)
				return in, ctx.Err()
			})
		})
		s.ask(2, "work", packed("a"))
		synctest.Wait()
		s.cancel()
		s.answer(2, packed("a"))
		s.Want(1, terminate, 1, "worker was told to stop")
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// The end of the connection while the worker stops is what it waits for anyway.
func TestRuntimeGoesWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := make(chan error, 1)
		s := play(t, func(w *worker.Worker) { worker.Handle(w, "wait", obedient(why)) })
		s.ask(2, "wait", packed("x"))
		synctest.Wait()
		s.Send(1, terminate, 1, "stop")
		synctest.Wait()
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if cause := <-why; !errors.Is(cause, cocaine.ErrDisconnected) {
			t.Errorf("the cause is %v", cause)
		}
	})
}

func TestBadTerminateStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, func(*worker.Worker) {})
		s.Send(1, 5, "no such message")
		s.Send(1, terminate, "why")
		s.Want(1, terminate, 1, "runtime asked to stop")
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestDeadlineEndsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := make(chan error, 1)
		s := play(t, func(w *worker.Worker) { worker.Handle(w, "wait", obedient(why)) })
		start := time.Now()
		s.SendHeaders(cocaineTimeout("\xb8\x0b"), 2, invoke, "wait")
		s.Send(2, write, packed("x"))
		s.WantError(2, 42, 100)
		if took := time.Since(start); <-why != context.DeadlineExceeded || took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		for i, odd := range []string{"", "\x01", "123456789", "\xff\xff\xff\xff\xff\xff\xff\xff"} { // no deadline at all
			channel := uint64(3 + i)
			s.SendHeaders(cocaine.Headers{{Name: "request_timeout", Value: odd}}, channel, invoke, "wait")
			s.Send(channel, write, packed("x"))
		}
		time.Sleep(time.Minute)
		if len(why) != 0 {
			t.Errorf("a request without a deadline ended: %v", <-why)
		}
		s.Send(1, terminate, 1, "stop")
		for range 4 {
			s.Recv()
			<-why
		}
		s.Want(1, terminate, 1, "stop")
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
}

// A handler's context ends with the handler, as those of net/http do.
func TestContextEndsWithTheHandler(t *testing.T) {
	var kept context.Context
	s := play(t, func(w *worker.Worker) {
		worker.Handle(w, "keep", func(ctx context.Context, _ any) (any, error) { kept = ctx; return nil, nil })
	})
	s.ask(2, "keep", "\xc0")
	s.answer(2, "\xc0")
	await(t, kept.Done(), "the end of the context")
	if kept.Err() != context.Canceled {
		t.Errorf("it ended with %v", kept.Err())
	}
	s.stop()
}

func TestBrokenRuntime(t *testing.T) {
	s := play(t, func(*worker.Worker) {})
	s.Write([]byte("\xc1\xc1\xc1"))
	err := s.end()
	if !errors.Is(err, cocaine.ErrDisconnected) || !strings.Contains(err.Error(), "malformed") {
		t.Errorf("Run returned %v", err)
	}
}

// An answer that the runtime is slow to take is not cut off by the worker's end.
func TestLastAnswerArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := strings.Repeat("x", 3<<20) // more than the connection holds
		s := play(t, func(w *worker.Worker) {
			w.HandleStream("big", func(ctx context.Context, s *worker.Stream) error { return s.Send(ctx, []byte(big)) })
		})
		s.Send(2, invoke, "big")
		synctest.Wait()
		s.Send(1, terminate, 1, "stop")
		time.Sleep(3 * time.Second)
		s.Want(2, write, big)
		s.Want(2, closing)
		s.Want(1, terminate, 1, "stop")
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}
