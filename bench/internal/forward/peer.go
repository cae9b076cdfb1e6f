//go:build linux

package forward

import (
	"github.com/cocaine/cocaine-go/bench/internal/sock"
)

const readSize = 256 << 10

// peer is one connection, of a client or of the worker.
type peer struct {
	sock    *sock.Conn
	in      []byte
	have    int // bytes of in that are filled
	out     []byte
	sent    int  // bytes of out already written
	waiting bool // the kernel had no room; the poller watches for it
	full    bool // more than highWater waits
	touched bool // is on the forwarder's list of what to flush
	gone    bool // closed; routes may still point here

	// Of a client only.
	last  uint64 // highest channel it opened
	calls calls
}

func newPeer(s *sock.Conn) *peer {
	return &peer{
		sock:  s,
		in:    make([]byte, readSize),
		out:   make([]byte, 0, readSize),
		calls: newCalls(),
	}
}

func (p *peer) fill() error {
	n, err := p.sock.Read(p.in[p.have:])
	p.have += n
	return err
}

// keep moves an unfinished frame to the front of the buffer, and doubles the
// buffer when the frame fills it.
func (p *peer) keep(rest []byte) {
	p.have = copy(p.in, rest)
	if p.have == len(p.in) {
		p.in = append(p.in, make([]byte, len(p.in))...)
	}
}

// flush writes what the kernel takes and says whether something is left.
func (p *peer) flush() (waiting bool, err error) {
	for p.sent < len(p.out) {
		n, err := p.sock.Write(p.out[p.sent:])
		if err == sock.ErrWouldBlock {
			p.compact()
			return true, nil
		}
		if err != nil {
			return false, err
		}
		p.sent += n
	}
	p.out, p.sent = p.out[:0], 0
	return false, nil
}

// compact forgets what is written once it is the larger part, so that a peer
// which never takes everything cannot make the buffer grow.
func (p *peer) compact() {
	if p.sent > len(p.out)/2 {
		p.out = p.out[:copy(p.out, p.out[p.sent:])]
		p.sent = 0
	}
}
