package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/worker"
)

// No request can come before the worker is ready: it does not even shake hands.
func TestOnStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		steps := ""
		s := play(t, func(w *worker.Worker) { // reads the handshake
			w.OnStart(func(context.Context) error { time.Sleep(2 * time.Second); steps += "a"; return nil })
			w.OnStart(func(context.Context) error { time.Sleep(time.Second); steps += "b"; return nil })
			w.OnStop(func(context.Context) error { steps += "c"; return nil })
			w.OnStop(func(context.Context) error { steps += "d"; return nil })
			worker.Handle(w, "steps", func(context.Context, any) (string, error) { return steps, nil })
		})
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("the handshake came after %v", took)
		}
		s.ask(2, "steps", "\xc0")
		s.answer(2, packed("ab"))
		s.stop()
		if steps != "abdc" {
			t.Errorf("the steps were %s", steps)
		}
	})
}

func TestOnStartFails(t *testing.T) {
	broken := errors.New("no database")
	s := launch(t, func(w *worker.Worker) {
		w.OnStart(func(context.Context) error { return broken })
		w.OnStart(func(context.Context) error { t.Error("the next one is called"); return nil })
		w.OnStop(func(context.Context) error { t.Error("what was not started is stopped"); return nil })
	})
	if err := s.end(); !errors.Is(err, broken) || err.Error() != "cannot start worker: no database" {
		t.Errorf("Run returned %v", err)
	}
}

// A worker that is told to stop before it is ready just stops.
func TestStopWhileStarting(t *testing.T) {
	started := make(chan struct{})
	s := launch(t, func(w *worker.Worker) {
		w.OnStart(func(ctx context.Context) error { close(started); <-ctx.Done(); return ctx.Err() })
	})
	await(t, started, "the start")
	s.cancel()
	if err := s.end(); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// The functions of OnStop come after the last request and before the goodbye.
func TestOnStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := ""
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "work", func(context.Context, any) (any, error) {
				time.Sleep(3 * time.Second)
				steps += "w"
				return nil, nil
			})
			w.OnStop(func(ctx context.Context) error {
				steps += "s"
				if at, ok := ctx.Deadline(); !ok || time.Until(at) != 5*time.Second || ctx.Err() != nil {
					t.Errorf("it has %v", time.Until(at)) // 8 s less the 3 of the request
				}
				return errors.New("cannot flush")
			})
		})
		s.ask(2, "work", "\xc0")
		synctest.Wait()
		s.Send(1, terminate, 11, "stop")
		s.answer(2, "\xc0")
		s.Want(1, terminate, 11, "stop")
		if steps != "ws" {
			t.Errorf("the steps were %s", steps)
		}
		s.Peer.Close()
		if err := s.end(); err == nil || err.Error() != "cannot stop worker cleanly: cannot flush" {
			t.Errorf("Run returned %v", err)
		}
	})
}

// The functions of OnStop are called when the runtime is lost, too.
func TestOnStopWhenLost(t *testing.T) {
	stopped := 0
	s := play(t, func(w *worker.Worker) { w.OnStop(func(context.Context) error { stopped++; return nil }) })
	s.Peer.Close()
	if err := s.end(); err == nil || stopped != 1 {
		t.Errorf("Run returned %v, %d calls", err, stopped)
	}
}

func TestHandlerStuckReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(logtest.Buffer)
		release := make(chan struct{})
		stubborn := func(context.Context, *worker.Stream) error { stuckHere(release); return nil }
		s := play(t, func(w *worker.Worker) {
			w.HandleStream("stream", stubborn)
			w.HandleStream("limited", stubborn, worker.Timeout(time.Second))
			worker.Handle(w, "value", func(context.Context, any) (any, error) { stuckHere(release); return nil, nil })
			worker.Handle(w, "good", func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, nil })
			worker.Handle(w, "long", func(ctx context.Context, _ any) (any, error) { <-release; return nil, nil })
		}, inJSON(log))
		s.log = log
		deadline := cocaineTimeout("\xb8\x0b") // 3 s
		s.ask(2, "long", "\xc0")               // without a deadline it may take what it likes
		s.SendHeaders(deadline, 3, invoke, "value")
		s.Send(3, write, "\xc0")
		s.SendHeaders(deadline, 4, invoke, "good")
		s.Send(4, write, "\xc0")
		s.Send(5, invoke, "stream")
		s.Send(5, fail, []any{5, 2}, "gone")
		s.Send(6, invoke, "limited")
		s.WantError(6, 12, 110)
		s.answer(4, "\xc0")
		time.Sleep(10 * time.Minute)
		records := s.records("handler is stuck: it ignores the end of its context")
		if len(records) != 3 {
			t.Fatalf("%d reports:\n%s", len(records), log)
		}
		for _, r := range records {
			stack, _ := r["stack"].(string)
			over := time.Duration(r["over"].(float64))
			if !strings.Contains(stack, "stuckHere") || !strings.Contains(stack, "TestHandlerStuckReported") || over < 10*time.Second || over > 15*time.Second {
				t.Errorf("%v was reported %v after its end, with stack %q", r["event"], over, stack)
			}
			want := map[any]string{"value": "context deadline exceeded", "stream": "caller ended the request: gone [5, 2]", "limited": worker.ErrTimeout.Error()}[r["event"]]
			if r["cause"] != want || r["running"].(float64) < r["over"].(float64) {
				t.Errorf("the log says %v, want cause %q", r, want)
			}
		}
		close(release)
		s.Send(1, terminate, 1, "stop")
		for f := s.Recv(); f.Channel != 1; f = s.Recv() { // what the others answer at last
		}
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
}

// stuckHere is what the stack must show.
//
//go:noinline
func stuckHere(release <-chan struct{}) { <-release }

// A handler that keeps the worker from stopping is named.
// When a handler counts as stuck is the program's to say.
func TestStuckOption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(logtest.Buffer)
		release := make(chan struct{})
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "stubborn", func(context.Context, any) (any, error) { stuckHere(release); return nil, nil })
		}, inJSON(log), beat(10*time.Hour, 10*time.Hour), func(o *worker.Options) { o.Stuck = time.Hour })
		s.log = log
		s.SendHeaders(cocaineTimeout("\xb8\x0b"), 2, invoke, "stubborn") // 3 s
		s.Send(2, write, "\xc0")
		time.Sleep(time.Hour)
		if records := s.records("handler is stuck: it ignores the end of its context"); len(records) != 0 {
			t.Errorf("within the hour the log says %v", records)
		}
		time.Sleep(time.Hour)
		if records := s.records("handler is stuck: it ignores the end of its context"); len(records) != 1 {
			t.Errorf("after it the log says %v", records)
		}
		close(release)
		s.Send(1, terminate, 1, "stop")
		for f := s.Recv(); f.Channel != 1; f = s.Recv() {
		}
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestStuckAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(logtest.Buffer)
		release := make(chan struct{})
		s := play(t, func(w *worker.Worker) {
			worker.Handle(w, "stubborn", func(context.Context, any) (any, error) { stuckHere(release); return nil, nil })
		}, inJSON(log))
		s.log = log
		s.ask(2, "stubborn", "\xc0")
		synctest.Wait()
		s.Send(1, terminate, 1, "stop")
		s.Want(1, terminate, 1, "stop")
		s.Peer.Close()
		if err := s.end(); err != nil {
			t.Error(err)
		}
		records := s.records("handler is stuck: it ignores the end of its context")
		if len(records) != 1 || records[0]["event"] != "stubborn" || records[0]["cause"] != worker.ErrStopping.Error() || !strings.Contains(records[0]["stack"].(string), "stuckHere") {
			t.Errorf("the log says %v", records)
		}
		close(release)
	})
}
