package locator_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/logtest"
)

// names is a resolver whose answer can be changed.
type names struct {
	mu    sync.Mutex
	host  string // the only name it knows
	addrs []netip.Addr
	err   error
	hang  bool
	asked int
}

func (n *names) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	hang := n.hang
	n.asked++
	n.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if host != n.host || network != "ip" {
		return nil, errors.New("no such host: " + host)
	}
	return n.addrs, n.err
}

func (n *names) set(err error, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err, n.addrs = err, nil
	for _, a := range addrs {
		n.addrs = append(n.addrs, netip.MustParseAddr(a))
	}
}

func (n *names) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func TestUnspecifiedAddresses(t *testing.T) {
	n := &names{host: "node.example"}
	n.set(nil, "2001:db8::7", "10.1.2.3", "::ffff:10.1.2.3")
	l := open(t, locator.Options{Hostname: "node.example", Resolver: n})
	for _, c := range []struct{ bound, want string }{
		{"127.0.0.1:80", "[127.0.0.1:80]"},
		{"[::1]:80", "[[::1]:80]"},
		{"[::ffff:127.0.0.1]:80", "[127.0.0.1:80]"},
		{"[::]:80", "[[2001:db8::7]:80 10.1.2.3:80]"},
		{"0.0.0.0:80", "[10.1.2.3:80]"},
		{"[::ffff:0.0.0.0]:80", "[10.1.2.3:80]"},
	} {
		expose(t, l, service(c.bound, c.bound))
		if got := where(l, c.bound, ""); got != c.want {
			t.Errorf("a service on %s is at %s, want %s", c.bound, got, c.want)
		}
	}
	expose(t, l, service("several", "0.0.0.0:1", "127.0.0.1:2", "[::]:1"))
	if got, want := where(l, "several", ""), "[10.1.2.3:1 127.0.0.1:2 [2001:db8::7]:1]"; got != want {
		t.Errorf("a service on several addresses is at %s, want %s", got, want)
	}
	if n.count() != 1 {
		t.Errorf("the host was looked up %d times", n.count())
	}
	// What others publish is theirs.
	if _, err := l.Publish(service("published", "0.0.0.0:1")); err != nil {
		t.Fatal(err)
	}
	if got := where(l, "published", ""); got != "[0.0.0.0:1]" {
		t.Errorf("a published service is at %s", got)
	}
}

func TestNumericHostname(t *testing.T) {
	n := &names{}
	l := open(t, locator.Options{Hostname: "192.0.2.1", Resolver: n})
	expose(t, l, service("echo", "[::]:80"))
	if got := where(l, "echo", ""); got != "[192.0.2.1:80]" || n.count() > 0 {
		t.Errorf("the service is at %s, after %d lookups", got, n.count())
	}
}

func TestNobodyLooksUpWithoutNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &names{host: "h"}
		l := open(t, locator.Options{Hostname: "h", Resolver: n})
		expose(t, l, service("echo", "127.0.0.1:80"))
		time.Sleep(time.Hour)
		if n.count() != 0 {
			t.Errorf("the host was looked up %d times", n.count())
		}
	})
}

func TestUnresolvableHost(t *testing.T) {
	n := &names{host: "h"}
	n.set(errors.New("no DNS here"))
	var log logtest.Buffer
	l := open(t, locator.Options{Hostname: "h", Resolver: n, Log: logger(&log)})
	expose(t, l, service("echo", "[::]:80"))
	s, err := l.Resolve("echo", "")
	if err != nil || len(s.Endpoints) == 0 {
		t.Fatalf("the service is at %v: %v", s.Endpoints, err)
	}
	ifaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, ep := range s.Endpoints {
		if !slices.ContainsFunc(ifaces, func(a net.Addr) bool { return strings.HasPrefix(a.String(), ep.Addr().String()+"/") }) {
			t.Errorf("the service is at %s, which is not on this machine", ep)
		}
	}
	if !strings.Contains(log.String(), "no DNS here") {
		t.Error("nothing was logged about it")
	}
}

func TestHostIsLookedUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &names{host: "h"}
		n.set(nil, "10.0.0.1")
		var log logtest.Buffer
		l := open(t, locator.Options{Hostname: "h", Resolver: n, Log: logger(&log)})
		expose(t, l, service("echo", "[::]:80"))
		expose(t, l, service("fixed", "127.0.0.1:80"))
		step := func(want string) {
			t.Helper()
			time.Sleep(31 * time.Second)
			synctest.Wait()
			if got := where(l, "echo", ""); got != want {
				t.Errorf("the service is at %s, want %s", got, want)
			}
		}
		step("[10.0.0.1:80]")
		n.set(nil, "10.0.0.2")
		step("[10.0.0.2:80]")
		n.set(errors.New("DNS is down"))
		step("[10.0.0.2:80]")
		step("[10.0.0.2:80]")
		if got := strings.Count(log.String(), "DNS is down"); got != 1 {
			t.Errorf("the failure was logged %d times", got)
		}
		n.set(nil, "10.0.0.3", "10.0.0.4")
		step("[10.0.0.3:80 10.0.0.4:80]")
		if got := where(l, "fixed", ""); got != "[127.0.0.1:80]" {
			t.Errorf("the service on loopback is at %s", got)
		}
	})
}

func TestLookupIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &names{host: "h", hang: true}
		l := open(t, locator.Options{Hostname: "h", Resolver: n})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Expose(ctx, service("echo", "[::]:80")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("exposed without patience: %v", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("it took %v", got)
		}
		var both sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			both.Go(func() { expose(t, l, service(name, "[::]:80")) })
		}
		synctest.Wait()
		expose(t, l, service("c", "127.0.0.1:80")) // others do not wait
		if got := where(l, "c", ""); got != "[127.0.0.1:80]" {
			t.Errorf("a service on loopback is at %s", got)
		}
		both.Wait()
		if got := time.Since(start); got != 6*time.Second || n.count() != 2 {
			t.Errorf("it took %v and %d lookups, want 1 s and one lookup of 5 s", got, n.count())
		}
	})
}

func TestCloseInterruptsLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &names{host: "h"}
		n.set(nil, "10.0.0.1")
		l := open(t, locator.Options{Hostname: "h", Resolver: n})
		expose(t, l, service("echo", "[::]:80"))
		n.mu.Lock()
		n.hang = true
		n.mu.Unlock()
		time.Sleep(31 * time.Second) // the periodic lookup hangs now
		start := time.Now()
		l.Close()
		if got := time.Since(start); got != 0 {
			t.Errorf("closing took %v", got)
		}
	})
}

// The host is told by name if the name can be looked up, else by an address of IPv4.
func TestHost(t *testing.T) {
	good := &names{host: "h", addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}
	l := open(t, locator.Options{Hostname: "h", Resolver: good})
	if got := l.Host(); got != "" {
		t.Errorf("the host is %q before anyone needs it", got)
	}
	expose(t, l, service("s", "0.0.0.0:1"))
	if got := l.Host(); got != "h" {
		t.Errorf("the host is %q", got)
	}
	l = open(t, locator.Options{Hostname: "h", Resolver: &names{}})
	expose(t, l, service("s", "0.0.0.0:1"))
	if addr, err := netip.ParseAddr(l.Host()); err != nil || addr.IsUnspecified() {
		t.Errorf("the host whose name is unknown is %q", l.Host())
	}
}
