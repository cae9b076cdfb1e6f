// Package cocainetest is a runtime in memory, for tests: what httptest is to
// net/http. It has a locator, services that do what the test says, and real workers,
// but no processes and no ports.
//
//	func TestGreet(t *testing.T) {
//		rt := cocainetest.NewRuntime(t)
//		rt.Service("storage", cocainetest.Methods{
//			"read": cocainetest.Answer("hello"),
//		})
//		rt.Worker("hello", func(w *worker.Worker) { // or a function of the program's own
//			worker.Handle(w, "greet", func(_ context.Context, p Person) (Greeting, error) {
//				return Greeting{Text: "hello " + p.Name}, nil
//			})
//		})
//
//		got, err := cocaine.Invoke[Greeting](t.Context(), rt.Client().App("hello"), "greet", Person{"Ann"})
//		if err != nil || got.Text != "hello Ann" {
//			t.Errorf("got %v, %v", got, err)
//		}
//	}
//
// # What is real
//
// Clients and workers are those of the packages cocaine and worker, and they speak
// their protocol over buffered connections in memory. Only what is behind it is the
// test's: a [Service] answers by its [Methods]; an app has one worker, which
// [Runtime.Worker] makes in this process, and a queue.
//
// # Time
//
// Everything waits in ways that testing/synctest knows: inside a bubble a deadline
// of an hour passes in no time. Make the Runtime inside the bubble.
//
// # Faults
//
// [Service.Drop], [Service.Down], [Service.Withdraw] and [Service.SetFaults] break
// what works; [Runtime.Locator] is a service like any other; [Worker.Kill] ends a
// worker as a crash does.
//
// # Frames
//
// Every frame is kept, the last some thousand of them: [Runtime.Frames] gives them,
// [Runtime.Dump] shows them, and a test that fails logs the latest.
//
// # End and concurrency
//
// Everything ends with the test, or with [Runtime.Close], and no goroutine is left.
// All methods may be called from any goroutine, but those that fail the test for
// mistakes of its own, which say so, from the test's only.
package cocainetest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/host"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Runtime is a locator and what it knows. Make it with NewRuntime.
type Runtime struct {
	t         testing.TB
	log       *slog.Logger
	recorder  *recorder
	directory *host.Directory
	locator   *Service
	once      sync.Once
	wg        sync.WaitGroup // sessions and workers

	mu       sync.Mutex
	closed   bool
	port     int                 // of the latest service
	services map[string]*Service // by name
	places   map[string]place    // by address: what can be dialed
	apps     map[string]*App
	workers  map[string]*Worker // by uuid, those that were made and are running
	client   *cocaine.Client
	clients  []*cocaine.Client
}

// A place is what a connection leads to.
type place interface {
	accept(ctx context.Context) (net.Conn, error)
}

const (
	locatorAddr = "10.0.0.1:10053"
	serviceHost = "10.0.0.1"
	firstPort   = 20000
	nodeUUID    = "00000000-0000-4000-8000-00000c0ca17e"
)

// NewRuntime starts a runtime that knows no service. It ends with the test.
func NewRuntime(t testing.TB) *Runtime {
	t.Helper()
	r := &Runtime{
		t: t, log: slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		recorder: newRecorder(), directory: host.NewDirectory(nodeUUID), port: firstPort,
		services: make(map[string]*Service), places: make(map[string]place), apps: make(map[string]*App), workers: make(map[string]*Worker),
	}
	r.locator = &Service{runtime: r, name: "locator", addr: locatorAddr, proto: idl.Locator, acceptor: r.directory.Service()}
	r.places[locatorAddr] = r.locator
	t.Cleanup(r.Close)
	return r
}

// logWriter writes what clients and workers log to the test's log.
type logWriter struct{ t testing.TB }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// Close ends the runtime with all its services, workers and clients, and waits for
// them. Workers let requests that nobody waits for any more see the end of their
// contexts. Further calls do nothing. The end of the test does the same.
func (r *Runtime) Close() { r.once.Do(r.close) }

func (r *Runtime) close() {
	if r.t.Failed() {
		r.t.Logf("frames, the latest last:\n%s", r.recorder.tail(tailLength))
	}
	r.mu.Lock()
	r.closed = true
	clients := r.clients
	workers := make([]*Worker, 0, len(r.workers))
	for _, w := range r.workers {
		workers = append(workers, w)
	}
	services := []*Service{r.locator}
	for _, s := range r.services {
		services = append(services, s)
	}
	apps := make([]*App, 0, len(r.apps))
	for _, a := range r.apps {
		apps = append(apps, a)
	}
	r.mu.Unlock()
	for _, c := range clients {
		_ = c.Close()
	}
	for _, w := range workers {
		w.cancel()
	}
	for _, w := range workers {
		<-w.ended
	}
	for _, s := range services {
		s.Down()
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	for _, a := range apps {
		_ = a.host.Stop(now) // its worker has left
	}
	r.wg.Wait()
}

// tailLength is how many frames a test that fails logs.
const tailLength = 100

// Locator is the locator. Its Addr is what Options.Locators of a client has to name.
func (r *Runtime) Locator() *Service { return r.locator }

// Client is a client of the runtime, the same one every time.
func (r *Runtime) Client() *cocaine.Client {
	r.t.Helper()
	r.mu.Lock()
	c := r.client
	r.mu.Unlock()
	if c != nil {
		return c
	}
	c = r.NewClient(cocaine.Options{})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		r.client = c
	}
	return r.client
}

// NewClient is another client of the runtime. What the options leave open of
// Locators, Dial and Logger is set: they may name several locators, or wrap Dial. The
// client is closed with the runtime. It fails the test for options that
// cocaine.New does not take.
func (r *Runtime) NewClient(o cocaine.Options) *cocaine.Client {
	r.t.Helper()
	if len(o.Locators) == 0 {
		o.Locators = []string{r.locator.addr}
	}
	if o.Dial == nil {
		o.Dial = r.Dial
	}
	if o.Logger == nil {
		o.Logger = r.log
	}
	c, err := cocaine.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients = append(r.clients, c)
	return c
}

// Dial connects to a service or to the endpoint of an app's workers, for
// Options.Dial. An address that nobody listens on refuses the connection.
func (r *Runtime) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	r.mu.Lock()
	p := r.places[address]
	if r.closed {
		p = nil
	}
	r.mu.Unlock()
	if p == nil {
		return nil, refused(network, address)
	}
	return p.accept(ctx)
}

func refused(network, address string) error {
	return &net.OpError{Op: "dial", Net: network, Addr: faultnet.Addr(address), Err: syscall.ECONNREFUSED}
}

// spawn runs f in a goroutine that Close waits for. It reports false once the
// runtime is closed.
func (r *Runtime) spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.wg.Go(f)
	return true
}

// add makes a service known.
func (r *Runtime) add(name string, p *idl.Protocol, a rpc.Acceptor) *Service {
	r.t.Helper()
	r.mu.Lock()
	if name == "locator" || r.services[name] != nil {
		r.mu.Unlock()
		r.t.Fatalf("cannot add service %q: there is one of this name", name)
	}
	r.port++
	s := &Service{runtime: r, name: name, addr: fmt.Sprintf("%s:%d", serviceHost, r.port), proto: p, acceptor: a}
	r.services[name] = s
	r.places[s.addr] = s
	r.mu.Unlock()
	s.Publish()
	return s
}
