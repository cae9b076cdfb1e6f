package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

// The timer of enqueue has every call once, however it ends: what it waited in the
// queue counts, and whom nobody serves counts as nothing.
func TestTimerOfEnqueue(t *testing.T) {
	virtualWith(t, map[string]any{"pool-limit": 1, "concurrency": 1, "queue-limit": 1}, nil, func(r *rig) {
		want := func(count uint64, longest float64) {
			r.t.Helper()
			synctest.Wait()
			have, h := r.Timer().Read()
			if q := h.Quantile(1); have != count || q < longest || q > longest*1.13+.001 {
				r.t.Errorf("%d calls of at most %v ms, want %d of %v ms", have, q, count, longest)
			}
		}
		first := r.call("e") // waits for the worker
		second := r.call("e")
		want(1, 0) // the queue was full
		if r.client.WantError(second, idl.CategoryOverseer, idl.OverseerQueueFull); first != 1 {
			r.t.Fatal("the first call is not on channel 1")
		}
		r.client.Send(r.calls+1, idl.AppEnqueue, 5)
		r.calls++
		r.client.WantError(r.calls, idl.CategoryDispatch, idl.DispatchBadArgs)
		want(2, 0)
		time.Sleep(100 * time.Millisecond)
		w := r.ready()
		w.Recv()
		time.Sleep(300 * time.Millisecond)
		w.Send(2, idl.Close)
		want(2, 0) // the client's half is open
		r.client.Send(first, idl.Close)
		want(3, 400)
		if count, h := r.Timings(); count != 1 || h.Quantile(1) < 300 || h.Quantile(1) > 340 {
			r.t.Errorf("%d requests took at most %v ms of a worker's time", count, h.Quantile(1))
		}
		r.call("e")
		time.Sleep(time.Second)
		w.end(isolate.Exit{Code: 1}) // the worker's end is that of its requests
		want(4, 1000)
		r.stop()
		r.call("e") // nobody takes it
		want(5, 1000)
	})
}

// Engines of one app may share a timer.
func TestTimerOfMoreEngines(t *testing.T) {
	var shared timing.Timer
	virtualWith(t, nil, func(o *engine.Options) { o.Calls = &shared }, func(r *rig) {
		if r.Timer() != &shared {
			r.t.Error("the engine has a timer of its own")
		}
	})
}

// Workers' connections are counted as those of a service, and how long workers stay.
func TestHandshakes(t *testing.T) {
	virtual(t, map[string]any{"heartbeat-timeout": 1000}, func(r *rig) {
		want := func(u rpc.Usage, count uint64, longest float64) {
			r.t.Helper()
			synctest.Wait()
			have, timer := r.Handshakes()
			n, h := timer.Read()
			if q := h.Quantile(1); have != u || n != count || q < longest || q > longest*1.13+.001 {
				r.t.Errorf("%+v, %d stayed at most %v ms; want %+v, %d, %v", have, n, q, u, count, longest)
			}
		}
		want(rpc.Usage{}, 0, 0)
		ws := r.pool(2)
		want(rpc.Usage{Accepted: 2, Sessions: 2, Opened: 2, Open: 2}, 0, 0)
		stranger := r.newcomer()
		stranger.Send(1, idl.WorkerHandshake, "nobody")
		stranger.Send(1, idl.WorkerHeartbeat)
		stranger.WantClosed()
		want(rpc.Usage{Accepted: 3, Sessions: 2, Opened: 3, Open: 2}, 1, 0)
		time.Sleep(10 * time.Second)
		ws[0].Close()
		want(rpc.Usage{Accepted: 3, Sessions: 1, Opened: 3, Open: 1}, 2, 10000)
	})
}
