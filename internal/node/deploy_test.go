package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/node"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// release is the release of an app that answers now.
func (r *rig) release(name string) string {
	r.t.Helper()
	doc, err := r.Info(name, engine.InfoOverseer|engine.InfoMore)
	r.must(err)
	return doc["release"].(string)
}

// A deployment brings up the new release beside the old one; requests that run
// finish on the old one, new ones go to the new one, on connections that are open.
func TestDeploy(t *testing.T) {
	virtual(t, func(r *rig) {
		var steps []string
		progress := func(stage, _ string) { steps = append(steps, stage) }
		r.put("app", "echo", nil)
		r.must(r.Deploy(r.t.Context(), "app", "app", progress))
		if got := strings.Join(steps, " "); got != "load spool start ready" {
			t.Errorf("steps are %s", got)
		}
		if got := r.release("app"); got != "1" || r.runlist() != "app=app" {
			t.Errorf("release is %s, runlist %s", got, r.runlist())
		}
		p := r.dial("app")
		p.Send(1, idl.AppEnqueue, "old")
		p.Send(1, idl.Write, "a")
		p.Want(1, idl.Write, "a")
		old := r.fleet.workers("app")[0]

		r.put("app", "echo", map[string]any{"concurrency": 5})
		steps = nil
		r.must(r.Deploy(r.t.Context(), "app", "app", progress))
		if got := strings.Join(steps, " "); got != "load spool start ready" {
			t.Errorf("steps are %s", got)
		}
		if got := r.release("app"); got != "2" {
			t.Errorf("release is %s, want 2", got)
		}
		r.echo(p, 2)
		if n := len(r.fleet.workers("app")); n != 2 {
			t.Errorf("%d workers, want the old one and a new one", n)
		}
		wait(10 * time.Second)
		p.Send(1, idl.Write, "b")
		p.Want(1, idl.Write, "b") // the old one is still at it
		p.Send(1, idl.Close)
		p.Want(1, idl.Close)
		synctest.Wait()
		if ws := r.fleet.workers("app"); len(ws) != 1 || ws[0] == old {
			t.Errorf("%d workers, want the new one only", len(ws))
		}
		r.must(r.Deploy(r.t.Context(), "app", "app", nil)) // nothing has changed: a fresh start of the same release
		if got := r.release("app"); got != "2" {
			t.Errorf("release is %s, want 2", got)
		}
		r.echo(p, 3)
		wait(time.Minute)
		r.fleet.workers("app")[0].end(exitStatus1)
		wait(time.Second) // the next one finds its socket
		r.echo(p, 4)
	})
}

// The numbers of releases survive restarts.
func TestReleaseNumbers(t *testing.T) {
	virtual(t, func(r *rig) {
		for i := range 3 {
			r.put("app", "echo", map[string]any{"concurrency": i + 1})
			r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		}
		r.must(r.Stop(r.t.Context()))
		r.Node = r.node(nil)
		r.must(r.Start(r.t.Context(), "app", "app"))
		if got := r.release("app"); got != "3" {
			t.Errorf("release is %s, want 3", got)
		}
		r.put("app", "echo", map[string]any{"concurrency": 9})
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		if got := r.release("app"); got != "4" {
			t.Errorf("release is %s, want 4", got)
		}
		r.write("releases", "app", []byte{0xc1})
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		if got := r.release("app"); got != "1" {
			t.Errorf("release is %s, want 1: the record was unreadable", got)
		}
	})
}

// A deployment that fails changes nothing, whatever it fails at.
func TestDeployFails(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(r *rig) (context.Context, context.CancelFunc)
		text  string
	}{
		{"worker dies", func(r *rig) (context.Context, context.CancelFunc) {
			r.put("app", "exit", nil)
			return context.WithCancel(r.t.Context())
		}, "cannot load library"},
		{"worker says nothing", func(r *rig) (context.Context, context.CancelFunc) {
			r.put("app", "mute", nil)
			return context.WithCancel(r.t.Context())
		}, "did not shake hands"},
		{"patience ends", func(r *rig) (context.Context, context.CancelFunc) {
			r.put("app", "mute", nil)
			return context.WithTimeout(r.t.Context(), time.Second)
		}, "deadline exceeded"},
		{"archive is broken", func(r *rig) (context.Context, context.CancelFunc) {
			r.spool.before(func(context.Context, string, string) error { return errors.New("not an archive") })
			return context.WithCancel(r.t.Context())
		}, "not an archive"},
		{"manifest is missing", func(r *rig) (context.Context, context.CancelFunc) {
			r.must(r.store.Remove(r.t.Context(), "manifests", "app"))
			return context.WithCancel(r.t.Context())
		}, "manifest"},
		{"isolate is unknown", func(r *rig) (context.Context, context.CancelFunc) {
			r.put("app", "echo", map[string]any{"isolate": map[string]any{"type": "docker"}})
			return context.WithCancel(r.t.Context())
		}, "docker"},
		{"profile is missing", func(r *rig) (context.Context, context.CancelFunc) {
			r.must(r.store.Remove(r.t.Context(), "profiles", "app"))
			return context.WithCancel(r.t.Context())
		}, "profile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				r.put("app", "echo", nil)
				r.must(r.Deploy(r.t.Context(), "app", "app", nil))
				p := r.dial("app")
				r.echo(p, 1)
				old := r.fleet.workers("app")[0]
				ctx, cancel := tt.spoil(r)
				defer cancel()
				err := r.Deploy(ctx, "app", "app", nil)
				if err == nil || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error is %v, want %q in it", err, tt.text)
				}
				r.echo(p, 2)
				if ws := r.fleet.workers("app"); len(ws) != 1 || ws[0] != old {
					t.Errorf("%d workers, want the old one", len(ws))
				}
				if got := r.release("app"); got != "1" || r.state("app") != node.Running || r.runlist() != "app=app" || !r.pubs.resolves("app") {
					t.Errorf("release is %s, app is %s", got, r.state("app"))
				}
				if !r.spool.keeps("app", old.spawn.Dir) {
					t.Error("code of the release that runs may be removed")
				}
				r.spool.before(nil)
				r.put("app", "echo", nil)
				r.must(r.Deploy(r.t.Context(), "app", "app", nil))
				r.echo(p, 3)
			})
		})
	}
}

// The first deployment of an app that does not become ready leaves nothing.
func TestFirstDeployFails(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("app", "exit", nil)
		wantCode(t, r.Deploy(r.t.Context(), "app", "app", nil), idl.CategoryNode, idl.NodeNoResources, "cannot load library", "exit status 2")
		if s := r.state("app"); s != "gone" || r.pubs.resolves("app") || r.runlist() != "missing" {
			t.Errorf("app is %s, runlist %s", s, r.runlist())
		}
		r.put("app", "mute", nil)
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
		defer cancel()
		if err := r.Deploy(ctx, "app", "app", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		if n := len(r.fleet.workers("app")); n != 0 || r.state("app") != "gone" {
			t.Errorf("%d workers are left of an app that is %s", n, r.state("app"))
		}
		gone, leave := context.WithCancel(r.t.Context())
		leave()
		r.put("app", "echo", nil)
		for range 20 { // whichever of two things a select looks at first
			if err := r.Deploy(gone, "app", "app", nil); !errors.Is(err, context.Canceled) || r.state("app") != "gone" {
				t.Errorf("error is %v, app is %s", err, r.state("app"))
			}
		}
		wantCode(t, r.Deploy(r.t.Context(), "no/name", "app", nil), idl.CategoryGeneric, idl.GenericInvalid)
		r.put("app", "echo", nil)
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
	})
}

// A broken app is deployed anew.
func TestDeployOfABrokenApp(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("app", "echo", nil)
		r.must(r.store.Remove(r.t.Context(), "apps", "app"))
		if err := r.Start(r.t.Context(), "app", "app"); err == nil {
			t.Fatal("started without code")
		}
		r.put("app", "echo", nil)
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		r.echo(r.dial("app"), 1)
	})
}

// Code is not removed under an engine that drains, nor before a release that is on
// its way has come up; later it may be.
func TestCodeInUse(t *testing.T) {
	virtual(t, func(r *rig) {
		deploy := func(i int) string {
			r.put("app", "slow", nil)
			r.write("apps", "app", append([]byte{0xa5}, fmt.Sprintf("code%d", i)...))
			r.must(r.Deploy(r.t.Context(), "app", "app", nil))
			r.fleet.mu.Lock()
			defer r.fleet.mu.Unlock()
			return r.fleet.spawned[len(r.fleet.spawned)-1].Dir
		}
		p := r.dial
		one := deploy(1)
		c1 := p("app")
		c1.Send(1, idl.AppEnqueue, "e")
		synctest.Wait()
		two := deploy(2)
		c2 := p("app")
		c2.Send(1, idl.AppEnqueue, "e")
		synctest.Wait()
		three := deploy(3)
		keeps := func(want ...string) {
			t.Helper()
			synctest.Wait()
			for _, dir := range []string{one, two, three} {
				if got := r.spool.keeps("app", dir); got != slices.Contains(want, dir) {
					t.Errorf("code %s is kept: %v", dir, got)
				}
			}
		}
		keeps(one, two, three)
		c1.Close() // its end lets the first release go: the third must stay
		keeps(two, three)
		c2.Close()
		keeps(three)
		r.spool.before(func(_ context.Context, _, code string) error {
			keeps(three)
			return errors.New("not an archive")
		})
		r.write("apps", "app", []byte{0xa1, 'x'})
		if err := r.Deploy(r.t.Context(), "app", "app", nil); err == nil {
			t.Error("broken archive was deployed")
		}
		keeps(three)
	})
}

// Pause interrupts a deployment, and gives both releases the time to drain.
func TestPauseDuringDeploy(t *testing.T) {
	t.Run("before the swap", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.put("app", "echo", nil)
			r.must(r.Deploy(r.t.Context(), "app", "app", nil))
			r.put("app", "mute", map[string]any{"handshake-timeout": 3600})
			deploy, _ := background(func() error { return r.Deploy(context.Background(), "app", "app", nil) })
			start := time.Now()
			r.must(r.Pause(r.t.Context(), "app"))
			wantCode(t, deploy(), idl.CategoryNode, idl.NodeNotRunning, "stopping")
			if took := time.Since(start); took > time.Second {
				t.Errorf("pause took %v", took)
			}
			if n := len(r.fleet.workers("app")); n != 0 || r.state("app") != "gone" || r.runlist() != "" {
				t.Errorf("%d workers are left, app is %s", n, r.state("app"))
			}
		})
	})
	t.Run("after the swap", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.put("app", "echo", map[string]any{"seal-timeout": 30})
			r.must(r.Deploy(r.t.Context(), "app", "app", nil))
			p := r.dial("app")
			for ch := range uint64(2) {
				p.Send(1+ch, idl.AppEnqueue, "e")
				p.Send(1+ch, idl.Write, "x")
				p.Want(1+ch, idl.Write, "x")
				if ch == 0 {
					r.must(r.Deploy(r.t.Context(), "app", "app", nil))
				}
			}
			pause, paused := background(func() error { return r.Pause(context.Background(), "app") })
			wait(20 * time.Second)
			for ch := range uint64(2) { // both releases still answer
				p.Send(1+ch, idl.Write, "y")
				p.Want(1+ch, idl.Write, "y")
			}
			p.Send(1, idl.Close)
			p.Want(1, idl.Close)
			if over(paused) {
				t.Error("pause is over before the last request")
			}
			p.Send(2, idl.Close)
			p.Want(2, idl.Close)
			r.must(pause())
			wait(time.Minute)
		})
	})
}

// Deployments of one app take turns.
func TestDeploysTakeTurns(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("app", "echo", nil)
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		r.spool.before(func(context.Context, string, string) error { time.Sleep(time.Second); return nil })
		start := time.Now()
		var results []func() error
		for range 3 {
			result, _ := background(func() error { return r.Deploy(context.Background(), "app", "app", nil) })
			results = append(results, result)
		}
		ctx, cancel := context.WithTimeout(r.t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := r.Deploy(ctx, "app", "app", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deployment without patience: %v", err)
		}
		for _, result := range results {
			r.must(result())
		}
		if took := time.Since(start); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("three deployments took %v", took)
		}
	})
	t.Run("after a start", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.put("app", "echo", nil)
			r.spool.before(func(context.Context, string, string) error { time.Sleep(time.Second); return nil })
			start, _ := background(func() error { return r.Start(context.Background(), "app", "app") })
			r.must(r.Deploy(r.t.Context(), "app", "app", nil))
			r.must(start())
		})
	})
}

// A new release starts with what the present load takes, and with as many workers
// as it takes to be published.
func TestDeploySize(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("app", "echo", map[string]any{"concurrency": 2, "pool-limit": 20, "grow-threshold": 1})
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		p := r.dial("app")
		for ch := range uint64(7) {
			p.Send(1+ch, idl.AppEnqueue, "e")
			synctest.Wait()
		}
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		doc, err := r.Info("app", 1)
		r.must(err)
		if n := len(doc["pool"].(map[string]any)["slaves"].(map[string]any)); n != 4 {
			t.Errorf("%d workers for 7 requests, 2 at a time, want 4", n)
		}
		r.put("app", "echo", map[string]any{"publish-on": 3, "unpublish-under": 3})
		if !r.pubs.resolves("app") {
			t.Error("app does not resolve")
		}
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		if !r.pubs.resolves("app") {
			t.Error("app does not resolve after a deployment that asks for three workers")
		}
	})
}

// What the control channels said holds for the next release too.
func TestControlSurvivesDeploy(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("app", "echo", map[string]any{"pool-limit": 5})
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		p := r.dial("app")
		p.Send(1, idl.AppControl)
		p.Send(1, idl.Write, 3)
		synctest.Wait()
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		synctest.Wait()
		if n := len(r.fleet.workers("app")); n != 3 {
			t.Errorf("%d workers, want 3", n)
		}
		p.Send(1, idl.Write, 2)
		if n := len(r.fleet.workers("app")); n != 2 {
			t.Errorf("%d workers, want 2", n)
		}
	})
}

// The watcher misses nothing that happens during a deployment.
func TestPublishingDuringDeploy(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("app", "echo", map[string]any{"publish-on": 1, "unpublish-under": 1})
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		r.put("app", "mute", map[string]any{"handshake-timeout": 10})
		deploy, _ := background(func() error { return r.Deploy(context.Background(), "app", "app", nil) })
		for _, w := range r.fleet.workers("app") {
			if w.mode == "echo" {
				w.end(exitStatus1)
			}
		}
		if r.pubs.resolves("app") {
			t.Error("app resolves without a worker")
		}
		wait(time.Second)
		if !r.pubs.resolves("app") {
			t.Error("app does not resolve with a new worker")
		}
		if err := deploy(); err == nil {
			t.Error("a mute release was deployed")
		}
	})
}

// What a new profile says of publishing holds from the deployment on.
func TestDeployPublishes(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("app", "echo", map[string]any{"publish-on": 5})
		if r.pubs.resolves("app") {
			t.Fatal("app resolves without workers")
		}
		r.put("app", "echo", nil)
		r.must(r.Deploy(r.t.Context(), "app", "app", nil))
		if !r.pubs.resolves("app") {
			t.Error("app does not resolve, publish-on is 0")
		}
	})
}

// Twenty deployments under a load of calls over real sockets: not one call fails,
// and each is answered by the release that was there when it came or a later one.
func TestDeployUnderLoad(t *testing.T) {
	r := &rig{t: t, store: newStore(), pubs: newPublisher(), spool: new(spooler), fleet: newFleet()}
	tcp := &tcpPublisher{}
	n := node.New(node.Options{Storage: r.store, Publisher: tcp, Spooler: r.spool,
		Isolates: map[string]isolate.Isolate{"process": unixFleet{r.fleet}}, RuntimeDir: t.TempDir()})
	r.Node = n
	r.put("app", "echo", map[string]any{"concurrency": 20, "pool-limit": 4, "queue-limit": 1000})
	r.must(n.Deploy(t.Context(), "app", "app", nil))

	var calls, releases atomic.Int64
	var stop atomic.Bool
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			s, err := rpc.Dial(t.Context(), "tcp", tcp.ln.Addr().String(), rpc.SessionOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Wait()
			defer s.Close()
			var last string
			for !stop.Load() {
				release, err := story(t.Context(), s)
				if err != nil {
					t.Error(err)
					return
				}
				if len(release) < len(last) || len(release) == len(last) && release < last {
					t.Errorf("answered by release %s after %s", release, last)
				}
				if release != last {
					releases.Add(1)
				}
				last = release
				calls.Add(1)
			}
		})
	}
	for i := range 20 {
		r.put("app", "echo", map[string]any{"concurrency": 20, "pool-limit": 4, "queue-limit": 1000, "revision": i})
		r.must(n.Deploy(t.Context(), "app", "app", nil))
		for was := calls.Load(); calls.Load() < was+50 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	stop.Store(true)
	load.Wait()
	t.Logf("%d calls, %d times the release changed", calls.Load(), releases.Load())
	ctx, cancel := context.WithTimeout(t.Context(), rpctest.Patience)
	defer cancel()
	r.must(n.Stop(ctx))
	if ws := len(r.fleet.running); ws != 0 {
		t.Errorf("%d workers are left", ws)
	}
}

// story makes one call and returns the release that has answered it.
func story(ctx context.Context, s *rpc.Session) (release string, err error) {
	method := idl.App.Method("enqueue")
	st, err := s.Call(ctx, idl.AppEnqueue, []byte{0x91, 0xa1, 'e'}, rpc.CallOptions{
		Headers: []hpack.Header{{Name: engine.StoryHeader, Value: "1"}}, Send: method.Next, Recv: method.Reply.Node,
		Then: []rpc.Outgoing{{Type: idl.Write, Args: []byte{0x91, 0xa1, 'x'}}, {Type: idl.Close}},
	})
	if err != nil {
		return "", err
	}
	if _, err := st.Recv(ctx); err != nil {
		return "", err
	}
	if m, err := st.Recv(ctx); !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("got %v, %v instead of the end", m, err)
	}
	release, _ = hpack.Lookup(st.Trailer(), engine.ReleaseHeader)
	return release, nil
}

// tcpPublisher serves one app on a TCP port.
type tcpPublisher struct{ ln net.Listener }

func (p *tcpPublisher) Open(_ context.Context, name string, a rpc.Acceptor) (node.Publication, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.ln = ln
	f := &tcpFront{server: rpc.NewServer(rpc.ServerOptions{})}
	f.wg.Go(func() { _ = f.server.Serve(context.Background(), ln, a) })
	return f, nil
}

type tcpFront struct {
	server *rpc.Server
	wg     sync.WaitGroup
}

func (f *tcpFront) Show(context.Context) error { return nil }
func (f *tcpFront) Hide()                      {}
func (f *tcpFront) Close(ctx context.Context) error {
	err := f.server.Shutdown(ctx)
	f.wg.Wait()
	return err
}

// unixFleet is a fleet whose workers connect to unix sockets.
type unixFleet struct{ *fleet }

func (f unixFleet) Spawn(ctx context.Context, s isolate.Spawn) (isolate.Process, error) {
	return f.spawn(ctx, s, func() (net.Conn, error) { return net.Dial("unix", s.Args[3]) })
}
