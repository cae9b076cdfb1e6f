package faultnet

import (
	"io"
	"net"
	"sync"
	"time"
)

// DefaultBuffer is what one direction of a pipe holds when PipeOptions does not say.
const DefaultBuffer = 64 << 10

// PipeOptions shape a pipe. The zero value is ready to use.
type PipeOptions struct {
	// Buffer is how many bytes one direction holds before Write waits for the
	// other end to read. If zero, DefaultBuffer.
	Buffer int
	// Names are the addresses of the first and the second end. If empty, "a" and "b".
	Names [2]string
}

// Addr is the address of a connection in memory.
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the name given to the end.
func (a Addr) String() string { return string(a) }

// PipeConn is one end of a connection in memory. Unlike net.Pipe it has a
// buffer, so that a Write returns before the other end reads, and it can be half
// closed and reset.
type PipeConn struct {
	in, out       *flow
	local, remote Addr
	readBy        deadline
	writeBy       deadline
	closeOnce     sync.Once
	closed        chan struct{}
}

var _ net.Conn = (*PipeConn)(nil)

// Pipe returns the two ends of a new connection.
func Pipe(o PipeOptions) (a, b *PipeConn) {
	limit := o.Buffer
	if limit <= 0 {
		limit = DefaultBuffer
	}
	names := o.Names
	if names[0] == "" {
		names[0] = "a"
	}
	if names[1] == "" {
		names[1] = "b"
	}
	ab, ba := newFlow(limit), newFlow(limit)
	a = &PipeConn{in: ba, out: ab, local: Addr(names[0]), remote: Addr(names[1]), closed: make(chan struct{})}
	b = &PipeConn{in: ab, out: ba, local: Addr(names[1]), remote: Addr(names[0]), closed: make(chan struct{})}
	return a, b
}

// Read takes bytes that the other end wrote. It returns io.EOF once the other
// end has closed and everything was read, ECONNRESET after a reset.
func (c *PipeConn) Read(p []byte) (int, error) {
	n, err := c.in.read(p, c.closed, c.readBy.done())
	return n, c.wrap("read", err)
}

// Write stores p for the other end, waiting while the buffer is full. It returns
// EPIPE once the other end has closed, ECONNRESET after a reset.
func (c *PipeConn) Write(p []byte) (int, error) {
	n, err := c.out.write(p, c.closed, c.writeBy.done())
	return n, c.wrap("write", err)
}

// CloseWrite ends this end's output: the other end reads what is left, then io.EOF.
func (c *PipeConn) CloseWrite() error {
	c.out.update(func() { c.out.eof = true })
	return nil
}

// Close ends both directions. The other end still reads what was written.
func (c *PipeConn) Close() error {
	c.closeOnce.Do(func() {
		close(c.closed)
		c.out.update(func() { c.out.eof = true })
		c.in.update(func() { c.in.gone, c.in.buf = true, nil })
		c.readBy.set(time.Time{})
		c.writeBy.set(time.Time{})
	})
	return nil
}

// Reset tears the connection down: unread bytes are lost and calls on both ends
// fail with ECONNRESET.
func (c *PipeConn) Reset() error {
	for _, f := range []*flow{c.in, c.out} {
		f.update(func() { f.reset, f.buf = true, nil })
	}
	return nil
}

// Buffered is the number of bytes that wait for this end to read them.
func (c *PipeConn) Buffered() int {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return len(c.in.buf)
}

// LocalAddr returns the name of this end.
func (c *PipeConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the name of the other end.
func (c *PipeConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines; calls that wait already obey the new ones.
func (c *PipeConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline makes reads fail with os.ErrDeadlineExceeded from t on.
func (c *PipeConn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readBy, t) }

// SetWriteDeadline makes writes fail with os.ErrDeadlineExceeded from t on.
func (c *PipeConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, t) }

func (c *PipeConn) setDeadline(d *deadline, t time.Time) error {
	if isClosed(c.closed) {
		return c.wrap("set", net.ErrClosed)
	}
	d.set(t)
	return nil
}

// wrap dresses an error as sockets do; io.EOF stays bare.
func (c *PipeConn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}
