package cocaine_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// network is a network in memory, for tests in virtual time: what is not there
// refuses, what is a black hole never answers.
type network struct {
	mu    sync.Mutex
	hosts map[string]*faultnet.MemListener
	dials []time.Time
	addrs []string // of dials
}

const blackHole = "10.0.0.1:1"

var errRefused = errors.New("refused")

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dials, n.addrs = append(n.dials, time.Now()), append(n.addrs, addr)
	ln := n.hosts[addr]
	n.mu.Unlock()
	switch {
	case addr == blackHole:
		<-ctx.Done()
		return nil, ctx.Err()
	case ln == nil:
		return nil, errRefused
	}
	return ln.Dial(ctx)
}

// serve starts a service at an address. The returned function ends it.
func (n *network) serve(addr string, a rpc.Acceptor) (stop func()) {
	ln := faultnet.NewListener(addr, faultnet.PipeOptions{})
	n.mu.Lock()
	if n.hosts == nil {
		n.hosts = make(map[string]*faultnet.MemListener)
	}
	n.hosts[addr] = ln
	n.mu.Unlock()
	server := rpc.NewServer(rpc.ServerOptions{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(context.Background(), ln, a) })
	return func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Shutdown(now)
		wg.Wait()
	}
}

const (
	locatorAddr = "10.0.0.2:10053"
	nodeAddr    = "10.0.0.3:1"
)

// inMemory runs a test in virtual time with a client whose locator says that the
// node service has the given endpoints.
func inMemory(t *testing.T, endpoints []string, f func(t *testing.T, n *network, client *cocaine.Client)) {
	r := standin.New(t) // for its answers; its port is not used
	r.Publish("node", idl.NodeService, endpoints...)
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		stopLocator := n.serve(locatorAddr, r.Acceptor())
		stopNode := n.serve(nodeAddr, standin.NodeList("a"))
		client, err := cocaine.New(cocaine.Options{
			Locators: []string{locatorAddr}, DialTimeout: 4 * time.Second, Dial: n.dial, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		f(t, n, client)
		client.Close()
		stopNode()
		stopLocator()
	})
}

// What refuses is passed over, in the order of the kinds; the first that answers is
// used, and none behind it is tried.
func TestCandidatesFallback(t *testing.T) {
	const last = "node.example.org:1"
	endpoints := []string{"10.0.0.7:1", "[fd00::7]:1", last, "127.0.0.1:1"} // the last is another machine's
	inMemory(t, endpoints, func(t *testing.T, n *network, client *cocaine.Client) {
		defer n.serve(last, standin.NodeList("the last"))()
		if apps, err := client.Node().List(t.Context()); err != nil || apps[0] != "the last" {
			t.Fatalf("got %q, %v", apps, err)
		}
		if tried := n.tried()[1:]; !slices.Equal(tried, endpoints[:3]) {
			t.Errorf("tried %q", tried)
		}
	})
}

func TestCandidateBudget(t *testing.T) {
	const other = "[fd00::3]:1" // of another kind: it stays behind the first
	inMemory(t, []string{blackHole, other}, func(t *testing.T, n *network, client *cocaine.Client) {
		defer n.serve(other, standin.NodeList("a"))()
		start := time.Now()
		if _, err := client.Node().List(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the endpoint that does not answer was given up after %v, want half of 4 s", took)
		}
	})
}

func TestDialTimeout(t *testing.T) {
	inMemory(t, []string{blackHole, blackHole}, func(t *testing.T, _ *network, client *cocaine.Client) {
		start := time.Now()
		_, err := client.Node().List(t.Context())
		if e, ok := errors.AsType[*cocaine.ConnectError](err); !ok || len(e.Attempts) != 2 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("it took %v, want 4 s", took)
		}
	})
}

func TestCallerDoesNotWaitForTheDial(t *testing.T) {
	inMemory(t, []string{blackHole}, func(t *testing.T, _ *network, client *cocaine.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := client.Node().List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v, want 1 s", took)
		}
	})
}

// A service that is down is tried again and again, but not in a busy loop.
func TestAttemptsBackOff(t *testing.T) {
	inMemory(t, []string{"10.0.0.9:9"}, func(t *testing.T, n *network, client *cocaine.Client) {
		start := time.Now()
		for time.Since(start) < time.Minute {
			if _, err := client.Node().List(t.Context()); !errors.Is(err, errRefused) {
				t.Fatal(err)
			}
		}
		if got := len(n.dials); got < 60 || got > 150 {
			t.Errorf("%d attempts in a minute", got)
		}
		if first := n.dials[2].Sub(n.dials[1]); first > 20*time.Millisecond {
			t.Errorf("the second attempt came after %v", first)
		}
		stop := n.serve("10.0.0.9:9", standin.NodeList("back"))
		defer stop()
		start = time.Now()
		if apps, err := client.Node().List(t.Context()); err != nil || apps[0] != "back" {
			t.Errorf("got %q, %v", apps, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it was noticed after %v", took)
		}
	})
}

// Asking for a name that nobody serves is no reason to make the next one wait.
func TestUnknownNameDoesNotBackOff(t *testing.T) {
	inMemory(t, []string{nodeAddr}, func(t *testing.T, _ *network, client *cocaine.Client) {
		start := time.Now()
		for range 100 {
			if err := client.Service("wat").Connect(t.Context()); !errors.Is(err, cocaine.ErrServiceNotFound) {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// The service notices on its own that the caller's deadline has passed.
func TestDeadlineEndsTheMethod(t *testing.T) {
	r := standin.New(t)
	r.Publish("node", idl.NodeService, nodeAddr)
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		stopLocator := n.serve(locatorAddr, r.Acceptor())
		mux, _, ended := hanging()
		stopNode := n.serve(nodeAddr, mux)
		client, err := cocaine.New(cocaine.Options{Locators: []string{locatorAddr}, Dial: n.dial, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := client.Node().List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		<-ended
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		client.Close()
		stopNode()
		stopLocator()
	})
}

// remove takes an address off the network: from now on it refuses.
func (n *network) remove(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.hosts, addr)
}
