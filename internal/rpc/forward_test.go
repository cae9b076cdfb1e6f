package rpc_test

import (
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// forwarder is an Acceptor that passes every channel on to another session and
// the answers back, verbatim, as the engine does. Its channels are reused, so
// that forwarding allocates nothing.
type forwarder struct {
	to   *rpc.Session
	free sync.Pool
}

// hop is one forwarded channel.
type hop struct {
	f        *forwarder
	from, to end
	open     atomic.Int32 // halves that are open
}

// end is a channel on one of the two sessions, and the Receiver of what comes on
// the other one.
type end struct {
	hop     *hop
	session *rpc.Session
	channel uint64
}

func (f *forwarder) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, fr *rpc.Frame) rpc.Receiver {
	h, _ := f.free.Get().(*hop)
	if h == nil {
		h = &hop{f: f}
		h.from.hop, h.to.hop = h, h
	}
	h.open.Store(2)
	h.from.session, h.from.channel = s, channel
	h.to.session = f.to
	id, err := f.to.Open(b, &h.from, fr.Type, fr.Args, nil)
	if err != nil {
		return nil
	}
	h.to.channel = id
	return &h.to
}

func (e *end) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	_ = e.session.Send(b, e.channel, f.Type, f.Args, nil)
	if f.Type == idl.Write {
		return false
	}
	if e.hop.open.Add(-1) == 0 {
		e.hop.f.free.Put(e.hop)
	}
	return true
}

func (e *end) Lost(*rpc.Batch, error) {}

// echoer answers every frame of a channel with the same frame, the first one not.
type echoer struct{ free sync.Pool }

type echoed struct {
	e       *echoer
	session *rpc.Session
	channel uint64
}

func (e *echoer) Accept(_ *rpc.Batch, s *rpc.Session, channel uint64, _ *rpc.Frame) rpc.Receiver {
	c, _ := e.free.Get().(*echoed)
	if c == nil {
		c = &echoed{e: e}
	}
	c.session, c.channel = s, channel
	return c
}

func (c *echoed) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	_ = c.session.Send(b, c.channel, f.Type, f.Args, nil)
	if f.Type == idl.Write {
		return false
	}
	c.e.free.Put(c)
	return true
}

func (c *echoed) Lost(*rpc.Batch, error) {}

// sockets returns the two ends of a real connection.
func sockets(t testing.TB, network string) (client, server net.Conn) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// run starts a session and ends it with the test.
func run(t testing.TB, conn net.Conn, o rpc.SessionOptions) *rpc.Session {
	s := rpc.Start(conn, o)
	t.Cleanup(func() {
		_ = s.Close()
		s.Wait()
	})
	return s
}

// twoHops connects a client with an echoing worker through a forwarder: TCP
// before it, a Unix socket behind it, as in production.
func twoHops(t testing.TB) *rpc.Session {
	client, front := sockets(t, "tcp")
	back, worker := sockets(t, "unix")
	run(t, worker, rpc.SessionOptions{Acceptor: &echoer{}})
	b := run(t, back, rpc.SessionOptions{})
	run(t, front, rpc.SessionOptions{Acceptor: &forwarder{to: b}})
	return run(t, client, rpc.SessionOptions{})
}

// counter is a Receiver that counts frames and tells when it has enough.
type counter struct {
	left atomic.Int64
	done chan struct{}
}

func newCounter() *counter { return &counter{done: make(chan struct{}, 1)} }

func (c *counter) expect(n int) { c.left.Store(int64(n)) }

func (c *counter) Receive(_ *rpc.Batch, f *rpc.Frame) bool {
	if c.left.Add(-1) == 0 {
		c.done <- struct{}{}
	}
	return f.Type != idl.Write
}

func (c *counter) Lost(*rpc.Batch, error) {}
