package rpc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go/internal/wire"
)

const (
	// keepBuffer is the largest output buffer kept for reuse.
	keepBuffer = 256 << 10
	// writeStep is how much the writer goroutine offers the kernel at once, so
	// that a slow peer which does make progress is not taken for a stalled one.
	// It is one record of TLS, which does not survive a write that was cut short
	// by its deadline: such a peer has the stall time for each record.
	writeStep = 16 << 10
	// flushRounds is how often one flush goes on with what others have appended
	// meanwhile, before the writer goroutine takes over: a reader must not become
	// the writer of a connection that many feed.
	flushRounds = 16
)

var emptyArray = []byte{0x90}

// output is the sending side of a session. Its fields are guarded by Session.mu,
// except those of the writer, the goroutine that has set writing.
type output struct {
	s       *Session
	raw     syscall.RawConn // nil: the connection cannot be written without blocking
	buf     []byte          // frames nobody is writing yet
	spare   []byte          // an empty buffer to swap with
	rest    []byte          // what the writer goroutine has left to write
	size    int             // bytes accepted and not yet taken by the kernel
	writing bool            // somebody is writing
	queued  bool            // a batch is going to flush this session
	room    chan struct{}   // closed when size drops to half the limit; nil when nobody waits

	// Owned by the goroutine that has set writing; kept here so that a write
	// allocates nothing.
	arg   []byte
	n     int
	errno error
	fn    func(fd uintptr) bool
}

func (o *output) init(s *Session) {
	o.s = s
	o.fn = o.writeFD
	if c, ok := s.conn.(syscallConn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			o.raw = raw
		}
	}
}

// append adds a frame. Called with Session.mu held.
func (o *output) append(b *Batch, channel, typ uint64, args, headers []byte) {
	was := len(o.buf)
	o.buf = wire.AppendHead(o.buf, channel, typ)
	if args == nil {
		args = emptyArray
	}
	o.buf = append(o.buf, args...)
	if headers == nil {
		headers = emptyArray
	}
	o.buf = append(o.buf, headers...)
	o.size += len(o.buf) - was
	if b == nil {
		return
	}
	if !o.queued {
		o.queued = true
		b.touched = append(b.touched, o.s)
	}
	if o.size > o.s.opts.Buffer {
		b.full = append(b.full, o.s)
	}
}

// abandon drops everything when the session ends. Called with Session.mu held.
func (o *output) abandon() {
	o.buf, o.spare = nil, nil
	o.size = 0
	o.signal()
}

func (o *output) signal() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// taken accounts for bytes that the kernel took. Called with Session.mu held.
func (o *output) taken(n int) {
	o.size = max(o.size-n, 0)
	if o.size <= o.s.opts.Buffer/2 {
		o.signal()
	}
}

// flush writes what is buffered without blocking. Only one goroutine writes at a
// time; what others append meanwhile it writes too. If the kernel does not take
// everything, a writer goroutine takes over until the buffer is empty.
func (s *Session) flush() {
	o := &s.out
	s.mu.Lock()
	o.queued = false
	if o.writing {
		s.mu.Unlock()
		return
	}
	o.writing = true
	for round := 0; len(o.buf) > 0 && s.err == nil; round++ {
		buf := o.swap()
		if round == flushRounds {
			o.handOver(buf)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		n, err := o.try(buf)
		s.mu.Lock()
		o.taken(n)
		if err != nil {
			s.mu.Unlock()
			s.sever(fmt.Errorf("%w: %w", ErrDisconnected, err))
			s.mu.Lock()
			break
		}
		if n < len(buf) {
			if s.err != nil {
				break // Run may already wait for the goroutines of the session
			}
			o.handOver(buf[n:])
			s.mu.Unlock()
			return
		}
		o.keep(buf)
	}
	o.writing = false
	s.mu.Unlock()
}

// handOver starts the writer goroutine, which owns writing from now on, with what
// it has to write first. Called with Session.mu held.
func (o *output) handOver(rest []byte) {
	o.rest = rest
	o.s.wg.Go(o.s.write)
}

// swap takes what is buffered. Called with Session.mu held.
func (o *output) swap() []byte {
	buf := o.buf
	o.buf, o.spare = o.spare[:0], nil
	return buf
}

// keep saves a written buffer for the next frames. Called with Session.mu held.
func (o *output) keep(buf []byte) {
	if cap(buf) > keepBuffer || o.s.err != nil {
		return
	}
	if o.buf == nil {
		o.buf = buf[:0]
	} else {
		o.spare = buf[:0]
	}
}

// try writes as much as the kernel takes at once.
func (o *output) try(buf []byte) (int, error) {
	if o.raw == nil {
		return 0, nil
	}
	o.arg, o.n, o.errno = buf, 0, nil
	err := o.raw.Write(o.fn)
	o.arg = nil
	if err == nil {
		err = o.errno
	}
	return o.n, err
}

func (o *output) writeFD(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), o.arg)
		switch err {
		case nil:
			o.n = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			o.errno = os.NewSyscallError("write", err)
		}
		return true
	}
}

// write is the writer goroutine: it blocks in place of whoever would have had to.
func (s *Session) write() {
	o := &s.out
	for {
		s.writeAll(o.rest)
		s.mu.Lock()
		o.keep(o.rest)
		o.rest = nil
		if len(o.buf) == 0 || s.err != nil {
			o.writing = false
			s.mu.Unlock()
			return
		}
		o.rest = o.swap()
		s.mu.Unlock()
	}
}

// writeAll writes in steps, each of which has the stall time to be taken.
func (s *Session) writeAll(buf []byte) {
	for len(buf) > 0 {
		step := buf[:min(len(buf), writeStep)]
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.opts.Stall)) // fails only on a closed connection, and so will Write
		n, err := s.conn.Write(step)
		s.mu.Lock()
		s.out.taken(n)
		s.mu.Unlock()
		switch late := errors.Is(err, os.ErrDeadlineExceeded); {
		case late && n == 0:
			s.stalled()
			return
		case err != nil && !late:
			s.sever(fmt.Errorf("%w: %w", ErrDisconnected, err))
			return
		}
		buf = buf[n:]
	}
	_ = s.conn.SetWriteDeadline(time.Time{})
}

func (s *Session) stalled() {
	s.opts.Stats.Stalled.Add(1)
	s.log.Warn("closing connection: peer stopped reading", "peer", s.conn.RemoteAddr(), "after", s.opts.Stall)
	s.fail(fmt.Errorf("%w: %w", ErrDisconnected, ErrStalled))
}

// awaitRoom blocks while the output is over its limit, until cancel or the end
// of the session.
func (s *Session) awaitRoom(cancel <-chan struct{}) {
	for {
		s.mu.Lock()
		if s.err != nil || s.out.size <= s.opts.Buffer {
			s.mu.Unlock()
			return
		}
		if s.out.room == nil {
			s.out.room = make(chan struct{})
		}
		c := s.out.room
		s.mu.Unlock()
		select {
		case <-c:
		case <-cancel:
			return
		}
	}
}

// AwaitRoom blocks while the output is over its limit. It is for goroutines that
// may block; readers wait by themselves.
func (s *Session) AwaitRoom(ctx context.Context) error {
	s.awaitRoom(ctx.Done())
	return ctx.Err()
}

// Buffered is the number of bytes accepted and not yet taken by the kernel.
func (s *Session) Buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.size
}
