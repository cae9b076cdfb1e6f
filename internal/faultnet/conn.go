package faultnet

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection that misbehaves as its script says.
type Conn struct {
	inner       net.Conn
	script      Script
	read, write *half
	readBy      deadline
	writeBy     deadline
	in, out     atomic.Int64
	torn        atomic.Bool // a reset struck: every call fails with ECONNRESET
	closeOnce   sync.Once
	closed      chan struct{}
	closeErr    error
}

var _ net.Conn = (*Conn)(nil)

// Wrap returns c with the faults of s. The caller uses and closes only the
// returned connection from then on.
func Wrap(c net.Conn, s Script) *Conn {
	return &Conn{
		inner: c, script: s,
		read: newHalf(s.Read, 'r'), write: newHalf(s.Write, 'w'),
		closed: make(chan struct{}),
	}
}

// Script returns the faults the connection was given.
func (c *Conn) Script() Script { return c.script }

// Carried returns how many bytes have passed in each direction.
func (c *Conn) Carried() (read, written int64) { return c.in.Load(), c.out.Load() }

// Read reads one transfer's worth of bytes from the wrapped connection.
func (c *Conn) Read(p []byte) (int, error) {
	h, late := c.read, c.readBy.done()
	if err := c.enter("read", h, late); err != nil {
		return 0, err
	}
	defer h.leave()
	if len(p) == 0 {
		return c.inner.Read(p)
	}
	if err := c.meetFate("read", h); err != nil {
		return 0, err
	}
	plan := h.next(len(p))
	if err := c.wait("read", plan, late); err != nil {
		return 0, err
	}
	n, err := c.inner.Read(p[:plan.size])
	h.flip(p[:n])
	h.offset += int64(n)
	c.in.Store(h.offset)
	if err != nil {
		return n, c.blame("read", err)
	}
	if fateful := c.meetFate("read", h); fateful != nil && n == 0 {
		return 0, fateful
	}
	return n, nil
}

// Write writes p in as many transfers as the script cuts it into. An error tells
// how many bytes went out before it.
func (c *Conn) Write(p []byte) (int, error) {
	h, late := c.write, c.writeBy.done()
	if err := c.enter("write", h, late); err != nil {
		return 0, err
	}
	defer h.leave()
	written := 0
	for {
		if err := c.meetFate("write", h); err != nil && written < len(p) {
			return written, err
		}
		if written == len(p) {
			return written, nil
		}
		n, err := c.transfer(h, p[written:], late)
		written += n
		if err != nil {
			return written, err
		}
	}
}

// transfer writes the next piece of p.
func (c *Conn) transfer(h *half, p []byte, late <-chan struct{}) (int, error) {
	plan := h.next(len(p))
	if err := c.wait("write", plan, late); err != nil {
		return 0, err
	}
	piece := p[:plan.size]
	if h.flipsWithin(len(piece)) {
		piece = bytes.Clone(piece) // the caller's buffer is not ours to change
		h.flip(piece)
	}
	n, err := c.inner.Write(piece)
	h.offset += int64(n)
	c.out.Store(h.offset)
	if err != nil {
		return n, c.blame("write", err)
	}
	return n, nil
}

// enter takes the direction's turn. Nil means that the caller has it.
func (c *Conn) enter(op string, h *half, late <-chan struct{}) error {
	if err := c.dead(op); err != nil {
		return err
	}
	select {
	case h.turn <- struct{}{}:
		return nil
	case <-c.closed:
		return c.wrap(op, net.ErrClosed)
	case <-late:
		return c.wrap(op, os.ErrDeadlineExceeded)
	}
}

func (h *half) leave() { <-h.turn }

// dead reports that the connection was closed or reset.
func (c *Conn) dead(op string) error {
	if c.torn.Load() {
		return c.wrap(op, syscall.ECONNRESET)
	}
	if isClosed(c.closed) {
		return c.wrap(op, net.ErrClosed)
	}
	return nil
}

// meetFate carries out a reset or half-close that is due and reports the error
// that a further transfer in this direction gets.
func (c *Conn) meetFate(op string, h *half) error {
	resets, closes := h.fate()
	if resets {
		c.Reset()
	}
	if closes {
		h.ended = true
		if op == "write" {
			closeWrite(c.inner)
		}
	}
	if err := c.dead(op); err != nil {
		return err
	}
	switch {
	case !h.ended:
		return nil
	case op == "read":
		return io.EOF
	default:
		return c.wrap(op, syscall.EPIPE)
	}
}

// wait sits out the delays and gates of a plan.
func (c *Conn) wait(op string, p plan, late <-chan struct{}) error {
	if p.pause > 0 {
		timer := time.NewTimer(p.pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.closed:
		case <-late:
		}
	}
	for _, g := range p.gates {
		g.arrive()
		select {
		case <-g.released:
		case <-c.closed:
		case <-late:
		}
	}
	if err := c.dead(op); err != nil {
		return err
	}
	return c.wrap(op, interrupted(c.closed, late))
}

// Reset tears the connection down now.
func (c *Conn) Reset() error {
	c.torn.Store(true)
	c.closeOnce.Do(func() {
		close(c.closed)
		c.closeErr = resetConn(c.inner)
	})
	return nil
}

// CloseWrite half-closes the wrapped connection, if it can.
func (c *Conn) CloseWrite() error { return closeWrite(c.inner) }

// Close closes the wrapped connection and releases every waiting call.
func (c *Conn) Close() error {
	c.closeOnce.Do(func() {
		close(c.closed)
		c.closeErr = c.inner.Close()
	})
	return c.closeErr
}

// LocalAddr returns the wrapped connection's local address.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr returns the wrapped connection's remote address.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// SetDeadline sets both deadlines; delays and stalls obey them too.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readBy.set(t)
	c.writeBy.set(t)
	return c.inner.SetDeadline(t)
}

// SetReadDeadline sets the deadline of reads, stalled ones included.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return c.inner.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline of writes, stalled ones included.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	return c.inner.SetWriteDeadline(t)
}

// blame replaces the error of a connection that our own reset closed.
func (c *Conn) blame(op string, err error) error {
	if c.torn.Load() {
		return c.wrap(op, syscall.ECONNRESET)
	}
	return err
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: c.inner.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// closeWrite half-closes; a transport that cannot is closed whole, as its peer
// must see the end of the stream.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// resetConn makes the peer see a reset: a pipe can, TCP does when it closes
// without lingering, others look closed.
func resetConn(c net.Conn) error {
	switch c := c.(type) {
	case interface{ Reset() error }:
		return c.Reset()
	case *net.TCPConn:
		c.SetLinger(0)
	}
	return c.Close()
}
