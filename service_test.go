package cocaine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
	"github.com/cocaine/cocaine-go/internal/wire"
)

func TestGet(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList("echo", "hello"))
	client := newClient(t, r)
	apps, err := cocaine.Get[[]string](patient(t), client.Service("node"), "list")
	if err != nil || !reflect.DeepEqual(apps, []string{"echo", "hello"}) {
		t.Fatalf("got %q, %v", apps, err)
	}
	any, err := cocaine.Get[any](patient(t), client.Service("node"), "list")
	if err != nil || fmt.Sprint(any) != "[echo hello]" {
		t.Fatalf("got %v, %v", any, err)
	}
}

func TestServiceLazy(t *testing.T) {
	r := standin.New(t)
	dials := make(chan string, 10)
	client := newClient(t, r, func(o *cocaine.Options) {
		o.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
			dials <- addr
			return nil, errors.New("no")
		}
	})
	svc := client.Service("node")
	if svc.Name() != "node" {
		t.Errorf("the service is called %q", svc.Name())
	}
	if n := len(dials); n != 0 {
		t.Fatalf("%d connections were tried before the first call", n)
	}
	if err := svc.Connect(patient(t)); err == nil || len(dials) == 0 {
		t.Fatalf("Connect did not dial: %v", err)
	}
}

func TestHandlesShareOneConnection(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList("a"))
	client := newClient(t, r)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := cocaine.Get[[]string](patient(t), client.Service("node"), "list"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if node.Sessions() != 1 || r.Resolved("node") != 1 {
		t.Fatalf("%d connections and %d resolves, want one of each", node.Sessions(), r.Resolved("node"))
	}
}

func TestResolveUnknown(t *testing.T) {
	client := newClient(t, standin.New(t))
	_, err := cocaine.Get[any](patient(t), client.Service("wat"), "list")
	remote, ok := errors.AsType[*cocaine.Error](err)
	if !errors.Is(err, cocaine.ErrServiceNotFound) || !ok || remote.Code != idl.LocatorNotAvailable {
		t.Fatalf("got %v", err)
	}
	if want := `cannot call wat.list: cannot resolve service "wat": nobody serves it [10, 1]`; err.Error() != want {
		t.Fatalf("the error reads %q, want %q", err, want)
	}
}

func TestUnknownMethod(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList())
	client := newClient(t, r)
	svc := client.Service("node")
	if err := svc.Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Exec": cocaine.Exec(patient(t), svc, "lst"),
		"Call": func() error { _, err := svc.Call(patient(t), "lst"); return err }(),
		"Chunks": func() (err error) {
			for _, err = range cocaine.Chunks[any](patient(t), svc, "lst") {
			}
			return err
		}(),
	} {
		if !errors.Is(err, cocaine.ErrNoMethod) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := cocaine.Get[any](patient(t), svc, "list"); err != nil {
		t.Fatal(err)
	}
	if n := node.Calls(); n != 1 {
		t.Fatalf("the service got %d calls, want that of list only", n)
	}
}

func TestConnectErrorListsAttempts(t *testing.T) {
	r := standin.New(t)
	refused := []string{refusing(t), refusing(t)}
	r.Publish("node", idl.NodeService, refused...)
	client := newClient(t, r)
	err := cocaine.Exec(patient(t), client.Service("node"), "list")
	connect, ok := errors.AsType[*cocaine.ConnectError](err)
	if !ok || len(connect.Attempts) != 2 || connect.Service != "node" || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("got %v", err)
	}
	for _, endpoint := range refused {
		if !strings.Contains(err.Error(), endpoint) {
			t.Errorf("%q does not name %s", err, endpoint)
		}
	}
	r.Publish("node", idl.NodeService)
	err = cocaine.Exec(patient(t), client.Service("node"), "list")
	if err == nil || !strings.Contains(err.Error(), "no endpoints") {
		t.Fatalf("got %v", err)
	}
}

// refusing gives an address at which nobody listens.
func refusing(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestLocatorsAreTriedInTurn(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList("a"))
	r.Serve("other", standin.NodeList("b"))
	second := r.AnotherLocator()
	client := newClient(t, r, func(o *cocaine.Options) {
		o.Locators = []string{refusing(t), r.Locator(), second.Addr()}
	})
	if _, err := client.Node().List(patient(t)); err != nil {
		t.Fatal(err)
	}
	r.StopLocator()
	got, err := cocaine.Get[[]string](patient(t), client.Service("other"), "list")
	if err != nil || got[0] != "b" {
		t.Fatalf("after the loss of a locator: %q, %v", got, err)
	}
}

func TestNoLocator(t *testing.T) {
	r := standin.New(t)
	client := newClient(t, r)
	r.StopLocator()
	_, err := client.Node().List(patient(t))
	connect, ok := errors.AsType[*cocaine.ConnectError](err)
	if !ok || connect.Service != "locator" || !strings.Contains(err.Error(), r.Locator()) {
		t.Fatalf("got %v", err)
	}
}

func TestReconnectOnNextCall(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList("before"))
	client := newClient(t, r)
	if _, err := client.Node().List(patient(t)); err != nil {
		t.Fatal(err)
	}
	node.Stop()
	r.Serve("node", standin.NodeList("after")) // on another port
	// The loss may show in the first call, which is then not repeated.
	apps, err := client.Node().List(patient(t))
	if errors.Is(err, cocaine.ErrDisconnected) {
		apps, err = client.Node().List(patient(t))
	}
	if err != nil || apps[0] != "after" || r.Resolved("node") != 2 {
		t.Fatalf("got %q, %v after %d resolves", apps, err, r.Resolved("node"))
	}
}

// Whatever happens to connections, a call reaches the service at most once.
func TestNoDoubleSend(t *testing.T) {
	r := standin.New(t)
	var mu sync.Mutex
	seen := make(map[int64]int)
	arrived := make(chan struct{}, 1)
	mux := rpc.NewMux(idl.Cache, rpc.MuxOptions{})
	mux.Unary("put", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		args := c.Reader()
		args.Skip()
		id, _ := args.Value().(int64)
		mu.Lock()
		seen[id]++
		mu.Unlock()
		select {
		case arrived <- struct{}{}:
		default:
		}
		return nil, nil
	})
	service := r.Serve("cache", mux)
	client := newClient(t, r)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var calls, failed atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := cocaine.Exec(patient(t), client.Service("cache"), "put", "k", calls.Add(1))
				if err != nil {
					failed.Add(1)
				}
			}
		})
	}
	for range 10 {
		for range 20 {
			await(t, arrived, "a call")
		}
		next := standin.Listen(t, mux)
		r.Publish("cache", idl.Cache, next.Addr())
		service.Stop()
		service = next
	}
	close(stop)
	wg.Wait()
	for id, n := range seen {
		if n > 1 {
			t.Errorf("call %d arrived %d times", id, n)
		}
	}
	if int64(len(seen))+failed.Load() < calls.Load() {
		t.Errorf("%d calls, %d arrived, %d failed", calls.Load(), len(seen), failed.Load())
	}
}

// hanging is a node service whose list never answers. It tells when a call has
// begun and why its context ended.
func hanging() (m *rpc.Mux, begun chan struct{}, ended chan error) {
	begun, ended = make(chan struct{}, 100), make(chan error, 100)
	m = rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
	m.Unary("list", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	return m, begun, ended
}

func TestDisconnectFailsAllPending(t *testing.T) {
	r := standin.New(t)
	mux, begun, _ := hanging()
	node := r.Serve("node", mux)
	client := newClient(t, r)
	const n = 20
	errs := make(chan error, n)
	for range n {
		go func() { errs <- cocaine.Exec(patient(t), client.Service("node"), "list") }()
	}
	for range n {
		await(t, begun, "a call")
	}
	node.Stop()
	for range n {
		err := await(t, errs, "an error")
		if !errors.Is(err, cocaine.ErrDisconnected) || errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		if e, ok := errors.AsType[*cocaine.Error](err); ok {
			t.Errorf("the loss looks like an answer of the service: %v", e)
		}
	}
}

func TestCloseFailsPending(t *testing.T) {
	r := standin.New(t)
	mux, begun, _ := hanging()
	r.Serve("node", mux)
	client := newClient(t, r)
	errs := make(chan error, 1)
	go func() { errs <- cocaine.Exec(patient(t), client.Service("node"), "list") }()
	await(t, begun, "the call")
	client.Close()
	if err := await(t, errs, "an error"); !errors.Is(err, cocaine.ErrClosed) || errors.Is(err, cocaine.ErrDisconnected) {
		t.Errorf("a pending call got %v", err)
	}
	if err := cocaine.Exec(patient(t), client.Service("node"), "list"); !errors.Is(err, cocaine.ErrClosed) {
		t.Errorf("a later call got %v", err)
	}
	if err := cocaine.Exec(patient(t), client.Service("another"), "list"); !errors.Is(err, cocaine.ErrClosed) {
		t.Errorf("a call of a new service got %v", err)
	}
	if err := client.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestCloseDuringConnect(t *testing.T) {
	r := standin.New(t)
	dialing := make(chan struct{}, 1)
	client := newClient(t, r, func(o *cocaine.Options) {
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialing <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	errs := make(chan error, 1)
	go func() { errs <- cocaine.Exec(patient(t), client.Service("node"), "list") }()
	await(t, dialing, "the dial")
	client.Close()
	if err := await(t, errs, "an error"); !errors.Is(err, cocaine.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

func TestContextEndsCall(t *testing.T) {
	r := standin.New(t)
	mux, begun, ended := hanging()
	r.Serve("node", mux)
	client := newClient(t, r)
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 1)
	go func() { errs <- cocaine.Exec(ctx, client.Service("node"), "list") }()
	await(t, begun, "the call")
	cancel()
	if err := await(t, errs, "an error"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	await(t, ended, "the end of the method's context: the service was not told")

	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := cocaine.Exec(ctx, client.Service("node"), "list"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestExpiredContext(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList())
	client := newClient(t, r)
	if err := client.Service("node").Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if _, err := client.Node().List(ctx); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if n := node.Calls(); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

// A caller that gives up takes nothing from those who wait for the same connection.
func TestCallerLeavesOthersConnect(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList("a"))
	dialing, release := make(chan struct{}, 10), make(chan struct{})
	client := newClient(t, r, func(o *cocaine.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialing <- struct{}{}
			<-release
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- client.Service("node").Connect(ctx) }()
	await(t, dialing, "the dial")
	go func() { second <- client.Service("node").Connect(patient(t)) }()
	cancel()
	if err := await(t, first, "the first caller"); !errors.Is(err, context.Canceled) {
		t.Errorf("the first caller got %v", err)
	}
	close(release)
	if err := await(t, second, "the second caller"); err != nil {
		t.Errorf("the second caller got %v", err)
	}
	if r.Resolved("node") != 1 {
		t.Errorf("resolved %d times", r.Resolved("node"))
	}
}

func TestErrorOfTheService(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
	m.Unary("read", func(context.Context, *rpc.Call) ([]byte, error) {
		return nil, rpc.Errorf(idl.CategoryGeneric, idl.GenericNotFound, "no such key")
	})
	m.Unary("write", func(context.Context, *rpc.Call) ([]byte, error) { return nil, nil })
	m.Unary("find", func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value(5), nil })
	r.Serve("storage", m)
	client := newClient(t, r)
	_, err := client.Storage().Read(patient(t), "c", "k")
	if !errors.Is(err, cocaine.ErrNotFound) || errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Errorf("got %v", err)
	}
	if want := "cannot call storage.read: no such key [12, 2]"; err.Error() != want {
		t.Errorf("the error reads %q, want %q", err, want)
	}
	if err := client.Storage().Write(patient(t), "c", "k", nil); err != nil {
		t.Errorf("write: %v", err)
	}
	if _, err := client.Storage().Find(patient(t), "c"); err == nil || !strings.HasPrefix(err.Error(), "cannot call storage.find: cannot decode") {
		t.Errorf("an answer of the wrong type: %v", err)
	}
	if _, err := cocaine.Get[int](patient(t), client.Service("storage"), "write", func() {}, cocaine.Raw{0x93}); err == nil {
		t.Error("arguments that are no msgpack were sent")
	}
}

func TestStorageArguments(t *testing.T) {
	r := standin.New(t)
	got := make(chan []byte, 10)
	m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
	for _, name := range []string{"read", "write", "remove", "find"} {
		m.Unary(name, func(_ context.Context, c *rpc.Call) ([]byte, error) {
			got <- bytes.Clone(c.Args)
			switch name {
			case "read":
				return standin.Value([]byte("blob")), nil
			case "find":
				return standin.Value([]string{"k1", "k2"}), nil
			}
			return nil, nil
		})
	}
	r.Serve("storage", m)
	s := newClient(t, r).Storage()
	ctx := patient(t)
	blob, err := s.Read(ctx, "c", "k")
	if err != nil || string(blob) != "blob" {
		t.Errorf("read: %q, %v", blob, err)
	}
	want(t, got, "c", "k")
	if err := s.Write(ctx, "c", "k", []byte("blob"), "t1"); err != nil {
		t.Error(err)
	}
	want(t, got, "c", "k", "blob", []string{"t1"})
	if err := s.Write(ctx, "c", "k", []byte("blob")); err != nil {
		t.Error(err)
	}
	want(t, got, "c", "k", "blob", []string{})
	if err := s.Remove(ctx, "c", "k"); err != nil {
		t.Error(err)
	}
	want(t, got, "c", "k")
	keys, err := s.Find(ctx, "c", "t1", "t2")
	if err != nil || !reflect.DeepEqual(keys, []string{"k1", "k2"}) {
		t.Errorf("find: %q, %v", keys, err)
	}
	want(t, got, "c", []string{"t1", "t2"})
}

// want checks the arguments that a service got.
func want(t *testing.T, got <-chan []byte, values ...any) {
	t.Helper()
	if args := await(t, got, "a call"); !bytes.Equal(args, standin.Value(values...)) {
		t.Errorf("the service got %x, want %x", args, standin.Value(values...))
	}
}

func TestNode(t *testing.T) {
	r := standin.New(t)
	got := make(chan []byte, 10)
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
	for _, name := range []string{"start_app", "pause_app", "info"} {
		m.Unary(name, func(_ context.Context, c *rpc.Call) ([]byte, error) {
			got <- bytes.Clone(c.Args)
			if name != "info" {
				return nil, nil
			}
			return standin.Value(map[string]any{
				"state": "running", "uptime": 12, "publushed": true,
				"queue":    map[string]any{"capacity": 100, "depth": 3, "depth_average": 1.5},
				"pool":     map[string]any{"active": 1, "slaves": map[string]any{"u1": map[string]any{"load:total": 2, "state": "active"}}},
				"manifest": map[string]any{"slave": "run"},
				"rate":     []any{1.5, 2, 3},
			}), nil
		})
	}
	r.Serve("node", m)
	node := newClient(t, r).Node()
	if err := node.Start(patient(t), "app", "default"); err != nil {
		t.Error(err)
	}
	want(t, got, "app", "default")
	if err := node.Pause(patient(t), "app"); err != nil {
		t.Error(err)
	}
	want(t, got, "app")
	info, err := node.Info(patient(t), "app", cocaine.InfoOverseer|cocaine.InfoManifest)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, "app", 3)
	if info.State != "running" || info.Uptime != 12 || !info.Published || info.Queue.Depth != 3 || info.Queue.DepthAverage != 1.5 ||
		info.Pool.Workers["u1"].Load != 2 || info.Manifest["slave"] != "run" || info.Rate[1] != 2 {
		t.Errorf("got %+v", info)
	}
}

func TestSeveralResults(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.Cache, rpc.MuxOptions{})
	m.Unary("get", func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value(true, "blob"), nil })
	m.Unary("put", func(context.Context, *rpc.Call) ([]byte, error) { return nil, nil })
	r.Serve("cache", m)
	svc := newClient(t, r).Service("cache")
	type entry struct {
		Found bool
		Blob  []byte
	}
	e, err := cocaine.Get[entry](patient(t), svc, "get", "k")
	if err != nil || !e.Found || string(e.Blob) != "blob" {
		t.Errorf("got %+v, %v", e, err)
	}
	list, err := cocaine.Get[[]any](patient(t), svc, "get", "k")
	if err != nil || !reflect.DeepEqual(list, []any{true, "blob"}) {
		t.Errorf("got %v, %v", list, err)
	}
	raw, err := cocaine.Get[cocaine.Raw](patient(t), svc, "get", "k")
	if err != nil || !bytes.Equal(raw, standin.Value(true, "blob")) {
		t.Errorf("got %x, %v", raw, err)
	}
	if v, err := cocaine.Get[string](patient(t), svc, "put", "k", "v"); err != nil || v != "" {
		t.Errorf("a value of nothing: %q, %v", v, err)
	}
}

func TestMuteMethod(t *testing.T) {
	r := standin.New(t)
	emitted := make(chan string, 1)
	m := rpc.NewMux(idl.Logging, rpc.MuxOptions{})
	m.Mute("emit", func(_ context.Context, c *rpc.Call) error {
		args := c.Reader()
		args.Skip()
		args.Skip()
		emitted <- args.String()
		return nil
	})
	r.Serve("logging", m)
	svc := newClient(t, r).Service("logging")
	if err := cocaine.Exec(patient(t), svc, "emit", 1, "app", "hello"); err != nil {
		t.Fatal(err)
	}
	if got := await(t, emitted, "the record"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestBigValues(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
	m.Unary("write", func(_ context.Context, c *rpc.Call) ([]byte, error) { return nil, nil })
	m.Unary("read", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		return msgpack.AppendBytes(msgpack.AppendArray(nil, 1), make([]byte, 20<<20)), nil
	})
	r.Serve("storage", m)
	s := newClient(t, r).Storage()
	if err := s.Write(patient(t), "c", "k", make([]byte, 20<<20)); err != nil {
		t.Error(err)
	}
	if b, err := s.Read(patient(t), "c", "k"); err != nil || len(b) != 20<<20 {
		t.Errorf("got %d bytes, %v", len(b), err)
	}

	small := newClient(t, r, func(o *cocaine.Options) { o.MaxFrame = 1 << 20 }).Storage()
	_, err := small.Read(patient(t), "c", "k")
	if !errors.Is(err, cocaine.ErrDisconnected) || !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("an answer over the limit: %v", err)
	}
}

// A service that does not speak the protocol costs the call, and nothing else.
func TestBadReplies(t *testing.T) {
	for name, reply := range map[string]string{
		"not msgpack":      "\xc1\xc1\xc1",
		"not a frame":      "\xa5hello",
		"huge claim":       "\x94\x01\x00\xdb\xff\xff\xff\xff",
		"end in a frame":   "\x94\x01\x00",
		"bad headers":      "\x94\x01\x00\x91\x90\x91\xce\xff\xff\xff\xff",
		"wrong message id": "\x94\x01\x07\x90\x90",
		"error of a kind":  "\x94\x01\x01\x91\xa1x\x90",
	} {
		t.Run(name, func(t *testing.T) {
			r := standin.New(t)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 100))
				_, _ = io.WriteString(conn, reply)
			}()
			r.Publish("node", idl.NodeService, ln.Addr().String())
			client := newClient(t, r)
			_, err = client.Node().List(patient(t))
			if err == nil {
				t.Error("the reply was taken for an answer")
			}
			ln.Close()
			<-served
			r.Serve("node", standin.NodeList("a"))
			if _, err = client.Node().List(patient(t)); errors.Is(err, cocaine.ErrDisconnected) {
				_, err = client.Node().List(patient(t))
			}
			if err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList("a"))
	client := newClient(t, r)
	got, err := client.Locator().Resolve(patient(t), "node")
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "node" || got.Version != 1 || !reflect.DeepEqual(got.Endpoints, []string{node.Addr()}) {
		t.Errorf("got %+v", got)
	}
	if m := got.Methods[2]; m.Name != "list" || m.ID != 2 || fmt.Sprint(m.Accepts, m.Replies) != "[] [value error]" {
		t.Errorf("list is %+v", m)
	}
	if m := got.Methods[5]; m.Name != "enqueue" || fmt.Sprint(m.Accepts, m.Replies) != "[write error close] [write error close]" {
		t.Errorf("enqueue is %+v", m)
	}
	self, err := client.Locator().Resolve(patient(t), "locator")
	if err != nil || self.Endpoints[0] != r.Locator() {
		t.Errorf("the locator itself: %+v, %v", self, err)
	}
	if id, err := client.Locator().UUID(patient(t)); err != nil || id != "standin" {
		t.Errorf("uuid: %q, %v", id, err)
	}
	if id, err := cocaine.Get[string](patient(t), client.Service("locator"), "uuid"); err != nil || id != "standin" {
		t.Errorf("the locator as a service: %q, %v", id, err)
	}
}

func TestPingIsTheMethodNotTheControlMessage(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.Echo, rpc.MuxOptions{})
	m.Unary("ping", func(_ context.Context, c *rpc.Call) ([]byte, error) { return bytes.Clone(c.Args), nil })
	r.Serve("echo", m)
	got, err := cocaine.Get[string](patient(t), newClient(t, r).Service("echo"), "ping", "pong")
	if err != nil || got != "pong" {
		t.Fatalf("got %q, %v", got, err)
	}
}
