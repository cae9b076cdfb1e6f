package daemon_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// Handlers, in a process of their own, learn at once that nobody waits for them any
// more, whatever way the caller had of saying so: their deadline is a day away.
func TestGivenUpCallsEnd(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	c, ctx := dial(t, d.Addr().String()), soon(t)
	a := newApp("app")
	a.profile.PoolLimit = 1
	a.deploy(t, c)
	ended := func(t *testing.T, want string) {
		t.Helper()
		if why := must[string](t)(cocaine.Invoke[string](ctx, c.App("app"), "ended", nil)); !strings.Contains(why, want) {
			t.Errorf("the handler ended because of %q, want %q", why, want)
		}
	}
	begun := func(t *testing.T) { // waits until a handler runs: one that nobody waits for is not begun
		t.Helper()
		must[any](t)(cocaine.Invoke[any](ctx, c.App("app"), "begun", nil))
	}
	rest := func() { // waits until the worker has no requests
		t.Helper()
		for {
			info := must[map[string]any](t)(cocaine.Get[map[string]any](ctx, c.App("app").Service(), "info"))
			if fmt.Sprint(info["load"]) == "0" {
				return
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("the worker still has %v requests", info["load"])
			}
		}
	}
	const gaveUp, wentAway = "caller gave up [2, 125]", "caller went away"
	t.Run("Invoke", func(t *testing.T) {
		calling, cancel := context.WithCancel(ctx)
		call := cocaine.Go(calling, func(ctx context.Context) (any, error) {
			return cocaine.Invoke[any](ctx, c.App("app"), "wait", nil)
		})
		begun(t)
		cancel()
		ended(t, gaveUp)
		_, _ = call.Wait(ctx)
	})
	t.Run("InvokeStream", func(t *testing.T) {
		for text, err := range cocaine.InvokeStream[string](ctx, c.App("app"), "tick", nil) {
			if text != "tick" || err != nil {
				t.Fatalf("got %q, %v", text, err)
			}
			break
		}
		ended(t, gaveUp)
	})
	t.Run("connection", func(t *testing.T) {
		var mu sync.Mutex
		var conns []net.Conn
		other := must[*cocaine.Client](t)(cocaine.New(cocaine.Options{Locators: []string{d.Addr().String()},
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				mu.Lock()
				defer mu.Unlock()
				conns = append(conns, conn)
				return conn, err
			}}))
		defer other.Close()
		call := cocaine.Go(ctx, func(ctx context.Context) (any, error) {
			return cocaine.Invoke[any](ctx, other.App("app"), "wait", nil)
		})
		begun(t)
		mu.Lock()
		for _, conn := range conns {
			_ = conn.(*net.TCPConn).SetLinger(0) // as a process that is killed
			conn.Close()
		}
		mu.Unlock()
		ended(t, wentAway)
		_, _ = call.Wait(ctx)
	})
	t.Run("v0.11", func(t *testing.T) {
		old := dialOld(t, d.Addr().String()).service("app")
		old.send(idl.AppEnqueue, "wait", "\xc0")
		begun(t)
		old.conn.Close()
		ended(t, wentAway)
	})
	rest()
}
