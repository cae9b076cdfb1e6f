package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// node-engine 12.3 case 5 and 4.4: one worker for each grow-threshold queued
// requests, at least one, at most pool-limit.
func TestGrowth(t *testing.T) {
	tests := []struct {
		profile map[string]any
		queued  int
		workers int
	}{
		{map[string]any{}, 1, 1}, // (100, 10) -> 5
		{map[string]any{}, 9, 1},
		{map[string]any{}, 10, 2},
		{map[string]any{}, 14, 2},
		{map[string]any{}, 49, 9},
		{map[string]any{}, 50, 10},
		{map[string]any{}, 100, 10},
		{map[string]any{"queue-limit": 5}, 3, 3}, // (5, 10) -> 1
		{map[string]any{"grow-threshold": 2}, 7, 3},
		{map[string]any{"grow-threshold": 1000}, 100, 1},
		{map[string]any{"pool-limit": 1, "grow-threshold": 1}, 100, 1},
		{map[string]any{"queue-limit": -1}, 200, 10},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v/%d", tt.profile, tt.queued), func(t *testing.T) {
			virtual(t, tt.profile, func(r *rig) {
				for range tt.queued {
					r.call("e")
				}
				r.client.WantIdle()
				r.wantCount(tt.workers, "pool", "total:spawned")
				r.wantStates(map[string]int{"handshaking": tt.workers})
			})
		})
	}
}

// The least loaded worker gets the request.
func TestLeastLoaded(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 4}, func(r *rig) {
		ws := r.pool(3)
		for range 12 {
			r.call("e")
		}
		for _, w := range ws {
			r.wantCount(4, "pool", "slaves", w.Worker, "load:total")
		}
		// Two requests of the second end; it gets the next two.
		for _, i := range []uint64{2, 4} {
			ws[1].Send(i, idl.Close)
			r.client.Send(r.client.Recv().Channel, idl.Close)
		}
		r.wantCount(2, "pool", "slaves", ws[1].Worker, "load:total")
		r.call("e")
		r.call("e")
		r.wantCount(4, "pool", "slaves", ws[1].Worker, "load:total")
		r.wantCount(6, "pool", "slaves", ws[1].Worker, "accepted")
		r.wantCount(0, "queue", "depth")
	})
}

// Among equals the one that was busy last gets the request: a few requests stay on
// few workers, and the others can be retired.
func TestFewRequestsStayOnFewWorkers(t *testing.T) {
	virtual(t, map[string]any{"idle-timeout": 60, "heartbeat-timeout": 3600}, func(r *rig) {
		ws := r.pool(3)
		next := map[*worker]uint64{}
		for range 61 {
			ch := r.call("e")
			r.client.Send(ch, idl.Close)
			for _, w := range ws {
				if r.count("pool", "slaves", w.Worker, "load:total") == 1 {
					w.Send(2+next[w], idl.Close)
					next[w]++
				}
			}
			r.client.Want(ch, idl.Close)
			wait(time.Second)
		}
		if len(next) != 1 {
			t.Errorf("%d workers were used, want 1", len(next))
		}
		r.wantStates(map[string]int{"active": 1, "terminating": 2})
	})
}

// A worker that does not read what it is sent is not a good choice while others
// have room.
func TestClogged(t *testing.T) {
	virtualWith(t, map[string]any{"concurrency": 10}, func(o *engine.Options) { o.Session.Buffer = 256 << 10 }, func(r *rig) {
		ws := r.pool(2)
		ch := r.call("big")
		var clogged, other *worker
		for i, w := range ws {
			if r.count("pool", "slaves", w.Worker, "load:total") == 1 {
				clogged, other = w, ws[1-i]
			}
		}
		r.client.Send(ch, idl.Write, mib[:240<<10]) // the connection takes 64 KiB of it
		for range 5 {
			r.call("small")
		}
		r.wantCount(1, "pool", "slaves", clogged.Worker, "load:total")
		r.wantCount(5, "pool", "slaves", other.Worker, "load:total")
		for range 6 {
			r.call("small") // the other one is full after five of them
		}
		r.wantCount(2, "pool", "slaves", clogged.Worker, "load:total")
		clogged.Want(2, idl.WorkerInvoke, "big")
		clogged.Recv()
		clogged.Want(3, idl.WorkerInvoke, "small")
		for range 3 {
			r.call("small")
		}
		r.wantCount(5, "pool", "slaves", clogged.Worker, "load:total")
	})
}

// Workers without work are retired after idle-timeout, the last one too (v0.11;
// v0.12 reads the key and ignores it).
func TestIdleWorkersAreRetired(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 60, "heartbeat-timeout": 3600}, func(r *rig) {
			ws := r.pool(3)
			wait(30 * time.Second)
			ch := r.call("e")
			var used *worker
			for _, w := range ws {
				if r.count("pool", "slaves", w.Worker, "load:total") == 1 {
					used = w
				}
			}
			wait(30 * time.Second)
			r.wantStates(map[string]int{"active": 1, "terminating": 2})
			for _, w := range ws {
				if w != used {
					w.wantTerminate(t, codeSealed, "slave is sealing")
					w.leave()
				}
			}
			wait(600 * time.Second)
			r.wantStates(map[string]int{"active": 1}) // it has work
			r.client.Send(ch, idl.Close)
			used.Send(2, idl.Close)
			wait(60*time.Second - time.Millisecond)
			r.wantStates(map[string]int{"active": 1})
			wait(time.Millisecond)
			r.wantStates(map[string]int{"terminating": 1})
			used.Want(2, idl.WorkerInvoke, "e")
			used.Want(2, idl.Close)
			used.wantTerminate(t, codeSealed, "slave is sealing")
			used.leave()
			wait(time.Hour)
			r.wantStates(nil)
			r.notSpawned()
			r.wantCount(0, "pool", "total:crashed")
			r.call("again")
			r.ready().Want(2, idl.WorkerInvoke, "again")
		})
	})
	t.Run("pool-min", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 60, "pool-min": 2, "heartbeat-timeout": 1e6}, func(r *rig) {
			r.ready()
			r.ready()
			r.notSpawned()
			r.SetTarget(5)
			for range 3 {
				r.ready()
			}
			r.SetTarget(0)
			wait(59 * time.Second)
			r.wantStates(map[string]int{"active": 5})
			wait(time.Second)
			r.wantStates(map[string]int{"active": 2, "terminating": 3})
			wait(time.Hour)
			r.wantStates(map[string]int{"active": 2})
			r.wantCount(5, "pool", "total:spawned")
		})
	})
	t.Run("never", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 0, "heartbeat-timeout": 1e6}, func(r *rig) {
			r.pool(2)
			wait(24 * time.Hour)
			r.wantStates(map[string]int{"active": 2})
		})
	})
	t.Run("not while the size is set by hand", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 60, "heartbeat-timeout": 1e6}, func(r *rig) {
			r.SetTarget(2)
			r.ready()
			r.ready()
			wait(time.Hour)
			r.wantStates(map[string]int{"active": 2})
			r.SetTarget(0)
			wait(60 * time.Second)
			r.wantStates(map[string]int{"terminating": 2})
		})
	})
	t.Run("not when the size was set by hand meanwhile", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 60, "heartbeat-timeout": 1e6}, func(r *rig) {
			r.pool(2)
			wait(30 * time.Second)
			r.SetTarget(2)
			wait(time.Hour)
			r.wantStates(map[string]int{"active": 2})
		})
	})
	t.Run("one that never had work", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 60, "heartbeat-timeout": 1e6}, func(r *rig) {
			r.call("e", timeoutHeader(1000))
			wait(2 * time.Second)
			r.ready()
			wait(60 * time.Second)
			r.wantStates(map[string]int{"terminating": 1})
		})
	})
}

// A request does not wait for a worker that takes its time to leave, unless the
// pool is full.
func TestLeavingWorkersDoNotCount(t *testing.T) {
	t.Run("room", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 60, "heartbeat-timeout": 3600, "pool-limit": 2}, func(r *rig) {
			r.pool(1)
			wait(60 * time.Second)
			r.wantStates(map[string]int{"terminating": 1})
			r.call("e")
			r.ready().Want(2, idl.WorkerInvoke, "e")
		})
	})
	t.Run("full", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 60, "heartbeat-timeout": 3600, "pool-limit": 1}, func(r *rig) {
			w := r.pool(1)[0]
			wait(60 * time.Second)
			r.call("e")
			r.notSpawned()
			w.Close()
			r.ready().Want(2, idl.WorkerInvoke, "e")
		})
	})
	t.Run("size by hand", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.pool(3)
			for range 3 {
				r.call("e")
			}
			r.SetTarget(1)
			r.wantStates(map[string]int{"active": 1, "sealing": 2})
			r.SetTarget(3)
			r.wantStates(map[string]int{"active": 1, "sealing": 2, "handshaking": 2})
		})
	})
}

// pool-min is kept from the start, and after deaths.
func TestPoolMin(t *testing.T) {
	virtual(t, map[string]any{"pool-min": 3, "pool-limit": 4}, func(r *rig) {
		var ws []*worker
		for range 3 {
			ws = append(ws, r.ready())
		}
		r.notSpawned()
		ws[0].end(isolate.Exit{Code: 1})
		ws[1].end(isolate.Exit{Code: 1})
		r.wantStates(map[string]int{"active": 1})
		wait(time.Second)
		r.ready()
		r.ready()
		r.notSpawned()
	})
}

// node-engine 12.3 case 10: control names the size. A leaver changes nothing that
// others have said (in the original it does).
func TestControl(t *testing.T) {
	virtual(t, map[string]any{"pool-limit": 5}, func(r *rig) {
		control := func(n int) (stop func()) {
			p := r.dial()
			p.Send(1, idl.AppControl)
			p.Send(1, idl.Write, n)
			synctest.Wait()
			return func() {
				p.Close()
				synctest.Wait()
			}
		}
		r.client.Send(1, idl.AppControl)
		r.client.Send(1, idl.Write, 3)
		ws := []*worker{r.ready(), r.ready(), r.ready()}
		r.client.Send(1, idl.Write, 1)
		r.wantStates(map[string]int{"active": 1, "terminating": 2})
		states := r.slaves()
		for _, w := range ws {
			if states[w.Worker] == "terminating" {
				w.wantTerminate(t, codeSealed, "slave is sealing")
				w.leave()
			}
		}
		r.wantStates(map[string]int{"active": 1})
		r.wantCount(0, "pool", "total:crashed")
		r.client.Send(1, idl.Write, 100)
		for range 4 {
			r.ready()
		}
		r.notSpawned()
		silent := r.dial() // has said nothing: its end means nothing
		silent.Send(1, idl.AppControl)
		other := control(4)
		r.wantStates(map[string]int{"active": 4, "terminating": 1})
		wait(10 * time.Second)
		silent.Close()
		r.wantStates(map[string]int{"active": 4})
		other() // back to what the first one said
		r.ready()
		r.wantStates(map[string]int{"active": 5})
		r.client.Send(1, idl.Close) // automatic: nobody goes before idle-timeout
		r.client.Want(1, idl.Value)
		r.wantStates(map[string]int{"active": 5})
		r.calls = 1
		r.client.WantIdle()
	})
	t.Run("zero", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.client.Send(1, idl.AppControl)
			r.client.Send(1, idl.Write, 2)
			w := r.ready()
			r.ready()
			r.client.Send(1, idl.Write, 0)
			w.end(isolate.Exit{Code: 1})
			wait(10 * time.Second)
			r.wantStates(map[string]int{"active": 1}) // not kept at two
			r.client.Send(1, idl.Write, -5)
			r.wantStates(map[string]int{"active": 1})
		})
	})
	t.Run("nonsense", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.client.Send(1, idl.AppControl)
			r.client.Send(1, idl.Write, 1)
			r.ready()
			r.client.Send(1, idl.Write, "many")
			r.client.WantError(1, idl.CategoryDispatch, idl.DispatchBadArgs)
			r.wantStates(map[string]int{"active": 1})
		})
	})
	t.Run("shrinks during back-off", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.SetTarget(3)
			ws := []*worker{r.ready(), r.ready(), r.ready()}
			ws[0].end(isolate.Exit{Code: 1})
			r.wantStates(map[string]int{"active": 2})
			r.SetTarget(1)
			r.wantStates(map[string]int{"active": 1, "terminating": 1})
		})
	})
	t.Run("worker still starting", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.SetTarget(2)
			a, b := r.ready(), r.spawned()
			r.SetTarget(1)
			r.wantStates(map[string]int{"active": 1, "handshaking": 1})
			r.connect(b).shake()
			r.wantStates(map[string]int{"active": 1, "terminating": 1})
			_ = a
		})
	})
}

// node-engine 12.3 case 7: 1, 2, 4 ... 32 s between the deaths, and at 32 it stays
// (in the original it starts over). Requests that wait are not lost.
func TestBackOff(t *testing.T) {
	virtual(t, map[string]any{"heartbeat-timeout": 3600}, func(r *rig) {
		die := func() {
			w := r.ready()
			w.end(isolate.Exit{Code: 1})
		}
		r.call("first")
		die()
		r.client.WantError(1, idl.CategoryStream, idl.StreamEOF)
		ch := r.call("waiting")
		for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 32, 32} {
			wait(pause*time.Second - time.Millisecond)
			r.notSpawned()
			wait(time.Millisecond)
			if i == 0 {
				w := r.ready()
				w.Want(2, idl.WorkerInvoke, "waiting")
				w.end(isolate.Exit{Code: 1})
				r.client.WantError(ch, idl.CategoryStream, idl.StreamEOF)
				continue
			}
			die()
		}
		wait(32 * time.Second)
		w := r.ready()
		wait(64 * time.Second) // it has lived for a while
		w.end(isolate.Exit{Code: 1})
		wait(time.Second)
		r.ready()
		r.wantCount(10, "pool", "total:crashed")
	})
}

// Live workers serve during back-off, and several deaths are one pause.
func TestBackOffOfOthers(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		ws := r.pool(3)
		r.SetTarget(3)
		ws[0].end(isolate.Exit{Code: 1})
		ws[1].end(isolate.Exit{Code: 1})
		r.wantStates(map[string]int{"active": 1})
		r.call("e")
		ws[2].Want(2, idl.WorkerInvoke, "e")
		r.notSpawned()
		wait(time.Second)
		r.spawned()
		r.spawned()
		r.notSpawned()
	})
}

// After three workers in a row that were never ready the queue is answered, and so
// is everything that comes during the pauses; the engine keeps trying.
func TestGiveUp(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		fail := func() {
			p := r.spawned()
			p.say("cannot open config")
			p.end(isolate.Exit{Code: 2})
			synctest.Wait()
		}
		one := r.call("e")
		fail()
		wait(time.Second)
		fail()
		wait(2 * time.Second)
		two := r.call("e")
		r.client.WantIdle()
		fail()
		var text string
		for range 2 {
			f := r.client.Recv()
			e, err := rpc.DecodeError(f.Args)
			if err != nil || e.Category != idl.CategoryNode || e.Code != idl.NodeNoResources || f.Channel != one && f.Channel != two {
				t.Fatalf("client got %v", f)
			}
			text = e.Message
		}
		if !strings.Contains(text, "exit status 2") || !strings.Contains(text, "cannot open config") {
			t.Errorf("text %q does not say why", text)
		}
		r.wantCount(0, "queue", "depth")
		three := r.call("e")
		r.client.WantError(three, idl.CategoryNode, idl.NodeNoResources)
		health := r.Info(engine.InfoMore)["health"].(map[string]any)
		if health["state"] != "failing" || health["failures"] != 3 || !strings.Contains(health["last_crash"].(string), "exit status 2") {
			t.Errorf("health is %v", health)
		}
		wait(4 * time.Second) // a worker is being started: there is hope
		four := r.call("e")
		r.client.WantIdle()
		r.ready().Want(2, idl.WorkerInvoke, "e")
		if state := r.Info(engine.InfoMore)["health"].(map[string]any)["state"]; state != "ok" {
			t.Errorf("health is %v", state)
		}
		_ = four
	})
}

// Warm waits for workers that take requests.
func TestWarm(t *testing.T) {
	warm := func(r *rig, ctx context.Context, n int) <-chan error {
		done := make(chan error, 1)
		go func() { done <- r.Warm(ctx, n) }()
		synctest.Wait()
		return done
	}
	t.Run("ready", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			done := warm(r, r.t.Context(), 2)
			r.ready()
			synctest.Wait()
			if len(done) > 0 {
				t.Fatal("one worker is not two")
			}
			r.ready()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := r.Warm(r.t.Context(), 2); err != nil {
				t.Error(err)
			}
			r.notSpawned()
		})
	})
	t.Run("more than the pool takes", func(t *testing.T) {
		virtual(t, map[string]any{"pool-limit": 1}, func(r *rig) {
			done := warm(r, r.t.Context(), 5)
			r.ready()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("more than control wants", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.SetTarget(1)
			done := warm(r, r.t.Context(), 5)
			r.ready()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("control wants less meanwhile", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			done := warm(r, r.t.Context(), 2)
			r.ready()
			r.spawned()
			r.SetTarget(1)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("fails", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			done := warm(r, r.t.Context(), 1)
			p := r.spawned()
			p.say("no license")
			p.end(isolate.Exit{Code: 1})
			var e *rpc.Error
			if err := <-done; !errors.As(err, &e) || e.Code != idl.NodeNoResources || !strings.Contains(e.Message, "no license") {
				t.Errorf("error is %v", err)
			}
		})
	})
	t.Run("had failed before", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			r.single().end(isolate.Exit{Code: 1})
			wait(2 * time.Second)
			done := warm(r, r.t.Context(), 1)
			r.ready()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("stopped", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			done := warm(r, r.t.Context(), 1)
			r.spawned()
			if err := r.Stop(r.t.Context()); err != nil {
				t.Error(err)
			}
			var e *rpc.Error
			if err := <-done; !errors.As(err, &e) || e.Code != idl.NodeNotRunning {
				t.Errorf("error is %v", err)
			}
		})
	})
	t.Run("no patience", func(t *testing.T) {
		virtual(t, nil, func(r *rig) {
			ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
			defer cancel()
			if err := r.Warm(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error is %v", err)
			}
		})
	})
	t.Run("until idle", func(t *testing.T) {
		virtual(t, map[string]any{"idle-timeout": 10}, func(r *rig) {
			warm(r, r.t.Context(), 3)
			for range 3 {
				r.ready()
			}
			wait(10 * time.Second)
			r.wantStates(map[string]int{"terminating": 3})
			wait(time.Minute)
			r.wantStates(nil) // not warmed again
			r.wantCount(3, "pool", "total:spawned")
		})
	})
}
