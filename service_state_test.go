package cocaine_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestConnectTwice(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList())
	svc := newClient(t, r).Service("node")
	svc.Disconnect() // before there is anything to disconnect from
	for range 3 {
		if err := svc.Connect(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cocaine.Get[[]string](patient(t), svc, "list"); err != nil { // now it has been accepted
		t.Fatal(err)
	}
	if node.Sessions() != 1 || r.Resolved("node") != 1 {
		t.Errorf("%d connections and %d resolves, want one of each", node.Sessions(), r.Resolved("node"))
	}
}

func TestConcurrentConnect(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList())
	client := newClient(t, r)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := client.Service("node").Connect(patient(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := client.Node().List(patient(t)); err != nil { // now it has been accepted
		t.Fatal(err)
	}
	if node.Sessions() != 1 || r.Resolved("node") != 1 {
		t.Errorf("%d connections and %d resolves, want one of each", node.Sessions(), r.Resolved("node"))
	}
}

// Many calls on a connection that was lost share the next one.
func TestConcurrentReconnect(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList("before"))
	svc := newClient(t, r).Service("node")
	if err := svc.Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	node.Stop()
	for svc.State() == cocaine.Connected {
		runtime.Gosched()
	}
	again := r.Serve("node", standin.NodeList("after"))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if apps, err := cocaine.Get[[]string](patient(t), svc, "list"); err != nil || apps[0] != "after" {
				t.Errorf("got %q, %v", apps, err)
			}
		})
	}
	wg.Wait()
	if again.Sessions() != 1 || r.Resolved("node") != 2 {
		t.Errorf("%d connections and %d resolves, want 1 and 2", again.Sessions(), r.Resolved("node"))
	}
}

// All services of a client are asked for on one connection to the locator.
func TestLocatorSharedConnection(t *testing.T) {
	r := standin.New(t)
	var dials atomic.Int64
	client := newClient(t, r, func(o *cocaine.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == r.Locator() {
				dials.Add(1)
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	})
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		r.Serve(name, standin.NodeList())
		wg.Go(func() {
			if err := client.Service(name).Connect(patient(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections to the locator", n)
	}
}

// A locator that was restarted is found again by whoever asks next.
func TestLocatorReconnect(t *testing.T) {
	r := standin.New(t)
	r.Serve("a", standin.NodeList("a"))
	r.Serve("b", standin.NodeList("b"))
	second := r.AnotherLocator()
	client := newClient(t, r, func(o *cocaine.Options) { o.Locators = []string{r.Locator(), second.Addr()} })
	if err := client.Service("a").Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.StopLocator()
	if err := client.Service("b").Connect(patient(t)); err != nil {
		t.Error(err)
	}
}

// A locator that takes connections and says nothing is passed over, and not asked
// first the next time.
func TestSilentLocatorIsPassedOver(t *testing.T) {
	r := standin.New(t)
	r.Publish("node", idl.NodeService, nodeAddr)
	const silent = "10.0.0.8:10053"
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		mute := rpc.NewMux(idl.Locator, rpc.MuxOptions{})
		mute.Unary("resolve", func(ctx context.Context, _ *rpc.Call) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		stops := []func(){n.serve(silent, mute), n.serve(locatorAddr, r.Acceptor()), n.serve(nodeAddr, standin.NodeList("a"))}
		client, err := cocaine.New(cocaine.Options{
			Locators: []string{silent, locatorAddr}, DialTimeout: 3 * time.Second, Dial: n.dial, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 { // those who ask for something else at the same time fare no worse
			wg.Go(func() {
				if err := client.Service(rand.Text()).Connect(t.Context()); !errors.Is(err, cocaine.ErrServiceNotFound) {
					t.Error(err)
				}
			})
		}
		if _, err := client.Node().List(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v, want the third of 3 s that the first locator has", took)
		}
		start = time.Now()
		if err := client.Service("wat").Connect(t.Context()); !errors.Is(err, cocaine.ErrServiceNotFound) || time.Since(start) != 0 {
			t.Errorf("the next question: %v after %v", err, time.Since(start))
		}
		client.Close()
		for _, stop := range stops {
			stop()
		}
	})
}

func TestMethodsAndVersion(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList())
	svc := newClient(t, r).Service("node")
	methods, err := svc.Methods(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(methods, func(m cocaine.Method) bool { return m.Name == "list" })
	if i != 2 || methods[i].ID != idl.NodeList || !slices.Equal(methods[i].Replies, []string{"value", "error"}) {
		t.Errorf("got %+v", methods)
	}
	methods[0].Name = "changed" // is the caller's
	if again, err := svc.Methods(patient(t)); err != nil || again[0].Name != "start_app" {
		t.Errorf("got %+v, %v", again, err)
	}
	if v, err := svc.Version(patient(t)); err != nil || v != idl.NodeService.Version {
		t.Errorf("version %d, %v", v, err)
	}
	if n := node.Calls(); n != 0 {
		t.Errorf("%d calls were sent to learn that", n)
	}
}

func TestStateAndAddress(t *testing.T) {
	r := standin.New(t)
	mux, begun, _ := hanging()
	node := r.Serve("node", mux)
	dialing, release := make(chan struct{}, 10), make(chan struct{})
	svc := newClient(t, r, func(o *cocaine.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialing <- struct{}{}
			<-release
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}).Service("node")
	if s := svc.State(); s != cocaine.Idle || svc.RemoteAddr() != nil || s.String() != "idle" {
		t.Errorf("at first: %v, %v", s, svc.RemoteAddr())
	}
	call := beside(func() (any, error) { return nil, cocaine.Exec(patient(t), svc, "list") })
	await(t, dialing, "the dial")
	if s := svc.State(); s != cocaine.Connecting || svc.RemoteAddr() != nil || s.String() != "connecting" {
		t.Errorf("under way: %v, %v", s, svc.RemoteAddr())
	}
	close(release)
	await(t, begun, "the call")
	if s := svc.State(); s != cocaine.Connected || svc.RemoteAddr().String() != node.Addr() || s.String() != "connected" {
		t.Errorf("then: %v, %v", s, svc.RemoteAddr())
	}
	svc.Disconnect()
	if a := await(t, call, "the end of the call"); !errors.Is(a.err, net.ErrClosed) {
		t.Errorf("the call got %v", a.err)
	}
	if s := svc.State(); s != cocaine.Idle || svc.RemoteAddr() != nil {
		t.Errorf("at last: %v, %v", s, svc.RemoteAddr())
	}
	if err := svc.Connect(patient(t)); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// The dialer gets the context, whose end is the end of dialling.
func TestDialContext(t *testing.T) {
	inMemory(t, []string{blackHole}, func(t *testing.T, _ *network, client *cocaine.Client) {
		start := time.Now()
		time.AfterFunc(time.Second, func() { client.Close() })
		if err := client.Service("node").Connect(t.Context()); !errors.Is(err, cocaine.ErrClosed) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// Connections have no delay, and are probed.
func TestNoDelay(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList())
	svc := newClient(t, r).Service("node")
	if err := svc.Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	noDelay, keepAlive, err := cocaine.SocketOptions(svc)
	if err != nil || !noDelay || !keepAlive {
		t.Errorf("no delay %v, keep alive %v, %v", noDelay, keepAlive, err)
	}
}

// A client that is closed leaves nothing open, whatever was under way.
func TestNoLeakedConns(t *testing.T) {
	r := standin.New(t)
	mux, begun, _ := hanging()
	node := r.Serve("node", mux)
	for range 5 {
		client := newClient(t, r)
		call := beside(func() ([]string, error) { return client.Node().List(patient(t)) })
		await(t, begun, "the call")
		client.Close()
		if a := await(t, call, "the end of the call"); !errors.Is(a.err, cocaine.ErrClosed) {
			t.Error(a.err)
		}
	}
	deadline := time.Now().Add(patience)
	for node.Sessions() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open", node.Sessions())
		}
		runtime.Gosched()
	}
}

// serve runs a service on a listener of the test's own.
func serve(t *testing.T, ln net.Listener, a rpc.Acceptor) {
	server := rpc.NewServer(rpc.ServerOptions{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), ln, a) }()
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Shutdown(now) // says that it did not wait
		<-served
	})
}

func TestUnixLocator(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList("a"))
	dir, err := os.MkdirTemp("", "s") // the path of a socket is at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, r.Acceptor())
	client := newClient(t, r, func(o *cocaine.Options) { o.Locators = []string{"unix:" + path} })
	if apps, err := client.Node().List(patient(t)); err != nil || apps[0] != "a" {
		t.Errorf("got %q, %v", apps, err)
	}
}

func TestDialTLS(t *testing.T) {
	r := standin.New(t)
	keys := httptest.NewUnstartedServer(nil)
	keys.StartTLS()
	defer keys.Close()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, tls.NewListener(plain, &tls.Config{Certificates: keys.TLS.Certificates}), standin.NodeList("secret"))
	r.Publish("node", idl.NodeService, plain.Addr().String())
	roots := x509.NewCertPool()
	roots.AddCert(keys.Certificate())
	secure := &tls.Dialer{Config: &tls.Config{RootCAs: roots}}
	client := newClient(t, r, func(o *cocaine.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == r.Locator() { // plain, for the test's sake
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			return secure.DialContext(ctx, network, addr)
		}
	})
	for range 3 {
		if apps, err := client.Node().List(patient(t)); err != nil || apps[0] != "secret" {
			t.Errorf("got %q, %v", apps, err)
		}
	}
}

// What wants no answer has left before Close returns.
func TestCloseSendsWhatWantsNoAnswer(t *testing.T) {
	r := standin.New(t)
	const n, size = 200, 100 << 10
	var got atomic.Int64
	all := make(chan struct{})
	m := rpc.NewMux(idl.Logging, rpc.MuxOptions{})
	m.Mute("emit", func(context.Context, *rpc.Call) error {
		if got.Add(1) == n {
			close(all)
		}
		return nil
	})
	r.Serve("logging", m)
	client := newClient(t, r)
	record := string(make([]byte, size))
	for range n {
		if err := cocaine.Exec(patient(t), client.Service("logging"), "emit", 1, "app", record); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	await(t, all, "the records: Close lost some")
}

// Streams are calls like any other: the loss of the connection ends them all, those
// that wait in Recv and those that nobody reads just now.
func TestDisconnectFailsStreams(t *testing.T) {
	r := standin.New(t)
	begun := make(chan struct{}, 10)
	service := r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		if err := s.Send(ctx, idl.Write, chunk("first")); err != nil {
			return err
		}
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}))
	a := newClient(t, r).App("app")
	var streams []*cocaine.AppStream
	for range 4 {
		st, err := a.Enqueue(patient(t), "e")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		await(t, begun, "the handler")
		if chunk, err := st.Recv(patient(t)); err != nil || string(chunk) != "first" {
			t.Fatalf("got %q, %v", chunk, err)
		}
		streams = append(streams, st)
	}
	waiting := beside(func() ([]byte, error) { return streams[0].Recv(patient(t)) })
	service.Stop()
	if got := await(t, waiting, "the end of Recv"); !errors.Is(got.err, cocaine.ErrDisconnected) {
		t.Errorf("who waited got %v", got.err)
	}
	for i, st := range streams {
		for range 2 {
			if _, err := st.Recv(patient(t)); !errors.Is(err, cocaine.ErrDisconnected) || errors.Is(err, io.EOF) {
				t.Errorf("stream %d: Recv: %v", i, err)
			}
		}
		if err := st.Send(patient(t), []byte("x")); !errors.Is(err, cocaine.ErrDisconnected) {
			t.Errorf("stream %d: Send: %v", i, err)
		}
	}
}
