package node_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/node"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

func (r *rig) state(name string) node.State {
	synctest.Wait()
	a, err := r.App(name)
	if err != nil {
		return "gone"
	}
	return a.State()
}

// runlist is what the record says, "app=profile app=profile".
func (r *rig) runlist() string {
	r.t.Helper()
	b, err := r.store.Memory.Read(context.Background(), "runlists", "default")
	if errors.Is(err, fs.ErrNotExist) {
		return "missing"
	}
	r.must(err)
	list, err := manifest.DecodeRunlist("default", b)
	r.must(err)
	var out []string
	for app, profile := range list {
		out = append(out, app+"="+profile)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// node-engine 12.3 case 12 and 16: what is wrong with an app's records or code is
// said by the start; bad records leave no trace, bad code a broken app, which the
// next start replaces.
func TestStartFails(t *testing.T) {
	tests := []struct {
		name           string
		spoil          func(r *rig)
		category, code int
		text           string
		state          node.State
	}{
		{"no manifest", func(r *rig) { r.must(r.store.Remove(r.t.Context(), "manifests", "app")) }, idl.CategoryGeneric, idl.GenericNotFound, "manifest", "gone"},
		{"no profile", func(r *rig) { r.must(r.store.Remove(r.t.Context(), "profiles", "app")) }, idl.CategoryGeneric, idl.GenericNotFound, "profile", "gone"},
		{"manifest is no msgpack", func(r *rig) { r.write("manifests", "app", []byte{0xc1}) }, idl.CategoryGeneric, idl.GenericInvalid, "manifest", "gone"},
		{"manifest without slave", func(r *rig) { r.write("manifests", "app", []byte{0x80}) }, idl.CategoryGeneric, idl.GenericInvalid, "slave", "gone"},
		{"bad profile", func(r *rig) {
			r.write("profiles", "app", append(msgpack.AppendString([]byte{0x81}, "pool-limit"), 0))
		}, idl.CategoryGeneric, idl.GenericInvalid, "pool-limit", "gone"},
		{"code is no msgpack", func(r *rig) { r.write("apps", "app", []byte{0xc1}) }, idl.CategoryGeneric, idl.GenericInvalid, "code", "gone"},
		{"no code", func(r *rig) { r.must(r.store.Remove(r.t.Context(), "apps", "app")) }, idl.CategoryGeneric, idl.GenericNotFound, "no code", node.Broken},
		{"storage fails", func(r *rig) {
			r.store.before(func(op, _, _ string) error { return errors.New("disk on fire") })
		}, idl.CategoryGeneric, idl.GenericInvalid, "disk on fire", "gone"},
		{"broken archive", func(r *rig) {
			r.spool.before(func(context.Context, string, string) error { return errors.New(`cannot unpack: "../x" leads out`) })
		}, idl.CategoryNode, idl.NodeSpoolFailed, "leads out", node.Broken},
		{"no archive", func(r *rig) {
			r.spool.before(func(context.Context, string, string) error { return fmt.Errorf("cannot unpack: %w", archive.ErrFormat) })
		}, idl.CategoryUnknown, 84, "not a readable archive", node.Broken},
		{"unknown isolate", func(r *rig) {
			r.put("app", "echo", map[string]any{"isolate": map[string]any{"type": "docker"}})
		}, idl.CategoryRepository, idl.RepositoryNotRegistered, `no isolate "docker"`, "gone"},
		{"cannot listen for clients", func(r *rig) {
			r.pubs.before(func(op, _ string) error {
				if op == "open" {
					return errors.New("no port left")
				}
				return nil
			})
		}, idl.CategoryNode, idl.NodePublishFailed, "no port left", node.Broken},
		{"name is taken", func(r *rig) { r.pubs.names["app"] = true }, idl.CategoryNode, idl.NodePublishFailed, "taken", node.Broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				r.put("app", "echo", nil)
				tt.spoil(r)
				wantCode(t, r.Start(r.t.Context(), "app", "app"), tt.category, tt.code, tt.text)
				if s := r.state("app"); s != tt.state {
					t.Errorf("app is %s, want %s", s, tt.state)
				}
				if got := r.runlist(); got != "missing" {
					t.Errorf("runlist is %s", got)
				}
				if tt.name == "name is taken" && !r.pubs.resolves("app") {
					t.Error("the service that has the name does not resolve any more")
				}
				r.store.before(nil)
				r.pubs.before(nil)
				r.spool.before(nil)
				delete(r.pubs.names, "app")
				r.put("app", "echo", nil)
				r.must(r.Start(r.t.Context(), "app", "app"))
				r.echo(r.dial("app"), 1)
			})
		})
	}
}

// A failing socket directory is said by the start as well.
func TestRuntimeDirTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *node.Options) { o.RuntimeDir = "/" + strings.Repeat("x", 100) })
		r.put("app", "echo", nil)
		err := r.Start(r.t.Context(), "app", "app")
		if err == nil || !strings.Contains(err.Error(), "longer than 107 bytes") || r.state("app") != node.Broken {
			t.Errorf("start: %v", err)
		}
	})
}

// Sockets of apps and releases never share a path, however long the names.
func TestSocketPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *node.Options) { o.RuntimeDir = "/run/" + strings.Repeat("x", 60) })
		long := strings.Repeat("a", 100)
		seen := make(map[string]bool)
		for _, name := range []string{"app", long + "1", long + "2"} {
			r.put(name, "echo", nil)
			r.write("apps", name, msgpack.AppendString(nil, "the same code"))
			r.must(r.Deploy(r.t.Context(), name, name, nil))
			r.must(r.Deploy(r.t.Context(), name, name, nil))
		}
		for _, s := range r.fleet.spawned {
			path := s.Args[3]
			if seen[path] || len(path) > 107 {
				t.Errorf("path %s is too long or not the only one", path)
			}
			seen[path] = true
		}
		if len(seen) != 6 {
			t.Errorf("have %d paths, want 6", len(seen))
		}
	})
}

// While an app spools it can be neither started again nor called, and pause
// interrupts the spooling.
func TestPauseWhileSpooling(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("app", "echo", nil)
		r.spool.before(func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() })
		result, started := background(func() error { return r.Start(context.Background(), "app", "app") })
		wantCode(t, r.Start(r.t.Context(), "app", "app"), idl.CategoryNode, idl.NodeAlreadyStarted, "spooling")
		if over(started) {
			t.Fatal("start is over")
		}
		r.must(r.Pause(r.t.Context(), "app"))
		wantCode(t, result(), idl.CategoryNode, idl.NodeNotRunning, "interrupted")
		if s := r.state("app"); s != "gone" {
			t.Errorf("app is %s", s)
		}
		if got := r.runlist(); got != "missing" {
			t.Errorf("runlist is %s", got)
		}
		r.spool.before(nil)
		r.must(r.Start(r.t.Context(), "app", "app"))
	})
}

// A start goes on when its caller loses patience.
func TestStartOutlivesItsCaller(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("app", "echo", nil)
		r.spool.before(func(context.Context, string, string) error { time.Sleep(time.Second); return nil })
		ctx, cancel := context.WithCancel(r.t.Context())
		result, _ := background(func() error { return r.Start(ctx, "app", "app") })
		cancel()
		r.must(result())
		if s := r.state("app"); s != node.Running {
			t.Errorf("app is %s", s)
		}
		if got := r.runlist(); got != "app=app" {
			t.Errorf("runlist is %s", got)
		}
	})
}

// node-engine 12.3 case 11: pause drains, and other apps do not notice.
func TestPauseDrains(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("app", "slow", map[string]any{"seal-timeout": 20})
		r.start("other", "echo", nil)
		p, q := r.dial("app"), r.dial("other")
		p.Send(1, idl.AppEnqueue, "e")
		synctest.Wait()
		result, paused := background(func() error { return r.Pause(context.Background(), "app") })
		if r.pubs.resolves("app") {
			t.Error("app resolves while it drains")
		}
		if got := r.runlist(); got != "other=other" {
			t.Errorf("runlist is %s", got)
		}
		start := time.Now()
		r.echo(q, 1)
		for _, name := range []string{"app", "other"} {
			if _, err := r.Info(name, 7); err != nil {
				t.Error(err)
			}
		}
		r.start("third", "echo", nil)
		r.must(r.Pause(r.t.Context(), "third"))
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("the others waited %v", took)
		}
		p.Send(2, idl.AppEnqueue, "e")
		p.WantError(2, idl.CategoryGeneric, idl.GenericBrokenPipe)
		wait(19 * time.Second)
		if over(paused) {
			t.Error("pause did not wait")
		}
		wait(time.Second)
		if e, err := rpc.DecodeError(p.Recv().Args); err != nil || e.Message != "slave has been discarded" {
			t.Errorf("client got %v, %v", e, err)
		}
		r.must(result())
		p.WantClosed()
		if s := r.state("app"); s != "gone" {
			t.Errorf("app is %s", s)
		}
		if n := len(r.fleet.workers("app")); n != 0 {
			t.Errorf("%d workers are left", n)
		}
	})
}

// Several pauses of one app are one.
func TestPauseTwice(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("app", "slow", map[string]any{"seal-timeout": 20})
		r.dial("app").Send(1, idl.AppEnqueue, "e")
		synctest.Wait()
		one, _ := background(func() error { return r.Pause(context.Background(), "app") })
		two, done := background(func() error { return r.Pause(context.Background(), "app") })
		if over(done) {
			t.Error("the second pause did not wait for the first one")
		}
		r.must(one())
		r.must(two())
		wantCode(t, r.Pause(r.t.Context(), "app"), idl.CategoryNode, idl.NodeNotRunning)
	})
}

// node-engine 12.3 case 14: published from publish-on workers on, hidden below
// unpublish-under.
func TestPublishOn(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("app", "echo", map[string]any{"publish-on": 2, "unpublish-under": 1})
		want := func(shown bool, when string) {
			t.Helper()
			if r.pubs.resolves("app") != shown {
				t.Fatalf("resolves = %v %s", !shown, when)
			}
			if doc, err := r.Info("app", 0); err != nil || doc["publushed"] != shown {
				t.Fatalf("info is %v %s", doc, when)
			}
		}
		want(false, "without workers")
		a, err := r.App("app")
		r.must(err)
		lease := a.Lease()
		lease.Set(1)
		want(false, "with one worker")
		lease.Set(2)
		want(true, "with two workers")
		ws := r.fleet.workers("app")
		ws[0].end(exitStatus1)
		want(true, "with one worker left")
		ws[1].end(exitStatus1)
		want(false, "with no worker left")
		wait(time.Minute)
		want(true, "with two workers again")
	})
}

// A name that is taken when the app is to be published: the other one keeps it, and
// the app tries again.
func TestPublishLater(t *testing.T) {
	virtual(t, func(r *rig) {
		r.pubs.names["app"] = true
		r.start("app", "echo", map[string]any{"publish-on": 1})
		a, err := r.App("app")
		r.must(err)
		a.Lease().Set(1)
		wait(time.Minute)
		if doc, _ := r.Info("app", 0); doc["publushed"] != false || !r.pubs.resolves("app") {
			t.Errorf("info is %v", doc)
		}
		r.pubs.mu.Lock()
		delete(r.pubs.names, "app")
		r.pubs.mu.Unlock()
		wait(10 * time.Second)
		if doc, _ := r.Info("app", 0); doc["publushed"] != true || !r.pubs.resolves("app") {
			t.Errorf("info is %v", doc)
		}
	})
}

// Whatever one app waits for, nobody else does: reading storage, spooling, being
// published.
func TestNothingBlocksOthers(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("good", "echo", nil)
		never := make(chan struct{})
		r.store.before(func(_, _, key string) error {
			if key == "reading" {
				<-never
			}
			return nil
		})
		r.spool.before(func(ctx context.Context, app, _ string) error {
			if app == "spooling" {
				<-never
			}
			return nil
		})
		r.pubs.before(func(op, name string) error {
			if name == "showing" && op == "show" || name == "opening" && op == "open" {
				<-never
			}
			return nil
		})
		names := []string{"reading", "spooling", "showing", "opening"}
		var starts []func() error
		for _, name := range names {
			r.store.before(nil)
			r.put(name, "echo", nil)
		}
		r.store.before(func(_, _, key string) error {
			if key == "reading" {
				<-never
			}
			return nil
		})
		for _, name := range names {
			result, _ := background(func() error { return r.Start(context.Background(), name, name) })
			starts = append(starts, result)
		}
		r.echo(r.dial("good"), 1)
		r.start("better", "echo", nil)
		for _, name := range append(names, "good", "better") {
			if _, err := r.Info(name, 7); err != nil {
				t.Error(err)
			}
		}
		if got := len(r.Names()); got != 6 {
			t.Errorf("%d apps, want 6", got)
		}
		r.must(r.Pause(r.t.Context(), "better"))
		close(never)
		for _, result := range starts {
			r.must(result())
		}
	})
}

// What runs is remembered before the start is answered and forgotten by pause, and
// a stop of the runtime changes nothing.
func TestRunlist(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("a", "echo", nil)
		r.start("b", "echo", nil)
		r.put("c", "echo", nil)
		r.must(r.Deploy(r.t.Context(), "c", "c", nil))
		if got := r.runlist(); got != "a=a b=b c=c" {
			t.Errorf("runlist is %s", got)
		}
		r.must(r.Pause(r.t.Context(), "b"))
		r.put("b", "echo", nil)
		r.must(r.Deploy(r.t.Context(), "a", "b", nil)) // another profile
		if got := r.runlist(); got != "a=b c=c" {
			t.Errorf("runlist is %s", got)
		}
		r.must(r.Stop(r.t.Context()))
		if got := r.runlist(); got != "a=b c=c" {
			t.Errorf("runlist is %s", got)
		}
		next := r.node(nil)
		r.must(next.Boot(r.t.Context()))
		synctest.Wait()
		if got := next.Names(); fmt.Sprint(got) != "[a c]" {
			t.Errorf("apps are %v", got)
		}
		for _, name := range next.Names() {
			if doc, err := next.Info(name, 0); err != nil || doc["state"] != "running" {
				t.Errorf("info of %s is %v, %v", name, doc, err)
			}
		}
		wantCode(t, r.Start(r.t.Context(), "a", "a"), idl.CategoryNode, idl.NodeNotRunning, "shutting down")
	})
	t.Run("switched off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(o *node.Options) { o.Runlist = "" })
			r.start("a", "echo", nil)
			r.must(r.Boot(r.t.Context()))
			r.must(r.Pause(r.t.Context(), "a"))
			if got := r.runlist(); got != "missing" {
				t.Errorf("runlist is %s", got)
			}
		})
	})
	t.Run("cannot be read", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.write("runlists", "default", []byte{0xc1})
			if err := r.Boot(r.t.Context()); err == nil {
				t.Error("Boot read nonsense")
			}
			r.put("a", "echo", nil)
			err := r.Start(r.t.Context(), "a", "a")
			if err == nil || !strings.Contains(err.Error(), `app "a" runs, but`) || r.state("a") != node.Running {
				t.Errorf("start: %v", err)
			}
			err = r.Pause(r.t.Context(), "a")
			if err == nil || !strings.Contains(err.Error(), `app "a" is stopped, but`) || r.state("a") != "gone" {
				t.Errorf("pause: %v", err)
			}
		})
	})
	t.Run("pause right after start", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.put("a", "echo", nil)
			r.store.before(func(op, collection, _ string) error {
				if op == "write" && collection == "runlists" {
					time.Sleep(time.Second) // the pause comes before the start is remembered
				}
				return nil
			})
			started, _ := background(func() error { return r.Start(context.Background(), "a", "a") })
			paused, _ := background(func() error { return r.Pause(context.Background(), "a") })
			r.must(started())
			r.must(paused())
			if got := r.runlist(); got != "" || r.state("a") != "gone" {
				t.Errorf("runlist is %q, app is %s", got, r.state("a"))
			}
		})
	})
}

// Boot keeps trying, shows what is wrong, and leaves off when somebody else sees to
// the app.
func TestBootRetries(t *testing.T) {
	boot := func(r *rig) {
		b, err := manifest.Runlist{"app": "app"}.Encode()
		r.must(err)
		r.write("runlists", "default", b)
		r.must(r.Boot(r.t.Context()))
	}
	t.Run("until it works", func(t *testing.T) {
		virtual(t, func(r *rig) {
			boot(r)
			if s := r.state("app"); s != node.Broken {
				t.Errorf("app is %s, want broken", s)
			}
			doc, err := r.Info("app", 1)
			if err != nil || doc["error"] != idl.GenericNotFound {
				t.Errorf("info is %v, %v", doc, err)
			}
			wait(20 * time.Second)
			r.put("app", "echo", nil)
			wait(20 * time.Second)
			if s := r.state("app"); s != node.Running {
				t.Errorf("app is %s, want running", s)
			}
		})
	})
	t.Run("until it is paused", func(t *testing.T) {
		virtual(t, func(r *rig) {
			boot(r)
			wait(1500 * time.Millisecond)
			r.must(r.Pause(r.t.Context(), "app"))
			r.put("app", "echo", nil)
			wait(10 * time.Minute)
			if s := r.state("app"); s != "gone" {
				t.Errorf("app is %s, but it was paused", s)
			}
			if got := r.runlist(); got != "" {
				t.Errorf("runlist is %q", got)
			}
		})
	})
	t.Run("until it is started", func(t *testing.T) {
		virtual(t, func(r *rig) {
			boot(r)
			wait(1500 * time.Millisecond)
			r.put("app", "echo", nil)
			r.put("other", "echo", nil)
			r.must(r.Start(r.t.Context(), "app", "other"))
			wait(10 * time.Minute)
			if n := r.store.reads("manifests"); n > 3 {
				t.Errorf("manifests were read %d times", n)
			}
			if got := r.runlist(); got != "app=other" {
				t.Errorf("runlist is %q", got)
			}
		})
	})
	t.Run("until the node stops", func(t *testing.T) {
		virtual(t, func(r *rig) {
			boot(r)
			wait(1500 * time.Millisecond)
			r.must(r.Stop(r.t.Context()))
			if err := r.Boot(r.t.Context()); err == nil {
				t.Error("Boot after Stop")
			}
		})
	})
	t.Run("a name that cannot be", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.write("runlists", "default", append(msgpack.AppendString(msgpack.AppendString([]byte{0x81}, "storage"), "p"), nil...))
			r.must(r.Boot(r.t.Context()))
			wait(time.Minute)
			if got := r.Names(); len(got) != 0 {
				t.Errorf("apps are %v", got)
			}
		})
	})
}

// A node stops with apps in every state, in bounded time, and leaves nothing.
func TestStopInEveryState(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("idle", "echo", nil)
		r.start("busy", "slow", map[string]any{"seal-timeout": 3600})
		r.start("stubborn", "stubborn", map[string]any{"pool-min": 1})
		r.start("pausing", "slow", map[string]any{"seal-timeout": 3600})
		r.start("deploying", "echo", nil)
		r.start("replaced", "slow", map[string]any{"seal-timeout": 3600})
		r.start("failing", "exit", nil)
		r.put("spooling", "echo", nil)
		r.put("broken", "echo", nil)
		r.spool.before(func(ctx context.Context, app, _ string) error {
			switch app {
			case "spooling":
				<-ctx.Done()
				return ctx.Err()
			case "broken":
				return errors.New("not an archive")
			}
			return nil
		})
		if err := r.Start(r.t.Context(), "broken", "broken"); err == nil {
			t.Error("broken app started")
		}
		for _, name := range []string{"busy", "pausing", "replaced", "failing"} {
			r.dial(name).Send(1, idl.AppEnqueue, "e")
		}
		synctest.Wait()
		spooling, _ := background(func() error { return r.Start(context.Background(), "spooling", "spooling") })
		pausing, _ := background(func() error { return r.Pause(context.Background(), "pausing") })
		r.put("deploying", "mute", map[string]any{"handshake-timeout": 3600})
		deploying, _ := background(func() error { return r.Deploy(context.Background(), "deploying", "deploying", nil) })
		r.put("replaced", "echo", nil)
		r.must(r.Deploy(r.t.Context(), "replaced", "replaced", nil))
		ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		r.must(r.Stop(ctx))
		if took := time.Since(start); took > 60*time.Second {
			t.Errorf("stop took %v", took)
		}
		wantCode(t, spooling(), idl.CategoryNode, idl.NodeNotRunning)
		wantCode(t, deploying(), idl.CategoryNode, idl.NodeNotRunning)
		_, _ = pausing, deploying
		if got := r.Names(); len(got) != 0 {
			t.Errorf("apps are left: %v", got)
		}
		for _, name := range []string{"idle", "busy", "stubborn", "pausing", "deploying", "replaced", "failing", "spooling", "broken"} {
			if n := len(r.fleet.workers(name)); n > 0 && name != "pausing" {
				t.Errorf("%s has %d workers", name, n)
			}
		}
		wait(2 * time.Hour)
		r.must(pausing())
	})
}

// Crash records: the original's key, tags and value (node-engine 12.3 case 7), ours
// beside it, and no more of them than the limit.
func TestCrashRecords(t *testing.T) {
	virtual(t, func(r *rig) {
		var seen atomic.Int32
		r.Node = r.node(func(o *node.Options) {
			o.CrashLimit = 3
			o.Crashed = func(engine.Crash) { seen.Add(1) }
		})
		r.start("app", "exit", map[string]any{"queue-limit": 1000})
		start := time.Now()
		r.dial("app").Send(1, idl.AppEnqueue, "e")
		synctest.Wait()
		c := r.crashes("app", 10)[0]
		key := fmt.Sprintf("%d:%s", start.UnixMicro(), c.Worker)
		day := "cocaine-" + start.UTC().Format("2006-01-02")
		for _, collection := range []string{"crashlogs", "crashes"} {
			found, err := r.store.Find(r.t.Context(), collection, []string{"app", day})
			if err != nil || fmt.Sprint(found) != "["+key+"]" {
				t.Errorf("%s holds %v, %v, want %s", collection, found, err, key)
			}
		}
		record, err := r.store.Memory.Read(r.t.Context(), "crashlogs", key)
		want := msgpack.AppendString(msgpack.AppendArray(nil, 1), "cannot load library")
		if err != nil || string(record) != string(want) {
			t.Errorf("crash log is %x, %v, want %x", record, err, want)
		}
		if c.App != "app" || c.Exit != "exit status 2" || c.Code != 5 || fmt.Sprint(c.Lines) != "[cannot load library]" {
			t.Errorf("crash is %+v", c)
		}
		wait(time.Hour)
		list := r.crashes("app", 10)
		if len(list) != 3 || !slices.IsSortedFunc(list, func(a, b engine.Crash) int { return b.Time.Compare(a.Time) }) {
			t.Errorf("crashes are %+v", list)
		}
		if n := seen.Load(); n < 10 {
			t.Errorf("only %d crashes in an hour", n)
		}
		for _, collection := range []string{"crashlogs", "crashes"} {
			if found, _ := r.store.Find(r.t.Context(), collection, []string{"app"}); len(found) != 3 {
				t.Errorf("%s holds %d records, want 3", collection, len(found))
			}
		}
		if got := r.crashes("app", 2); len(got) != 2 || got[0].Worker != list[0].Worker {
			t.Errorf("the latest two are %+v", got)
		}
		if got := r.crashes("other", 2); len(got) != 0 {
			t.Errorf("another app has crashes %+v", got)
		}
	})
	t.Run("storage fails", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.start("app", "exit", nil)
			r.store.before(func(_, collection, _ string) error {
				if strings.HasPrefix(collection, "crash") {
					return errors.New("disk full")
				}
				return nil
			})
			p := r.dial("app")
			p.Send(1, idl.AppEnqueue, "e")
			wait(time.Minute)
			f := p.Recv()
			if e, err := rpc.DecodeError(f.Args); err != nil || e.Code != idl.NodeNoResources || !strings.Contains(e.Message, "cannot load library") {
				t.Errorf("client got %v", f)
			}
			r.must(r.Pause(r.t.Context(), "app"))
		})
	})
}

func (r *rig) crashes(app string, limit int) []engine.Crash {
	r.t.Helper()
	list, err := r.Crashes(r.t.Context(), app, limit)
	r.must(err)
	return list
}

// Lines of workers go where the options and the profile say.
func TestOutput(t *testing.T) {
	virtual(t, func(r *rig) {
		var mu sync.Mutex
		var lines []string
		var log strings.Builder // its handler has a lock
		r.Node = r.node(func(o *node.Options) {
			o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			o.Output = func(app, worker string, line []byte, stderr bool) {
				mu.Lock()
				defer mu.Unlock()
				lines = append(lines, fmt.Sprintf("%s %d %s %v", app, len(worker), line, stderr))
			}
		})
		r.start("app", "exit", map[string]any{"log-output": true})
		r.dial("app").Send(1, idl.AppEnqueue, "e")
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if fmt.Sprint(lines) != "[app 36 cannot load library true]" {
			t.Errorf("output is %q", lines)
		}
		if !strings.Contains(log.String(), `line="cannot load library"`) {
			t.Errorf("log is\n%s", log.String())
		}
	})
}

// Nodes that share a runlist lose none of each other's changes.
func TestSharedRunlist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		other := r.node(nil)
		r.store.before(func(op, collection, _ string) error {
			for i := 0; i < 1000 && op == "write" && collection == "runlists"; i++ {
				runtime.Gosched() // between its reading and its writing, the other may do either
			}
			return nil
		})
		var want []string
		var starts sync.WaitGroup
		for i := range 20 {
			name := fmt.Sprintf("app%02d", i)
			want = append(want, name+"="+name)
			r.put(name, "echo", nil)
			n := r.Node
			if i%2 == 1 {
				n = other
			}
			starts.Go(func() {
				if err := n.Start(context.Background(), name, name); err != nil {
					t.Error(err)
				}
			})
		}
		starts.Wait()
		if got := r.runlist(); got != strings.Join(want, " ") {
			t.Errorf("runlist is %q", got)
		}
		r.must(other.Stop(context.Background()))
	})
}
