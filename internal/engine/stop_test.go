package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
)

// stopping starts a Stop with some time to drain.
func (r *rig) stopping(drain time.Duration) <-chan error {
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(r.t.Context(), drain)
	go func() {
		defer cancel()
		done <- r.Stop(ctx)
	}()
	synctest.Wait()
	return done
}

// node-engine 12.3 case 11: requests that run and requests that wait are finished,
// new ones on an open connection are refused with [generic, 32], then the workers
// are told to go.
func TestStopDrains(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 1, "pool-limit": 1}, func(r *rig) {
		w := r.pool(1)[0]
		running, queued := r.call("running"), r.call("queued")
		w.Want(2, idl.WorkerInvoke, "running")
		done := r.stopping(time.Minute)
		r.client.WantError(r.call("new"), idl.CategoryGeneric, idl.GenericBrokenPipe)
		if state := r.Info(engine.InfoMore)["health"].(map[string]any)["state"]; state != "stopping" {
			t.Errorf("health is %v", state)
		}
		for i, ch := range []uint64{running, queued} {
			wait(time.Second)
			n := uint64(2 + i)
			r.client.Send(ch, idl.Write, "in")
			r.client.Send(ch, idl.Close)
			w.Want(n, idl.Write, "in")
			w.Want(n, idl.Close)
			w.Send(n, idl.Write, "out")
			w.Send(n, idl.Close)
			r.client.Want(ch, idl.Write, "out")
			r.client.Want(ch, idl.Close)
			if i == 0 {
				w.Want(3, idl.WorkerInvoke, "queued")
			}
		}
		w.wantTerminate(t, codeStopped, "overseer is shutting down")
		r.client.WantError(r.call("newer"), idl.CategoryGeneric, idl.GenericBrokenPipe)
		w.leave()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.client.WantError(r.call("newest"), idl.CategoryGeneric, idl.GenericBrokenPipe)
	})
}

// What is not finished in time: queued requests are answered [node, 6], running
// ones end with their worker.
func TestStopOutOfTime(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 1, "pool-limit": 1}, func(r *rig) {
		w := r.pool(1)[0]
		running, queued := r.call("running"), r.call("queued")
		w.Want(2, idl.WorkerInvoke, "running")
		done := r.stopping(5 * time.Second)
		wait(5*time.Second - time.Millisecond)
		r.client.WantIdle()
		wait(time.Millisecond)
		r.client.WantError(queued, idl.CategoryNode, idl.NodeNotRunning)
		w.wantTerminate(t, codeStopped, "overseer is shutting down")
		w.Send(2, idl.Write, "not quite")
		r.client.Want(running, idl.Write, "not quite")
		w.Send(1, idl.WorkerTerminate, 0, "confirmed")
		if text := r.client.WantError(running, idl.CategorySocket, idl.SocketCanceled); text != "slave has been discarded" {
			t.Errorf("text is %q", text)
		}
		w.end(isolate.Exit{})
		err := <-done
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 requests are left") {
			t.Errorf("Stop returned %v", err)
		}
		r.wantCrashes(0)
		r.wantCount(0, "load")
	})
}

// Workers in every state end with the engine, and no goroutine is left.
func TestStopInEveryState(t *testing.T) {
	virtual(t, map[string]any{"spawn-timeout": 100, "handshake-timeout": 100, "seal-timeout": 1000, "pool-limit": 10}, func(r *rig) {
		ws := r.pool(4)
		for range 4 {
			r.call("e")
		}
		r.SetTarget(3)
		r.wantStates(map[string]int{"active": 3, "sealing": 1})
		r.SetTarget(4)
		shaking := r.spawned()
		r.iso.before(func(ctx context.Context, _ *process) error { <-ctx.Done(); return ctx.Err() })
		r.SetTarget(5)
		r.wantStates(map[string]int{"active": 3, "sealing": 1, "handshaking": 1, "spawning": 1})
		start := time.Now()
		done := r.stopping(0)
		r.wantStates(map[string]int{"terminating": 4})
		shaking.wantSignals(t, sent{"SIGTERM", time.Since(shaking.born)})
		for _, w := range ws {
			w.Recv()
			w.leave()
		}
		<-done
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("stop took %v", took)
		}
		r.wantStates(nil)
		r.wantCrashes(0)
	})
}

// An engine that drains starts the workers that its queue needs.
func TestStopBeforeTheFirstWorker(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		ch := r.call("e")
		r.client.Send(ch, idl.Close)
		p := r.spawned()
		done := r.stopping(time.Minute)
		p.end(isolate.Exit{Code: 1})
		wait(time.Second)
		w := r.ready()
		w.Want(2, idl.WorkerInvoke, "e")
		w.Want(2, idl.Close)
		w.Send(2, idl.Close)
		r.client.Want(ch, idl.Close)
		w.wantTerminate(t, codeStopped, "overseer is shutting down")
		w.leave()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// An engine that drains and cannot start workers does not wait in vain.
func TestStopOfAFailingApp(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		r.iso.before(func(context.Context, *process) error { return errors.New("boom") })
		ch := r.call("e")
		done := r.stopping(time.Hour)
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.client.WantError(ch, idl.CategoryNode, idl.NodeNoResources)
	})
}

// Stop may be called before anything, twice, and at the same time.
func TestStopTwice(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		r.call("e")
		patient, hasty := r.stopping(time.Hour), r.stopping(time.Second)
		wait(time.Second)
		w.Want(2, idl.WorkerInvoke, "e")
		w.wantTerminate(t, codeStopped, "overseer is shutting down")
		w.leave()
		if err := <-hasty; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hasty Stop returned %v", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("patient Stop returned %v", err)
		}
		if err := r.Stop(r.t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("never started", func(t *testing.T) {
		e := engine.New(engine.Options{App: "app", Profile: *manifest.DefaultProfile()})
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("start failed", func(t *testing.T) {
		boom := errors.New("boom")
		e := engine.New(engine.Options{App: "app", Profile: *manifest.DefaultProfile(),
			Listen: func(string) (net.Listener, error) { return nil, boom }})
		if err := e.Start(); !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), `cannot start app "app": `) {
			t.Errorf("Start returned %v", err)
		}
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A stopped engine answers whatever it is asked.
func TestStopped(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		r.stop()
		lease := r.Lease()
		lease.Set(3)
		lease.End()
		lease.End()
		r.SetTarget(2)
		if n := r.Active(); n != 0 {
			t.Errorf("%d active workers", n)
		}
		if _, ok := r.Info(7)["pool"]; !ok {
			t.Error("no info")
		}
		if err := r.Warm(r.t.Context(), 1); err == nil {
			t.Error("Warm succeeded")
		}
		r.notSpawned()
		r.client.Send(1, idl.AppControl)
		r.client.Send(1, idl.Write, 3)
		r.notSpawned()
	})
}

// Nothing of one app waits for another one.
func TestAppsAreIndependent(t *testing.T) {
	virtual(t, map[string]any{"terminate-timeout": 3600}, func(r *rig) {
		stuck := newRig(r.t, map[string]any{"terminate-timeout": 3600}, nil)
		w := stuck.pool(1)[0]
		w.change(func(p *process) { p.deaf = true })
		done := stuck.stopping(0)
		r.call("e")
		r.ready().Want(2, idl.WorkerInvoke, "e")
		r.wantCount(1, "load")
		select {
		case <-done:
			t.Error("stop of a stuck app is over")
		default:
		}
		w.end(isolate.Exit{})
		<-done
	})
}

// Changed tells about every change of the number of active workers.
func TestChanged(t *testing.T) {
	calls := 0
	virtualWith(t, nil, func(o *engine.Options) { o.Changed = func() { calls++ } }, func(r *rig) {
		step := func(what string) {
			t.Helper()
			synctest.Wait()
			if calls == 0 {
				t.Errorf("Changed was not called: %s", what)
			}
			calls = 0
		}
		r.call("e")
		w := r.ready()
		step("worker is ready")
		w.end(isolate.Exit{Code: 1})
		step("worker has died")
		done := r.stopping(0)
		step("engine stops")
		<-done
	})
}

// The keys of info are those of the original and ours (node-engine 1.4).
func TestInfoKeys(t *testing.T) {
	keys := func(v any) string {
		return strings.Join(slices.Sorted(maps.Keys(v.(map[string]any))), " ")
	}
	virtual(t, map[string]any{"pool-limit": 4, "x": "y"}, func(r *rig) {
		w := r.pool(1)[0]
		r.call("e")
		wait(1500 * time.Millisecond)
		doc := r.Info(engine.InfoOverseer)
		for path, want := range map[string]string{
			"":                 "load pool profile queue rate rate_mean requests timings timings_reversed uptime",
			"pool":             "active capacity idle slaves total:crashed total:spawned",
			"profile":          "name",
			"queue":            "capacity depth depth_average oldest_event_age",
			"requests":         "accepted rejected",
			"timings":          "50.00% 75.00% 90.00% 95.00% 98.00% 99.00% 99.95%",
			"timings_reversed": "1000ms 100ms 10ms 1ms 20ms 2ms 500ms 50ms 5ms",
		} {
			v := any(doc)
			if path != "" {
				v = doc[path]
			}
			if got := keys(v); got != want {
				t.Errorf("info %q has keys\n%s, want\n%s", path, got, want)
			}
		}
		slave := doc["pool"].(map[string]any)["slaves"].(map[string]any)[w.Worker]
		if got, want := keys(slave), "accepted load:rx load:total load:tx oldest_channel_age profile state uptime"; got != want {
			t.Errorf("slave has keys\n%s, want\n%s", got, want)
		}
		got := fmt.Sprint(slave)
		want := "map[accepted:1 load:rx:1 load:total:1 load:tx:1 oldest_channel_age:1500 profile:map[name:test] state:active uptime:1]"
		if got != want {
			t.Errorf("slave is\n%s, want\n%s", got, want)
		}
		if p := doc["pool"].(map[string]any); p["active"] != 1 || p["idle"] != 0 || p["capacity"] != 4 {
			t.Errorf("pool is %v", p)
		}
		if doc["manifest"] != nil {
			t.Error("manifest was not asked for")
		}
		doc = r.Info(engine.InfoMore)
		slave = doc["pool"].(map[string]any)["slaves"].(map[string]any)[w.Worker]
		if got, want := keys(doc), "health load pool profile queue rate rate_mean release requests timings timings_reversed uptime"; got != want {
			t.Errorf("more is\n%s, want\n%s", got, want)
		}
		if got, want := keys(doc["requests"]), "accepted expired rejected timeouts"; got != want || slave.(map[string]any)["pid"] != 4711 || doc["release"] != "7" {
			t.Errorf("more is %v", doc)
		}
		doc = r.Info(engine.InfoOverseer | engine.InfoManifest | engine.InfoProfile)
		if _, ok := doc["manifest"]; !ok {
			t.Error("no manifest")
		}
		if got := fmt.Sprint(doc["profile"].(map[string]any)["data"]); got != "map[pool-limit:4 x:y]" {
			t.Errorf("profile is %s", got)
		}
		r.client.Send(2, idl.AppInfo) // the app's own method gives the original's keys
		m, ok := r.client.Recv().Values()[0].(map[string]any)
		if !ok || m["load"] == nil || m["release"] != nil || m["state"] != nil {
			t.Errorf("app.info gave %v", m)
		}
	})
}

// Timings are those of whole requests, in ms.
func TestTimings(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		for i := range uint64(100) {
			ch := r.call("e")
			r.client.Send(ch, idl.Close)
			d := 10 * time.Millisecond
			if i%10 == 9 {
				d = 400 * time.Millisecond
			}
			wait(d)
			w.Send(2+i, idl.Close)
			r.client.Want(ch, idl.Close)
		}
		doc := r.Info(1)
		ts, back := doc["timings"].(map[string]any), doc["timings_reversed"].(map[string]any)
		near := func(v any, want float64) bool { f := v.(float64); return f >= want && f <= want*1.13 }
		if !near(ts["50.00%"], 10) || !near(ts["75.00%"], 10) || !near(ts["95.00%"], 400) || !near(ts["99.95%"], 400) {
			t.Errorf("timings are %v", ts)
		}
		tenth := 100 - back["20ms"].(float64) // of which the last weigh most
		if back["5ms"] != 0.0 || tenth < 10 || tenth > 10.1 || back["500ms"] != 100.0 {
			t.Errorf("reversed timings are %v", back)
		}
	})
}
