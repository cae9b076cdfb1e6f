//go:build linux

package load

import (
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/sock"
)

const readSize = 256 << 10

// conn is one connection and the requests in flight on it.
type conn struct {
	sock    *sock.Conn
	in      []byte
	have    int // bytes of in that hold the start of an unfinished frame, or all read
	out     []byte
	sent    int  // bytes of out already written
	waiting bool // the kernel had no room; the poller watches for it
	last    uint64
	slots   []slot // channel c lives in slots[c & mask]
	mask    uint64
}

// slot is one request in flight; channel 0 means free.
type slot struct {
	channel uint64
	start   time.Duration
	chunk   bool // the echo of the payload has come
}

// newConn gives four slots to each request that may be in flight, so that a slow
// one seldom stands where a new one wants to be.
func newConn(s *sock.Conn, inFlight int) *conn {
	size := 1
	for size < 4*inFlight {
		size *= 2
	}
	return &conn{
		sock:  s,
		in:    make([]byte, readSize),
		out:   make([]byte, 0, readSize),
		slots: make([]slot, size),
		mask:  uint64(size - 1),
	}
}

// claim opens the next channel whose slot is free. Numbers may be left out, they
// only have to grow.
func (n *conn) claim(now time.Duration) (channel uint64) {
	for {
		n.last++
		s := &n.slots[n.last&n.mask]
		if s.channel == 0 {
			*s = slot{channel: n.last, start: now}
			return n.last
		}
	}
}

// slot finds an open channel; nil when it is not open.
func (n *conn) slot(channel uint64) *slot {
	s := &n.slots[channel&n.mask]
	if s.channel != channel || channel == 0 {
		return nil
	}
	return s
}

func (n *conn) release(s *slot) { s.channel = 0 }

// fill reads once; the buffer always has room because keep grows it.
func (n *conn) fill() error {
	k, err := n.sock.Read(n.in[n.have:])
	n.have += k
	return err
}

// keep moves an unfinished frame to the front.
func (n *conn) keep(rest []byte) {
	n.have = copy(n.in, rest)
	if n.have == len(n.in) {
		n.in = append(n.in, make([]byte, len(n.in))...)
	}
}

// flush writes what the kernel takes and says whether something is left.
func (n *conn) flush() (waiting bool, err error) {
	for n.sent < len(n.out) {
		k, err := n.sock.Write(n.out[n.sent:])
		if err == sock.ErrWouldBlock {
			n.compact()
			return true, nil
		}
		if err != nil {
			return false, err
		}
		n.sent += k
	}
	n.out, n.sent = n.out[:0], 0
	return false, nil
}

// compact forgets what is written once it is the larger part, so that a kernel
// which never takes everything cannot make the buffer grow.
func (n *conn) compact() {
	if n.sent > len(n.out)/2 {
		n.out = n.out[:copy(n.out, n.out[n.sent:])]
		n.sent = 0
	}
}
