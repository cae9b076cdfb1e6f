// Package standin stands in for a runtime in tests: a locator and services of the
// test's own making, on real TCP ports.
//
//	r := standin.New(t)
//	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
//	m.Unary("list", ...)
//	node := r.Serve("node", m)
//	client, err := cocaine.New(cocaine.Options{Locators: []string{r.Locator()}})
//	...
//	node.Stop() // what a client sees of a crash
//
// Everything ends with the test. All methods may be called from any goroutine.
package standin

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Runtime is the locator and what it knows.
type Runtime struct {
	t       testing.TB
	locator *Service

	mu       sync.Mutex
	services map[string]entry
	resolved map[string]int
}

type entry struct {
	endpoints []string
	proto     *idl.Protocol
}

// New starts a locator that knows no service.
func New(t testing.TB) *Runtime {
	t.Helper()
	r := &Runtime{t: t, services: make(map[string]entry), resolved: make(map[string]int)}
	r.locator = Listen(t, r.locatorMux())
	return r
}

func (r *Runtime) locatorMux() *rpc.Mux {
	m := rpc.NewMux(idl.Locator, rpc.MuxOptions{})
	m.Unary("resolve", func(_ context.Context, c *rpc.Call) ([]byte, error) { return r.resolve(c) })
	m.Unary("uuid", func(context.Context, *rpc.Call) ([]byte, error) { return Value("standin"), nil })
	return m
}

// Locator is the address of the locator.
func (r *Runtime) Locator() string { return r.locator.Addr() }

// Acceptor is the locator without a port, for a connection of the test's own.
func (r *Runtime) Acceptor() rpc.Acceptor { return r.locatorMux() }

// StopLocator ends the locator and its connections.
func (r *Runtime) StopLocator() { r.locator.Stop() }

// AnotherLocator starts one more locator that knows the same services.
func (r *Runtime) AnotherLocator() *Service { return Listen(r.t, r.locatorMux()) }

// Serve starts a service and makes it known by name.
func (r *Runtime) Serve(name string, m *rpc.Mux) *Service {
	r.t.Helper()
	s := Listen(r.t, m)
	r.Publish(name, m.Protocol(), s.Addr())
	return s
}

// Publish makes endpoints known by name, whether there is a service or not.
func (r *Runtime) Publish(name string, p *idl.Protocol, endpoints ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services[name] = entry{endpoints, p}
}

// Withdraw makes a name unknown.
func (r *Runtime) Withdraw(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.services, name)
}

// Resolved is how often a name was asked for.
func (r *Runtime) Resolved(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resolved[name]
}

func (r *Runtime) resolve(c *rpc.Call) ([]byte, error) {
	args := c.Reader()
	name := args.String()
	if err := args.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	r.mu.Lock()
	r.resolved[name]++
	e, ok := r.services[name]
	r.mu.Unlock()
	if !ok {
		return nil, rpc.Errorf(idl.CategoryLocator, idl.LocatorNotAvailable, "service %q is not available", name)
	}
	b := msgpack.AppendArray(nil, 3)
	b = msgpack.AppendArray(b, len(e.endpoints))
	for _, endpoint := range e.endpoints {
		host, port, err := net.SplitHostPort(endpoint)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		b = msgpack.AppendString(msgpack.AppendArray(b, 2), host)
		b = msgpack.AppendInt(b, int64(n))
	}
	b = msgpack.AppendInt(b, int64(e.proto.Version))
	return e.proto.AppendGraph(b), nil
}

// Value gives the arguments of an answer with the values. It panics on a type
// that msgpack.AppendValue does not take.
func Value(values ...any) []byte {
	b := msgpack.AppendArray(nil, len(values))
	for _, v := range values {
		var err error
		if b, err = msgpack.AppendValue(b, v); err != nil {
			panic(err)
		}
	}
	return b
}

// NodeList is a node service that knows the named apps, and nothing else.
func NodeList(apps ...string) *rpc.Mux {
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
	m.Unary("list", func(context.Context, *rpc.Call) ([]byte, error) { return Value(apps), nil })
	return m
}

// A Service listens on a port of its own.
type Service struct {
	ln     net.Listener
	server *rpc.Server
	served chan error
	once   sync.Once
	calls  atomic.Int64
	t      testing.TB
}

// Listen starts a service that no locator knows.
func Listen(t testing.TB, a rpc.Acceptor) *Service {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{ln: ln, server: rpc.NewServer(rpc.ServerOptions{}), served: make(chan error, 1), t: t}
	if m, ok := a.(*rpc.Mux); ok {
		a = counted{m, &s.calls}
	}
	go func() { s.served <- s.server.Serve(context.Background(), ln, a) }()
	t.Cleanup(s.Stop)
	return s
}

// Addr is host:port.
func (s *Service) Addr() string { return s.ln.Addr().String() }

// Sessions is the number of connections.
func (s *Service) Sessions() int { return s.server.Sessions() }

// Stop ends the service and cuts its connections.
func (s *Service) Stop() {
	s.once.Do(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.server.Shutdown(now) // says that it did not wait
		if err := <-s.served; err != nil {
			s.t.Error(err)
		}
	})
}

// Calls is how many calls the service has received. One that has been answered counts.
func (s *Service) Calls() int64 { return s.calls.Load() }

// counted is a Mux whose calls are counted before they are served.
type counted struct {
	*rpc.Mux
	calls *atomic.Int64
}

// Accept implements rpc.Acceptor.
func (c counted) Accept(b *rpc.Batch, s *rpc.Session, ch uint64, f *rpc.Frame) rpc.Receiver {
	c.calls.Add(1)
	return c.Mux.Accept(b, s, ch, f)
}

// AcceptCall implements rpc.CallAcceptor. A call that it does not take comes to Accept.
func (c counted) AcceptCall(b *rpc.Batch, s *rpc.Session, ch uint64, first, write *rpc.Frame) bool {
	c.calls.Add(1)
	if c.Mux.AcceptCall(b, s, ch, first, write) {
		return true
	}
	c.calls.Add(-1)
	return false
}
