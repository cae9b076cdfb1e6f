package cluster_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/cluster"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

const (
	own  = "11111111-2222-3333-4444-555555555555"
	peer = "ebefc1d3-cfed-4278-85d2-8d987ddf1308"
	here = "10.0.0.2:10053" // where the peer is, unless a test says otherwise
)

// network is a network in memory: listeners by address.
type network struct {
	mu        sync.Mutex
	listeners map[string]*faultnet.MemListener
	faults    []faultnet.Script // of the next connections, on the side that dials
	dialled   []time.Time
}

func newNetwork() *network { return &network{listeners: make(map[string]*faultnet.MemListener)} }

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	ln := n.listeners[address]
	n.dialled = append(n.dialled, time.Now())
	var script *faultnet.Script
	if len(n.faults) > 0 {
		script, n.faults = &n.faults[0], n.faults[1:]
	}
	n.mu.Unlock()
	if ln == nil {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
	}
	c, err := ln.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if script != nil {
		return faultnet.Wrap(c, *script), nil
	}
	return c, nil
}

// listen opens an address for the test to accept connections at.
func (n *network) listen(t testing.TB, address string) *faultnet.MemListener {
	t.Helper()
	ln := faultnet.NewListener(address, faultnet.PipeOptions{})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address] = ln
	t.Cleanup(func() { ln.Close() })
	return ln
}

// close makes an address unreachable.
func (n *network) close(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address].Close()
	delete(n.listeners, address)
}

// newLinks makes the links of node own over the network.
func newLinks(t testing.TB, n *network, o cluster.Options) *cluster.Links {
	t.Helper()
	o.UUID = own
	o.Dial = n.dial
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	l, err := cluster.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSuffix(p, []byte("\n")))
	return len(p), nil
}

// fake is a node that the test plays.
type fake struct {
	*rpctest.Peer
	t    *testing.T
	uuid string
	ch   uint64 // of the stream
}

// accept takes the next connection, and answers who it is and connect.
func accept(t *testing.T, ln net.Listener, uuid string) *fake {
	t.Helper()
	f := meet(t, ln, uuid)
	c := f.Recv()
	if c.Type != idl.LocatorConnect || fmt.Sprint(c.Values()) != "["+own+"]" {
		t.Fatalf("received %v, want connect with %s", c, own)
	}
	f.ch = c.Channel
	return f
}

// meet takes the next connection and says who it is.
func meet(t *testing.T, ln net.Listener, uuid string) *fake {
	t.Helper()
	f := answer(t, ln)
	f.uuid = uuid
	f.identify()
	return f
}

// answer takes the next connection.
func answer(t *testing.T, ln net.Listener) *fake {
	t.Helper()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return &fake{Peer: rpctest.Play(t, conn), t: t}
}

// serve is a node that does all by itself, until the test ends.
func serve(t *testing.T, ln net.Listener, services ...string) {
	m := rpc.NewMux(idl.Locator, rpc.MuxOptions{})
	m.Inline("uuid", func(context.Context, *rpc.Call) ([]byte, error) {
		return msgpack.AppendString(msgpack.AppendArray(nil, 1), peer), nil
	})
	m.Stream("connect", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
		f, _, err := wire.Parse(announcement(1, peer, services...), wire.Limits{})
		if err == nil {
			err = s.Send(ctx, idl.Write, f.Args)
		}
		if err == nil {
			<-ctx.Done()
		}
		return err
	})
	srv := rpc.NewServer(rpc.ServerOptions{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(context.Background(), ln, m) })
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = srv.Shutdown(ctx)
		wg.Wait()
	})
}

// identify answers the question who it is.
func (f *fake) identify() {
	f.t.Helper()
	q := f.Recv()
	if q.Type != idl.LocatorUUID {
		f.t.Fatalf("received %v, want the question who this is", q)
	}
	f.Send(q.Channel, idl.Value, f.uuid)
}

// announce tells the services: name, endpoint, and so on; a service at "" is gone.
func (f *fake) announce(services ...string) {
	f.t.Helper()
	f.Write(announcement(f.ch, f.uuid, services...))
}

func announcement(ch uint64, uuid string, services ...string) []byte {
	b := msgpack.AppendString(msgpack.AppendArray(nil, 2), uuid)
	b = msgpack.AppendMap(b, len(services)/2)
	for i := 0; i < len(services); i += 2 {
		b = append(msgpack.AppendString(b, services[i]), info(services[i+1])...)
	}
	return wire.AppendFrame(nil, wire.Frame{Channel: ch, Type: idl.Write, Args: b,
		Headers: hpack.AppendLiterals(nil, []hpack.Header{{Name: "x-cocaine-locator-extra", Value: "\x80"}})})
}

// info is what is said of a service at an endpoint.
func info(endpoint string) []byte {
	var eps []netip.AddrPort
	if endpoint != "" {
		eps = append(eps, netip.MustParseAddrPort(endpoint))
	}
	b := idl.AppendEndpoints(msgpack.AppendArray(nil, 3), eps)
	return idl.Echo.AppendGraph(msgpack.AppendInt(b, 1))
}

// settle waits until nothing moves any more, without time going on.
func settle() { synctest.Wait() }

func wantAt(t *testing.T, l *cluster.Links, service, endpoint string) {
	t.Helper()
	settle()
	if have := l.Choose([]byte(service)); !bytes.Equal(have, info(endpoint)) {
		t.Fatalf("of %s is known %x, want that it is at %s", service, have, endpoint)
	}
}

func wantGone(t *testing.T, l *cluster.Links, service string) {
	t.Helper()
	settle()
	if have := l.Choose([]byte(service)); have != nil {
		t.Fatalf("of %s is known %x, want nothing", service, have)
	}
}

// hungUp waits until the other side has hung up.
func (f *fake) hungUp() {
	f.t.Helper()
	_ = f.Conn().SetReadDeadline(time.Now().Add(rpctest.Patience))
	if _, err := io.Copy(io.Discard, f.Conn()); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		f.t.Fatalf("it did not hang up: %v", err)
	}
}

// play is a conversation of testdata: see the files.
func play(t *testing.T, file string, ln net.Listener, l *cluster.Links) {
	t.Helper()
	script, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	for i, line := range strings.Split(string(script), "\n") {
		where := fmt.Sprintf("%s:%d", file, i+1)
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb == "" || verb == "#" {
			continue
		}
		switch verb {
		case "accept":
			if conn, err = ln.Accept(); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			c := conn
			t.Cleanup(func() { c.Close() })
		case "<":
			want := unhex(t, rest)
			have := make([]byte, len(want))
			_ = conn.SetReadDeadline(time.Now().Add(rpctest.Patience))
			if n, err := io.ReadFull(conn, have); err != nil || !bytes.Equal(have, want) {
				t.Fatalf("%s: received %x, %v; want %x", where, have[:n], err, want)
			}
		case ">":
			if _, err := conn.Write(unhex(t, rest)); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
		case "close":
			conn.Close()
		case "hangup":
			if n, err := io.Copy(io.Discard, conn); err != nil || n != 0 {
				t.Fatalf("%s: %d more bytes, %v; want that it hangs up", where, n, err)
			}
		case "resolves":
			name, want, _ := strings.Cut(rest, " ")
			settle()
			if have := l.Choose([]byte(name)); !bytes.Equal(have, unhex(t, want)) {
				t.Fatalf("%s: of %s is known %x", where, name, have)
			}
		case "gone":
			settle()
			if have := l.Choose([]byte(rest)); have != nil {
				t.Fatalf("%s: of %s is known %x", where, rest, have)
			}
		default:
			t.Fatalf("%s: no such verb", where)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}
