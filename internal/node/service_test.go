package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

func keys(v any) string {
	return strings.Join(slices.Sorted(maps.Keys(v.(map[string]any))), " ")
}

// The conversation of a tool with the node service, as captured from the original:
// list, start, info, pause, and everything again.
func TestConversation(t *testing.T) {
	virtual(t, func(r *rig) {
		r.put("cap", "echo", nil)
		p := r.service(r.Node)
		p.Send(1, idl.NodeList)
		p.Want(1, idl.Value, []any{})
		p.Send(2, idl.NodeStartApp, "cap", "cap")
		p.Want(2, idl.Value)
		p.Send(3, idl.NodeStartApp, "cap", "cap")
		if text := p.WantError(3, idl.CategoryNode, idl.NodeAlreadyStarted); !strings.Contains(text, "running") {
			t.Errorf("text %q does not say the state", text)
		}
		p.Send(4, idl.NodeList)
		p.Want(4, idl.Value, []any{"cap"})
		p.Send(5, idl.NodeInfo, "nosuch")
		p.WantError(5, idl.CategoryGeneric, idl.GenericInvalid)
		p.Send(6, idl.NodeStartApp, "nosuch", "cap")
		p.WantError(6, idl.CategoryGeneric, idl.GenericNotFound)
		p.Send(7, idl.NodeStartApp, "nosuch", "noprofile")
		p.WantError(7, idl.CategoryGeneric, idl.GenericNotFound)
		p.Send(8, idl.NodeList)
		p.Want(8, idl.Value, []any{"cap"}) // the failed one did not stay
		p.Send(9, idl.NodePauseApp, "nosuch")
		p.WantError(9, idl.CategoryNode, idl.NodeNotRunning)
		p.Send(10, idl.NodePauseApp, "cap")
		p.Want(10, idl.Value)
		p.Send(11, idl.NodePauseApp, "cap")
		p.WantError(11, idl.CategoryNode, idl.NodeNotRunning)
		p.Send(12, idl.NodeList)
		p.Want(12, idl.Value, []any{})
		for i, args := range [][]any{{}, {"cap"}, {1, 2}, {"cap", nil}} {
			ch := uint64(13 + i)
			p.Send(ch, idl.NodeStartApp, args...)
			p.WantError(ch, idl.CategoryDispatch, idl.DispatchBadArgs)
		}
		for i, name := range []string{"", "..", "a/b", "storage", "a\x00"} {
			ch := uint64(20 + i)
			p.Send(ch, idl.NodeStartApp, name, "cap")
			p.WantError(ch, idl.CategoryGeneric, idl.GenericInvalid)
		}
		r.put("an app: ä", "echo", nil)
		p.Send(30, idl.NodeStartApp, "an app: ä", "an app: ä")
		p.Want(30, idl.Value)
		r.echo(r.dial("an app: ä"), 1)
	})
}

// node-engine 12.3 case 13: the keys of info for each combination of flags, and for
// apps that do not run. 2 and 4 mean nothing without 1.
func TestInfoKeys(t *testing.T) {
	const (
		brief      = "publushed state uptime"
		report     = "load pool profile publushed queue rate rate_mean requests state timings timings_reversed uptime"
		whole      = "load manifest pool profile publushed queue rate rate_mean requests state timings timings_reversed uptime"
		moreBrief  = "published publushed state uptime"
		moreReport = "health load pool profile published publushed queue rate rate_mean release requests state timings timings_reversed uptime"
		moreWhole  = "health load manifest pool profile published publushed queue rate rate_mean release requests state timings timings_reversed uptime"
	)
	virtual(t, func(r *rig) {
		r.start("app", "echo", map[string]any{"pool-limit": 3})
		r.echo(r.dial("app"), 1)
		wait(2500 * time.Millisecond)
		p := r.service(r.Node)
		for flags, want := range []string{
			brief, report, brief, whole, brief, report, brief, whole,
			moreBrief, moreReport, moreBrief, moreWhole, moreBrief, moreReport, moreBrief, moreWhole,
		} {
			ch := uint64(1 + flags)
			p.Send(ch, idl.NodeInfo, "app", flags)
			doc := p.Recv().Values()[0].(map[string]any)
			if got := keys(doc); got != want {
				t.Errorf("flags %d give\n%s, want\n%s", flags, got, want)
			}
			if doc["state"] != "running" || doc["publushed"] != true || flags >= 8 && doc["published"] != true || fmt.Sprint(doc["uptime"]) != "2" {
				t.Errorf("flags %d give %v", flags, doc)
			}
			if flags&1 != 0 {
				want := "name"
				if flags&4 != 0 {
					want = "data name"
				}
				if got := keys(doc["profile"]); got != want {
					t.Errorf("flags %d give profile %v", flags, doc["profile"])
				}
			}
			if flags == 7 {
				if fmt.Sprint(doc["manifest"]) != "map[environment:map[MODE:echo] slave:run]" || fmt.Sprint(doc["profile"]) != "map[data:map[pool-limit:3] name:app]" {
					t.Errorf("manifest is %v, profile %v", doc["manifest"], doc["profile"])
				}
			}
		}
		p.Send(17, idl.NodeInfo, "app") // no flags
		if got := keys(p.Recv().Values()[0]); got != brief {
			t.Errorf("no flags give %s", got)
		}
		p.Send(18, idl.NodeInfo, "app", 1<<16) // one that nobody knows
		if got := keys(p.Recv().Values()[0]); got != brief {
			t.Errorf("unknown flags give %s", got)
		}
	})
	t.Run("spooling", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.put("app", "echo", nil)
			r.spool.before(func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() })
			_, _ = background(func() error { return r.Start(context.Background(), "app", "app") })
			for flags := range 16 {
				doc, err := r.Info("app", flags)
				if err != nil || fmt.Sprint(doc) != "map[state:spooling]" {
					t.Errorf("info is %v, %v", doc, err)
				}
			}
		})
	})
	t.Run("broken", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.put("app", "echo", nil)
			r.spool.before(func(context.Context, string, string) error { return errors.New("not an archive") })
			wantCode(t, r.Start(r.t.Context(), "app", "app"), idl.CategoryNode, idl.NodeSpoolFailed, "not an archive")
			doc, err := r.Info("app", 1)
			if err != nil || fmt.Sprint(doc) != "map[cause:not an archive error:7 state:broken]" {
				t.Errorf("info is %v, %v", doc, err)
			}
		})
	})
	t.Run("stopping", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.start("app", "slow", nil)
			r.dial("app").Send(1, idl.AppEnqueue, "e")
			synctest.Wait()
			_, _ = background(func() error { return r.Pause(context.Background(), "app") })
			doc, err := r.Info("app", 1)
			if err != nil || doc["state"] != "stopping" || doc["load"] != 1 || doc["publushed"] != false {
				t.Errorf("info is %v, %v", doc, err)
			}
			wantCode(t, r.Start(r.t.Context(), "app", "app"), idl.CategoryNode, idl.NodeAlreadyStarted, "stopping")
			wantCode(t, r.Deploy(r.t.Context(), "app", "app", nil), idl.CategoryNode, idl.NodeNotRunning, "stopping")
			wait(time.Minute)
		})
	})
}

// Control through the node, as captured: the size is obeyed, a client that goes
// gives it up, an unknown app is an error (in the original the connection ends).
func TestControl(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("app", "echo", map[string]any{"pool-limit": 5})
		p := r.service(r.Node)
		p.Send(1, idl.NodeControl, "app")
		p.Send(1, idl.Write, 3)
		if n := len(r.fleet.workers("app")); n != 3 {
			t.Errorf("%d workers, want 3", n)
		}
		p.Send(1, idl.Write, 1)
		if n := len(r.fleet.workers("app")); n != 1 {
			t.Errorf("%d workers, want 1", n)
		}
		other := r.dial("app") // the app's own method shares the size
		other.Send(1, idl.AppControl)
		other.Send(1, idl.Write, 4)
		if n := len(r.fleet.workers("app")); n != 4 {
			t.Errorf("%d workers, want 4", n)
		}
		other.Close()
		if n := len(r.fleet.workers("app")); n != 1 {
			t.Errorf("%d workers, want 1 again", n)
		}
		p.Close()
		if n := len(r.fleet.workers("app")); n != 1 {
			t.Errorf("%d workers, want 1 still", n)
		}
	})
	t.Run("no such app", func(t *testing.T) {
		virtual(t, func(r *rig) {
			p := r.service(r.Node)
			p.Send(1, idl.NodeControl, "nosuch")
			p.WantError(1, idl.CategoryNode, idl.NodeNotRunning)
			p.Send(1, idl.Write, 3)
			p.Send(2, idl.NodeControl, 5)
			p.WantError(2, idl.CategoryDispatch, idl.DispatchBadArgs)
			p.Send(3, idl.NodeList)
			p.Want(3, idl.Value, []any{})
		})
	})
	t.Run("broken app", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.put("app", "echo", nil)
			r.must(r.store.Remove(r.t.Context(), "apps", "app"))
			if err := r.Start(r.t.Context(), "app", "app"); err == nil {
				t.Fatal("started without code")
			}
			p := r.service(r.Node)
			p.Send(1, idl.NodeControl, "app")
			if text := p.WantError(1, idl.CategoryNode, idl.NodeNotRunning); !strings.Contains(text, "broken") {
				t.Errorf("text is %q", text)
			}
		})
	})
}

// node-engine 12.3 case 19: enqueue through the node, as peers of a cluster do.
// Every refusal is an error of the stream; the connection stays.
func TestEnqueueThroughTheNode(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start("app", "echo", nil)
		r.start("full", "mute", map[string]any{"queue-limit": 1})
		r.start("slow", "slow", nil)
		r.put("broken", "echo", nil)
		r.put("spooling", "echo", nil)
		r.spool.before(func(ctx context.Context, app, _ string) error {
			if app == "broken" {
				return errors.New("not an archive")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if err := r.Start(r.t.Context(), "broken", "broken"); err == nil {
			t.Fatal("broken app started")
		}
		_, _ = background(func() error { return r.Start(context.Background(), "spooling", "spooling") })
		r.dial("slow").Send(1, idl.AppEnqueue, "e")
		synctest.Wait()
		_, _ = background(func() error { return r.Pause(context.Background(), "slow") })
		p := r.service(r.Node)
		header := []hpack.Header{{Name: "x-user", Value: "ann"}}
		p.SendHeaders(header, 1, idl.NodeEnqueue, "app", "ping")
		p.Send(1, idl.Write, "via node")
		p.Send(1, idl.Close)
		p.Want(1, idl.Write, "via node")
		p.Want(1, idl.Close)
		p.Send(2, idl.NodeEnqueue, "full", "e")
		refusals := []struct {
			app            string
			category, code int
			text           string
		}{
			{"nosuch", idl.CategoryNode, idl.NodeNotRunning, "application nosuch is not found"},
			{"full", idl.CategoryOverseer, idl.OverseerQueueFull, "queue is full"},
			{"broken", idl.CategoryNode, idl.NodeNotRunning, "application broken is broken"},
			{"spooling", idl.CategoryNode, idl.NodeNotRunning, "application spooling is spooling"},
			{"slow", idl.CategoryGeneric, idl.GenericBrokenPipe, "the application has been stopped"},
		}
		for i, tt := range refusals {
			ch := uint64(3 + i)
			p.Send(ch, idl.NodeEnqueue, tt.app, "e")
			if text := p.WantError(ch, tt.category, tt.code); text != tt.text {
				t.Errorf("%s: text is %q, want %q", tt.app, text, tt.text)
			}
			p.Send(ch, idl.Write, "x")
			p.Send(ch, idl.Close)
		}
		for i, args := range [][]any{{}, {"app"}, {1, "e"}, {"app", 1}} {
			ch := uint64(20 + i)
			p.Send(ch, idl.NodeEnqueue, args...)
			p.WantError(ch, idl.CategoryDispatch, idl.DispatchBadArgs)
		}
		p.Send(30, idl.NodeEnqueue, "app", "ping", "surplus")
		p.Send(30, idl.Close)
		p.Want(30, idl.Close)
		// They are calls of the node, not of the app.
		synctest.Wait()
		for name, timer := range r.Node.Service(rpc.MuxOptions{}).Timers() {
			if n, _ := timer.Read(); name == "enqueue" && n != 11 {
				t.Errorf("%d calls of the node's enqueue have ended, want 11", n)
			}
		}
		app, err := r.App("app")
		r.must(err)
		if n, _ := app.Timer().Read(); n != 0 {
			t.Errorf("%d calls of the app's enqueue have ended, want none", n)
		}
		r.echo(r.dial("app"), 1)
		synctest.Wait()
		if n, _ := app.Timer().Read(); n != 1 {
			t.Errorf("%d calls of the app's enqueue have ended, want 1", n)
		}
		wait(time.Minute)
	})
}

// An app that has no engine answers whatever it is asked: its service is open for a
// moment before a start that fails, and peers may hold on to it.
func TestAppWithoutEngine(t *testing.T) {
	virtual(t, func(r *rig) {
		var early *rpctest.Peer
		r.pubs.before(func(op, name string) error {
			if op != "show" {
				return nil
			}
			early = r.dial(name)
			early.Send(1, idl.AppEnqueue, "e")
			early.Send(2, idl.AppInfo)
			early.Send(3, idl.AppControl)
			early.Send(3, idl.Write, 2)
			time.Sleep(time.Second)
			return errors.New("cannot show")
		})
		r.put("app", "mute", map[string]any{"pool-limit": 3})
		wantCode(t, r.Start(r.t.Context(), "app", "app"), idl.CategoryNode, idl.NodePublishFailed, "cannot show")
		if f := early.Recv(); f.Channel != 2 {
			t.Errorf("client got %v", f)
		}
		if got := len(r.fleet.workers("app")); got != 0 {
			t.Errorf("%d workers are left", got)
		}
		// Its acceptor lives on for those who have it.
		p := rpctest.New(r.t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: r.pubs.front("app").a}})
		p.Send(1, idl.AppEnqueue, "e")
		p.WantError(1, idl.CategoryNode, idl.NodeNotRunning)
		p.Send(2, idl.AppInfo)
		p.Want(2, idl.Value, map[string]any{"state": "broken"})
		p.Send(3, idl.AppControl)
		p.Send(3, idl.Write, 3)
		p.Send(3, idl.Close)
		p.Want(3, idl.Value)
		a, err := r.App("app")
		r.must(err)
		if m := a.Info(7); m["state"] != "broken" {
			t.Errorf("info is %v", m)
		}
		a.Lease().Set(5)
		r.must(r.Pause(r.t.Context(), "app"))
		p.Send(4, idl.AppEnqueue, "e")
		p.WantError(4, idl.CategoryNode, idl.NodeNotRunning)
	})
	t.Run("stopped", func(t *testing.T) {
		virtual(t, func(r *rig) {
			r.start("app", "echo", nil)
			a, err := r.App("app")
			r.must(err)
			p := rpctest.New(r.t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: r.pubs.front("app").a}})
			p.Send(1, idl.AppControl)
			p.Send(1, idl.Write, 2)
			synctest.Wait()
			r.must(r.Pause(r.t.Context(), "app"))
			p.Send(1, idl.Write, 3)
			p.Send(2, idl.AppEnqueue, "e")
			p.WantError(2, idl.CategoryGeneric, idl.GenericBrokenPipe)
			p.Send(3, idl.AppInfo)
			p.Recv()
			if n := len(r.fleet.workers("app")); n != 0 || a.Info(1) == nil {
				t.Errorf("%d workers are left", n)
			}
		})
	})
}
