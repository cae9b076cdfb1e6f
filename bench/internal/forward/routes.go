package forward

import "errors"

// maxOpen bounds the calls open at a time, over all clients.
const maxOpen = 1 << 16

var errTooManyCalls = errors.New("too many calls open at a time")

// route says whose call a channel of the worker is.
type route struct {
	id      uint64 // the worker's channel; 0 when free
	client  *peer
	channel uint64 // the client's channel
}

// routes finds the client of an answer. Channel c lives in slot c mod maxOpen; a
// number whose slot is taken is left out, which the protocol allows.
type routes struct {
	slots []route
	last  uint64 // highest channel given out; 1 is the worker's own
}

func newRoutes() routes { return routes{slots: make([]route, maxOpen), last: 1} }

// open gives a call the next free channel of the worker.
func (r *routes) open(client *peer, channel uint64) (uint64, error) {
	for range r.slots {
		r.last++
		s := &r.slots[r.last%maxOpen]
		if s.id == 0 {
			*s = route{id: r.last, client: client, channel: channel}
			return r.last, nil
		}
	}
	return 0, errTooManyCalls
}

// find returns nil for a channel that is not open.
func (r *routes) find(id uint64) *route {
	s := &r.slots[id%maxOpen]
	if s.id != id || id == 0 {
		return nil
	}
	return s
}

func (r *routes) close(s *route) { *s = route{} }

// calls maps the channels a client has open for writing to the worker's. It
// starts small and doubles when two open channels fall on one slot.
type calls struct {
	slots []call
	mask  uint64
}

type call struct{ from, to uint64 }

func newCalls() calls {
	const size = 1 << 12
	return calls{slots: make([]call, size), mask: size - 1}
}

func (c *calls) open(from, to uint64) error {
	for {
		s := &c.slots[from&c.mask]
		if s.from == 0 {
			*s = call{from, to}
			return nil
		}
		if len(c.slots) == maxOpen {
			return errTooManyCalls
		}
		c.grow()
	}
}

// grow doubles the table. Two channels that shared no slot share none in a table
// twice the size.
func (c *calls) grow() {
	old := c.slots
	c.slots = make([]call, 2*len(old))
	c.mask = uint64(len(c.slots) - 1)
	for _, s := range old {
		if s.from != 0 {
			c.slots[s.from&c.mask] = s
		}
	}
}

// channel returns the worker's channel, 0 when the client has none open there.
func (c *calls) channel(from uint64) uint64 {
	if s := c.slots[from&c.mask]; s.from == from {
		return s.to
	}
	return 0
}

func (c *calls) close(from uint64) {
	if s := &c.slots[from&c.mask]; s.from == from {
		*s = call{}
	}
}
