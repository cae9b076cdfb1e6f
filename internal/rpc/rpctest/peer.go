package rpctest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// Patience is how long a Peer waits for something that must happen.
const Patience = 30 * time.Second

// Options describe a session under test and the connection to it.
type Options struct {
	// Session configures the session.
	Session rpc.SessionOptions
	// Buffer is how many bytes each direction of the connection holds. If zero,
	// faultnet.DefaultBuffer.
	Buffer int
	// Faults happen to the session's end of the connection.
	Faults faultnet.Script
	// Name is what messages are called in failures. It may be nil.
	Name func(channel, typ uint64) string
}

// A Frame is one message as a Peer received it. It owns its contents.
type Frame struct {
	Channel, Type uint64
	Args          []byte // a msgpack array
	Headers       []hpack.Header
	wire          wire.Frame
}

// String shows the frame on one line.
func (f Frame) String() string { return f.wire.String() }

// Values decodes the arguments as msgpack.Reader.Value does.
func (f Frame) Values() []any {
	r := msgpack.NewReader(f.Args)
	v, _ := r.Value().([]any)
	return v
}

// A Peer is the test's end of a connection whose other end is a session.
type Peer struct {
	t       testing.TB
	conn    net.Conn
	session *rpc.Session // nil for Play
	style   wire.Style
	scanner wire.Scanner
	table   hpack.Table
	buf     []byte // received and not yet looked at
	end     error  // why nothing more can be read
}

// New starts a session on one end of a connection in memory and returns the other
// end. When the test ends the session is closed and waited for.
func New(t testing.TB, o Options) *Peer {
	t.Helper()
	near, far := faultnet.Pipe(faultnet.PipeOptions{Buffer: o.Buffer, Names: [2]string{"peer", "session"}})
	var conn net.Conn = far
	if len(o.Faults.Read)+len(o.Faults.Write) > 0 {
		conn = faultnet.Wrap(far, o.Faults)
	}
	p := Play(t, near)
	p.style.Name = o.Name
	p.session = start(t, conn, o.Session)
	return p
}

// Play returns a Peer for a connection whose other end is not a session of this
// test. The connection is closed when the test ends.
func Play(t testing.TB, conn net.Conn) *Peer {
	t.Cleanup(func() { _ = conn.Close() })
	return &Peer{t: t, conn: conn, scanner: wire.NewScanner(wire.Limits{})}
}

// Pair connects two sessions with each other. When the test ends they are closed
// and waited for.
func Pair(t testing.TB, a, b rpc.SessionOptions) (*rpc.Session, *rpc.Session) {
	t.Helper()
	near, far := faultnet.Pipe(faultnet.PipeOptions{})
	return start(t, near, a), start(t, far, b)
}

func start(t testing.TB, conn net.Conn, o rpc.SessionOptions) *rpc.Session {
	s := rpc.Start(conn, o)
	t.Cleanup(func() {
		_ = s.Close()
		s.Wait()
	})
	return s
}

// Session is the session under test, nil for a Peer made by Play.
func (p *Peer) Session() *rpc.Session { return p.session }

// Conn is the test's end of the connection.
func (p *Peer) Conn() net.Conn { return p.conn }

// Args encodes values as an args array. It fails the test for a value that
// msgpack.AppendValue does not take.
func (p *Peer) Args(values ...any) []byte {
	p.t.Helper()
	b := msgpack.AppendArray(nil, len(values))
	for _, v := range values {
		var err error
		if b, err = msgpack.AppendValue(b, v); err != nil {
			p.t.Fatalf("cannot encode argument %v: %v", v, err)
		}
	}
	return b
}

// Send writes one frame with an empty headers array.
func (p *Peer) Send(channel, typ uint64, args ...any) {
	p.t.Helper()
	p.SendHeaders(nil, channel, typ, args...)
}

// SendHeaders writes one frame with literal headers.
func (p *Peer) SendHeaders(hs []hpack.Header, channel, typ uint64, args ...any) {
	p.t.Helper()
	f := wire.Frame{Channel: channel, Type: typ, Args: p.Args(args...)}
	if len(hs) > 0 {
		f.Headers = hpack.AppendLiterals(nil, hs)
	}
	p.Write(wire.AppendFrame(nil, f))
}

// Write writes bytes as they are, frames or not.
func (p *Peer) Write(b []byte) {
	p.t.Helper()
	_ = p.conn.SetWriteDeadline(time.Now().Add(Patience))
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("cannot send %d bytes: %v", len(b), err)
	}
}

// Recv reads the next frame.
func (p *Peer) Recv() Frame {
	p.t.Helper()
	f, err := p.next()
	if err != nil {
		p.t.Fatalf("no frame: %v", err)
	}
	return f
}

// next reads until there is a whole frame.
func (p *Peer) next() (Frame, error) {
	deadline := time.Now().Add(Patience)
	for {
		if f, ok, err := p.parse(); ok || err != nil {
			return f, err
		}
		if err := p.fill(deadline); err != nil {
			return Frame{}, err
		}
	}
}

// parse takes a frame from the buffer, if there is a whole one.
func (p *Peer) parse() (Frame, bool, error) {
	f, n, err := p.scanner.Next(p.buf)
	switch {
	case errors.Is(err, wire.ErrShort):
		return Frame{}, false, nil
	case err != nil:
		return Frame{}, false, err
	}
	p.buf = p.buf[n:] // f stays valid: later bytes go behind it
	hs, err := p.table.Decode(nil, f.Headers)
	return Frame{Channel: f.Channel, Type: f.Type, Args: f.Args, Headers: hs, wire: f}, err == nil, err
}

// fill reads once. An end of the connection is remembered.
func (p *Peer) fill(deadline time.Time) error {
	if p.end != nil {
		return p.end
	}
	b := make([]byte, 16<<10)
	_ = p.conn.SetReadDeadline(deadline)
	n, err := p.conn.Read(b)
	p.buf = append(p.buf, b[:n]...)
	if n > 0 {
		return nil // an error comes again
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		p.end = err
	}
	return err
}

// Want reads the next frame and fails the test unless it is this one. Headers are
// not looked at; it returns the frame for those who do.
func (p *Peer) Want(channel, typ uint64, args ...any) Frame {
	p.t.Helper()
	want := wire.Frame{Channel: channel, Type: typ, Args: p.Args(args...)}
	f, err := p.next()
	if err != nil {
		p.t.Fatalf("want frame %s, got none: %v", p.show(want), err)
	}
	if f.Channel != channel || f.Type != typ || !bytes.Equal(f.Args, want.Args) {
		p.t.Fatalf("got  frame %s\nwant frame %s", p.show(f.wire), p.show(want))
	}
	return f
}

func (p *Peer) show(f wire.Frame) string { return string(p.style.AppendFrame(nil, f)) }

// WantError reads the next frame and fails the test unless it is an error message
// with this category and code on this channel. It returns the error's text.
func (p *Peer) WantError(channel uint64, category, code int) string {
	p.t.Helper()
	f, err := p.next()
	if err != nil {
		p.t.Fatalf("want error [%d, %d] on channel %d, got no frame: %v", category, code, channel, err)
	}
	e, err := rpc.DecodeError(f.Args)
	if f.Channel != channel || f.Type != idl.Error || err != nil || e.Category != category || e.Code != code {
		p.t.Fatalf("got  frame %s\nwant error [%d, %d] on channel %d", p.show(f.wire), category, code, channel)
	}
	return e.Message
}

// WantIdle waits until nothing can happen any more by itself and fails the test
// if the session has sent something or closed the connection. It works inside a
// testing/synctest bubble only.
func (p *Peer) WantIdle() {
	p.t.Helper()
	synctest.Wait()
	// A nanosecond is the smallest step of a bubble's time: it passes when
	// everybody waits.
	err := p.fill(time.Now().Add(1))
	for err == nil {
		err = p.fill(time.Now().Add(1))
	}
	f, ok, bad := p.parse()
	switch {
	case ok:
		p.t.Fatalf("got frame %s\nwant nothing", p.show(f.wire))
	case bad != nil:
		p.t.Fatalf("got malformed bytes, want nothing: %v", bad)
	case p.end != nil:
		p.t.Fatalf("connection ended, want nothing: %v", p.end)
	}
}

// WantClosed reads the end of the connection and fails the test if a frame comes
// before it.
func (p *Peer) WantClosed() {
	p.t.Helper()
	f, err := p.next()
	if err == nil {
		p.t.Fatalf("got frame %s\nwant the connection closed", p.show(f.wire))
	}
	if !closed(err) {
		p.t.Fatalf("want the connection closed, got: %v", err)
	}
	if len(p.buf) > 0 {
		p.t.Fatalf("connection closed inside a frame, after %x", p.buf)
	}
}

func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// Close closes the test's end of the connection.
func (p *Peer) Close() { _ = p.conn.Close() }

// Poll takes the next frame if it has come already, waiting for nothing. With
// nothing there it returns os.ErrDeadlineExceeded, else what ended the connection.
// Like WantIdle it works inside a testing/synctest bubble only.
func (p *Peer) Poll() (Frame, error) {
	for {
		if f, ok, err := p.parse(); ok || err != nil {
			return f, err
		}
		if err := p.fill(time.Now().Add(1)); errors.Is(err, os.ErrDeadlineExceeded) {
			return Frame{}, os.ErrDeadlineExceeded
		} else if err != nil {
			return Frame{}, err
		}
	}
}
