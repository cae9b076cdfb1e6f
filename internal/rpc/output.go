package rpc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

const (
	// writeStep is how much the writer goroutine offers at once to a connection
	// without a descriptor. It is one record of TLS, which does not survive a write
	// that was cut short by its deadline: such a peer has the stall time for each
	// record.
	writeStep = 16 << 10
	// flushRounds is how many chunks one flush writes before the writer goroutine
	// takes over: a reader must not become the writer of a connection that many
	// feed.
	flushRounds = 16
)

// output is the sending side of a session: a queue of chunks. Its fields are
// guarded by Session.mu, except those of the writer, the goroutine that has set
// writing.
type output struct {
	frames
	s       *Session
	raw     syscall.RawConn // nil: the connection cannot be written without blocking
	writing bool            // somebody is writing
	queued  bool            // a batch is going to flush this session
	room    chan struct{}   // closed when size drops to half the limit; nil when nobody waits
	counted int             // what it takes of Memory

	// Owned by the goroutine that has set writing; kept here so that a write
	// allocates nothing.
	arg   []byte
	n     int
	errno error
	try1  func(fd uintptr) bool // writes what the kernel takes at once
	wait1 func(fd uintptr) bool // waits until it takes something
}

func (o *output) init(s *Session) {
	o.s = s
	o.try1 = func(fd uintptr) bool { o.writeFD(fd); return true }
	o.wait1 = func(fd uintptr) bool { return o.writeFD(fd) }
	if c, ok := s.conn.(syscallConn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			o.raw = raw
		}
	}
}

// touch notes in a batch that there is something to flush. Called with Session.mu
// held.
func (o *output) touch(b *Batch) {
	if b == nil {
		return
	}
	if !o.queued {
		o.queued = true
		b.touched = append(b.touched, o.s)
	}
	o.fullIn(b)
}

// fullIn notes in a batch that its reader has to wait for this session. Called with
// Session.mu held.
func (o *output) fullIn(b *Batch) {
	if n := len(b.full); o.size > o.limit() && (n == 0 || b.full[n-1] != o.s) {
		b.full = append(b.full, o.s)
	}
}

// limit is the size beyond which those who feed the session wait. Called with
// Session.mu held.
func (o *output) limit() int {
	if o.size > spare && o.s.opts.Memory.tight() {
		return min(spare, o.s.opts.Buffer)
	}
	return o.s.opts.Buffer
}

// count has Memory know of what is more than spare, roughly: it is shared by all
// processors. Called with Session.mu held.
func (o *output) count() {
	if n := o.size &^ (spare - 1); n != o.counted {
		o.s.opts.Memory.add(n - o.counted)
		o.counted = n
	}
}

// abandon drops everything when the session ends. What somebody is writing just
// now is left to the garbage collector. Called with Session.mu held.
func (o *output) abandon() {
	o.head, o.tail = nil, nil
	o.size = 0
	o.count()
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
	c := o.head
	if c == nil {
		return // abandoned meanwhile
	}
	c.r += n
	if c.r == c.w {
		o.busy = o.busy && c.w > smallChunk/2
		if o.head = c.next; o.head == nil {
			o.tail = nil
		}
		c.free()
	}
	o.size -= n
	o.count()
	if o.size <= o.s.opts.Buffer/2 {
		o.signal()
	}
}

// flushStage is flush after the frames that a batch has staged for the session.
func (s *Session) flushStage(b *Batch, staged *frames) {
	s.mu.Lock()
	if s.err == nil {
		s.out.take(staged)
		s.out.fullIn(b)
	} else {
		staged.drop()
	}
	s.flushLocked()
}

// flush writes what is buffered without blocking. Only one goroutine writes at a
// time; what others append meanwhile it writes too. If the kernel does not take
// everything, a writer goroutine takes over until the buffer is empty.
func (s *Session) flush() {
	s.mu.Lock()
	s.flushLocked()
}

// flushTogether is flush for one goroutine of many that send on a session. A system
// call costs more than what it sends, so while other calls are under way the first
// who has something to send lets the others run before it writes; those who come
// meanwhile leave what they have to it. A call that is alone is written at once.
func (s *Session) flushTogether() {
	if s.table.len() <= 1 {
		s.flush()
		return
	}
	if s.gathering.Swap(true) {
		return // whoever gathers takes the lock after this, and so sees what is there
	}
	runtime.Gosched()
	s.gathering.Store(false)
	s.flush()
}

// flushLocked is flush, called with mu held, which it releases.
func (s *Session) flushLocked() {
	o := &s.out
	o.queued = false
	o.count()
	if o.writing {
		s.mu.Unlock()
		return
	}
	o.writing = true
	for round := 0; s.err == nil; round++ {
		buf := o.pending()
		if len(buf) == 0 {
			break
		}
		if round == flushRounds || o.raw == nil {
			s.wg.Go(s.write) // it owns writing now
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		n, err := o.do(buf, o.try1)
		s.mu.Lock()
		if err != nil {
			s.mu.Unlock()
			s.sever(fmt.Errorf("%w: %w", ErrDisconnected, err))
			s.mu.Lock()
			break
		}
		o.taken(n)
		if n < len(buf) {
			round = flushRounds - 1
		}
	}
	o.writing = false
	s.mu.Unlock()
}

// do writes through the descriptor.
func (o *output) do(buf []byte, how func(fd uintptr) bool) (int, error) {
	o.arg, o.n, o.errno = buf, 0, nil
	err := o.raw.Write(how)
	o.arg = nil
	if err == nil {
		err = o.errno
	}
	return o.n, err
}

// writeFD writes once. It returns false if the kernel takes nothing now.
func (o *output) writeFD(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), o.arg)
		switch err {
		case nil:
			o.n = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		default:
			o.errno = os.NewSyscallError("write", err)
		}
		return true
	}
}

// write is the writer goroutine: it blocks in place of whoever would have had to,
// until nothing is buffered. The peer has the stall time to take something.
func (s *Session) write() {
	o := &s.out
	var armed time.Time // when the deadline was set, zero when there is none
	for {
		s.mu.Lock()
		buf := o.pending()
		if s.err != nil || len(buf) == 0 && armed.IsZero() {
			o.writing = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if len(buf) == 0 { // while writing is still ours: the next writer sets a deadline of its own
			armed = time.Time{}
			_ = s.conn.SetWriteDeadline(armed) // fails only on a closed connection
			continue
		}
		// Moving a deadline is not free: it is moved often enough to leave the peer
		// three quarters of the stall time at least.
		if now := time.Now(); now.Sub(armed) > s.opts.Stall/4 || o.raw == nil {
			armed = now
			_ = s.conn.SetWriteDeadline(now.Add(s.opts.Stall)) // likewise, and then the write fails
		}
		n, err := o.block(buf)
		s.mu.Lock()
		o.taken(n)
		s.mu.Unlock()
		switch late := errors.Is(err, os.ErrDeadlineExceeded); {
		case late && n == 0:
			s.stalled()
		case err != nil && !late:
			s.sever(fmt.Errorf("%w: %w", ErrDisconnected, err))
		}
	}
}

// block writes something, waiting until the peer takes it.
func (o *output) block(buf []byte) (int, error) {
	if o.raw != nil {
		return o.do(buf, o.wait1)
	}
	return o.s.conn.Write(buf[:min(len(buf), writeStep)])
}

func (s *Session) stalled() {
	s.opts.Stats.Stalled.Add(1)
	s.log.Warn("closing connection: peer stopped reading", "peer", s.conn.RemoteAddr(), "after", s.opts.Stall)
	s.fail(fmt.Errorf("%w: %w", ErrDisconnected, ErrStalled))
}

// awaitRoom blocks while the output is over its limit, until cancel or the end
// of the session.
func (s *Session) awaitRoom(cancel <-chan struct{}) { s.awaitSize(cancel, (*output).limit) }

// awaitSize blocks while more bytes are buffered than a limit, until cancel or the
// end of the session.
func (s *Session) awaitSize(cancel <-chan struct{}, limit func(*output) int) {
	for {
		s.mu.Lock()
		if s.err != nil || s.out.size <= limit(&s.out) {
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

// Drain waits until the kernel has taken everything that was sent, or the session
// or ctx has ended.
func (s *Session) Drain(ctx context.Context) {
	s.awaitSize(ctx.Done(), func(*output) int { return 0 })
}

// Buffered is the number of bytes accepted and not yet taken by the kernel.
func (s *Session) Buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.size
}
