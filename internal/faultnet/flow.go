package faultnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// flow is one direction of a pipe: a bounded buffer between one end's writes
// and the other end's reads. All fields are guarded by mu; whoever waits does so
// on a channel, never on mu.
type flow struct {
	mu      sync.Mutex
	buf     []byte
	limit   int
	eof     bool          // the writing end is done: drain, then io.EOF
	gone    bool          // the reading end is closed: writes fail
	reset   bool          // torn down: both ends fail at once, the buffer is lost
	changed chan struct{} // closed and replaced at every change
}

func newFlow(limit int) *flow {
	return &flow{limit: limit, changed: make(chan struct{})}
}

// update applies change and wakes everybody who waits on the flow.
func (f *flow) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.wake()
}

// wake tells the waiting ends that something changed; mu is held.
func (f *flow) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flow) read(p []byte, closed, late <-chan struct{}) (int, error) {
	for {
		if err := interrupted(closed, late); err != nil {
			return 0, err
		}
		n, changed, err := f.tryRead(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-changed:
		case <-closed:
		case <-late:
		}
	}
}

// tryRead takes what is there. With nothing to take and no error it returns the
// channel that tells of the next change.
func (f *flow) tryRead(p []byte) (int, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.reset:
		return 0, nil, syscall.ECONNRESET
	case len(f.buf) > 0 && len(p) > 0:
		n := copy(p, f.buf)
		f.buf = append(f.buf[:0], f.buf[n:]...)
		f.wake()
		return n, nil, nil
	case f.eof && len(f.buf) == 0:
		return 0, nil, io.EOF
	}
	return 0, f.changed, nil
}

func (f *flow) write(p []byte, closed, late <-chan struct{}) (int, error) {
	written := 0
	for {
		if err := interrupted(closed, late); err != nil {
			return written, err
		}
		n, changed, err := f.tryWrite(p[written:])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
		select {
		case <-changed:
		case <-closed:
		case <-late:
		}
	}
}

// tryWrite stores what fits and returns the channel that tells of the next change.
func (f *flow) tryWrite(p []byte) (int, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.reset:
		return 0, nil, syscall.ECONNRESET
	case f.gone, f.eof:
		return 0, nil, syscall.EPIPE
	}
	n := min(len(p), f.limit-len(f.buf))
	if n > 0 {
		f.buf = append(f.buf, p[:n]...)
		f.wake()
	}
	return n, f.changed, nil
}

// interrupted reports why a call must not go on. As with sockets, a deadline in
// the past wins over data that is ready.
func interrupted(closed, late <-chan struct{}) error {
	select {
	case <-closed:
		return net.ErrClosed
	default:
	}
	select {
	case <-late:
		return os.ErrDeadlineExceeded
	default:
	}
	return nil
}
