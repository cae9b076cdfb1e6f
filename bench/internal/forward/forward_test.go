//go:build linux

package forward

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
	"github.com/cocaine/cocaine-go/bench/internal/frame"
	"github.com/cocaine/cocaine-go/bench/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// rig is a forwarder with the test as its worker.
type rig struct {
	t      *testing.T
	addr   string
	worker *stream
	served chan error
}

func newRig(t *testing.T) *rig {
	t.Helper()
	workers, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer workers.Close()
	clients, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, addr: clients.Addr().String(), served: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { r.served <- Serve(clients, workers, func() { close(ready) }) }()
	c, err := net.Dial("unix", workers.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.worker = newStream(t, c)
	t.Cleanup(r.stop)
	<-ready
	return r
}

// stop ends the worker, and so the forwarder.
func (r *rig) stop() {
	r.worker.conn.Close()
	select {
	case err := <-r.served:
		if err != nil {
			r.t.Errorf("the forwarder ended with %v", err)
		}
	case <-time.After(patience):
		r.t.Error("the forwarder goes on without its worker")
	}
}

func (r *rig) dial() *stream {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return newStream(r.t, c)
}

// stream reads and writes frames.
type stream struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
}

func newStream(t *testing.T, c net.Conn) *stream {
	c.SetDeadline(time.Now().Add(patience))
	return &stream{t: t, conn: c}
}

func (s *stream) next() (frame.Frame, error) {
	for {
		f, n, err := frame.Next(s.buf)
		if err == nil {
			s.buf = s.buf[n:]
			return f, nil
		}
		if !errors.Is(err, frame.ErrShort) {
			return f, err
		}
		b := make([]byte, 64<<10)
		n, err = s.conn.Read(b)
		if err != nil {
			return f, err
		}
		s.buf = append(s.buf, b[:n]...)
	}
}

func (s *stream) want(channel, typ uint64, args ...[]byte) {
	s.t.Helper()
	f, err := s.next()
	if err != nil {
		s.t.Fatalf("cannot read: %v", err)
	}
	if f.Channel != channel || !bytes.Equal(f.Rest, frame.Tail(typ, args...)) {
		s.t.Fatalf("got %+v, want channel %d, type %d, %x", f, channel, typ, args)
	}
}

func (s *stream) send(channel, typ uint64, args ...[]byte) {
	s.t.Helper()
	if _, err := s.conn.Write(frame.AppendTail(nil, channel, frame.Tail(typ, args...))); err != nil {
		s.t.Fatalf("cannot write: %v", err)
	}
}

// echo answers everything until the connection ends.
func (s *stream) echo(done *sync.WaitGroup) {
	done.Go(func() {
		var last uint64 = 1
		for {
			f, err := s.next()
			if err != nil {
				return
			}
			if f.Channel > last {
				last = f.Channel
			} else if _, err := s.conn.Write(frame.AppendForward(nil, f, f.Channel)); err != nil {
				return
			}
		}
	})
}

// Two clients use the same channel numbers; the worker sees ascending ones and
// each gets its own answers.
func TestRemapsChannels(t *testing.T) {
	r := newRig(t)
	a, b := r.dial(), r.dial()
	a.send(1, 0, frame.Raw("echo"))
	r.worker.want(2, 0, frame.Raw("echo"))
	b.send(1, 0, frame.Raw("echo"))
	r.worker.want(3, 0, frame.Raw("echo"))
	b.send(70, 0, frame.Raw("echo")) // numbers may be left out
	r.worker.want(4, 0, frame.Raw("echo"))

	a.send(1, frame.Write, frame.Raw("of a"))
	r.worker.want(2, frame.Write, frame.Raw("of a"))
	a.send(1, frame.Close)
	r.worker.want(2, frame.Close)

	r.worker.send(4, frame.Write, frame.Raw("third"))
	r.worker.send(3, frame.StreamErr, []byte{0x92, 42, 1}, frame.Raw("no"))
	r.worker.send(2, frame.Write, frame.Raw("first"))
	r.worker.send(2, frame.Close)
	b.want(70, frame.Write, frame.Raw("third"))
	b.want(1, frame.StreamErr, []byte{0x92, 42, 1}, frame.Raw("no"))
	a.want(1, frame.Write, frame.Raw("first"))
	a.want(1, frame.Close)
}

func TestDropsFramesOfClosedChannels(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	c.send(5, 0, frame.Raw("echo"))
	c.send(5, frame.Close)
	c.send(5, frame.Write, frame.Raw("late"))
	c.send(3, frame.Write, frame.Raw("never opened"))
	c.send(6, 0, frame.Raw("echo"))
	r.worker.want(2, 0, frame.Raw("echo"))
	r.worker.want(2, frame.Close)
	r.worker.want(3, 0, frame.Raw("echo"))
	r.worker.send(2, frame.Close)
	r.worker.send(2, frame.Write, frame.Raw("late"))
	r.worker.send(99, frame.Write, frame.Raw("unknown"))
	r.worker.send(3, frame.Close)
	c.want(5, frame.Close)
	c.want(6, frame.Close)
}

func TestAnswersHeartbeats(t *testing.T) {
	r := newRig(t)
	r.worker.send(1, frame.Handshake, frame.Raw("uuid"))
	r.worker.send(1, frame.Heartbeat)
	r.worker.want(1, frame.Heartbeat)
}

// A client that breaks the framing, and one that leaves with a call open, cost
// the others nothing.
func TestBadClientsCostOthersNothing(t *testing.T) {
	r := newRig(t)
	good, gone, broken := r.dial(), r.dial(), r.dial()
	gone.send(1, 0, frame.Raw("echo"))
	r.worker.want(2, 0, frame.Raw("echo"))
	gone.conn.Close()
	if _, err := broken.conn.Write([]byte{0xc1, 0xc1, 0xc1, 0xc1, 0xc1}); err != nil {
		t.Fatal(err)
	}
	if _, err := broken.next(); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && err == nil {
		t.Errorf("the broken client reads on: %v", err)
	}
	good.send(1, 0, frame.Raw("echo"))
	r.worker.want(3, 0, frame.Raw("echo"))
	r.worker.send(2, frame.Write, frame.Raw("for nobody"))
	r.worker.send(2, frame.Close)
	r.worker.send(3, frame.Close)
	good.want(1, frame.Close)
}

// stuck is how long a write that nobody takes has to wait before it counts as one.
const stuck = 300 * time.Millisecond

// flood writes a chunk so many times and returns when it got stuck before the end. It
// goes on by itself when the other side takes more, and ends with the test.
func (r *rig) flood(conn net.Conn, chunk []byte, times int) {
	r.t.Helper()
	stalled, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		limit := func() time.Time { return time.Now().Add(stuck) }
		for range times {
			for rest := chunk; len(rest) > 0; {
				_ = conn.SetWriteDeadline(limit()) // fails only with the write
				n, err := conn.Write(rest)
				rest = rest[n:]
				switch {
				case errors.Is(err, os.ErrDeadlineExceeded):
					limit = func() time.Time { return time.Time{} }
					close(stalled)
				case err != nil:
					return // who reads the chunks sees it
				}
			}
		}
	}()
	r.t.Cleanup(func() {
		_ = conn.Close() // a test that failed leaves it stuck
		<-finished
	})
	select {
	case <-stalled:
	case <-finished:
		r.t.Fatalf("%d MiB went to somebody who reads nothing", times*len(chunk)>>20)
	}
}

// A client that does not read fills its buffer up to the limit; then the worker
// is not read, until the client reads again, and nothing is lost.
func TestSlowClientStopsTheWorker(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	if err := c.conn.(*net.TCPConn).SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	c.send(1, 0, frame.Raw("echo"))
	r.worker.want(2, 0, frame.Raw("echo"))

	const chunks = 600 // 38 MiB, more than the limit and the socket buffers hold
	chunk := frame.AppendTail(nil, 2, frame.Tail(frame.Write, frame.Raw(bytes.Repeat([]byte("z"), 64<<10))))
	r.flood(r.worker.conn, chunk, chunks)
	for range chunks {
		f, err := c.next()
		if err != nil || f.Channel != 1 {
			t.Fatalf("got %d on channel %d, %v", f.Type, f.Channel, err)
		}
	}
}

// The same the other way round: a worker that does not read stops its clients.
func TestSlowWorkerStopsClients(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	if err := c.conn.(*net.TCPConn).SetWriteBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	c.send(1, 0, frame.Raw("echo"))
	const chunks = 600
	chunk := frame.AppendTail(nil, 1, frame.Tail(frame.Write, frame.Raw(bytes.Repeat([]byte("z"), 64<<10))))
	r.flood(c.conn, chunk, chunks)
	r.worker.want(2, 0, frame.Raw("echo"))
	for range chunks {
		if f, err := r.worker.next(); err != nil || f.Channel != 2 {
			t.Fatalf("got channel %d, %v", f.Channel, err)
		}
	}
}

// The load client checks every answer, so a run is a test of both.
func TestCarriesLoad(t *testing.T) {
	for _, o := range []closedloop.Options{
		{Connections: 1, InFlight: 1},
		{Connections: 4, InFlight: 1},
		{Connections: 3, InFlight: 300},
	} {
		r := newRig(t)
		var done sync.WaitGroup
		r.worker.echo(&done)
		o.Duration = 50 * time.Millisecond
		result, err := load.Run(load.Options{Options: o, Network: "tcp", Address: r.addr, Shape: load.Echo("echo", make([]byte, 5000))})
		if err != nil || result.Total < uint64(o.InFlight) {
			t.Errorf("%+v: %+v, %v", o, result, err)
		}
		r.worker.conn.Close()
		done.Wait()
	}
}

func TestRoutesSkipTakenSlots(t *testing.T) {
	r := newRoutes()
	p := new(peer)
	first, err := r.open(p, 1)
	if first != 2 || err != nil {
		t.Fatalf("the first channel is %d, %v", first, err)
	}
	for range maxOpen - 1 {
		if _, err := r.open(p, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.open(p, 1); !errors.Is(err, errTooManyCalls) {
		t.Errorf("one call too many: %v", err)
	}
	r.close(r.find(7))
	id, err := r.open(p, 9)
	if err != nil || id%maxOpen != 7 || r.find(7) != nil || r.find(id).channel != 9 {
		t.Errorf("the free slot went to %d, %v", id, err)
	}
}

func TestCallsGrow(t *testing.T) {
	c := newCalls()
	size := uint64(len(c.slots))
	for i := uint64(1); i <= 5; i++ {
		if err := c.open(i*size, 100+i); err != nil { // all fall on slot 0
			t.Fatal(err)
		}
	}
	for i := uint64(1); i <= 5; i++ {
		if got := c.channel(i * size); got != 100+i {
			t.Errorf("channel %d leads to %d", i*size, got)
		}
	}
	c.close(3 * size)
	if c.channel(3*size) != 0 || c.channel(0) != 0 {
		t.Error("a closed channel leads somewhere")
	}
	for i := uint64(6); ; i++ {
		if err := c.open(i*maxOpen, 1); errors.Is(err, errTooManyCalls) {
			break
		}
		if i > 100 {
			t.Fatal("it grows for ever")
		}
	}
}
