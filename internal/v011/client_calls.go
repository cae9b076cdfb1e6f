package v011

// calls are the calls of a connection that have no choke yet, by the number of their
// channel. Numbers rise by one and calls mostly end in the order in which they were
// made, so that a window of slots holds nearly all of them, each at its number modulo
// the window's size. A call whose slot is taken by one that lives long goes into a map.
//
// The zero value is ready.
type calls struct {
	slots []answer // a power of two
	rest  map[uint64]answer
	n     int
}

// answer is what is known of a call that has been answered in part at most.
type answer struct {
	channel uint64 // 0 in a free slot
	session uint64 // the client's number
	method  *clientMethod
}

const (
	minCalls = 16
	maxCalls = 1 << 14
	// keptCalls is the largest window that is kept when no call is open.
	keptCalls = 1 << 10
)

// put adds a call.
func (c *calls) put(a answer) {
	if 2*c.n >= len(c.slots) && len(c.slots) < maxCalls {
		c.grow()
	}
	c.n++
	if s := &c.slots[a.channel&uint64(len(c.slots)-1)]; s.channel == 0 {
		*s = a
		return
	}
	if c.rest == nil {
		c.rest = make(map[uint64]answer)
	}
	c.rest[a.channel] = a
}

// grow doubles the window. Calls that had a slot each still have.
func (c *calls) grow() {
	slots := c.slots
	c.slots = make([]answer, max(minCalls, 2*len(slots)))
	for _, a := range slots {
		if a.channel != 0 {
			c.slots[a.channel&uint64(len(c.slots)-1)] = a
		}
	}
}

// get finds a call.
func (c *calls) get(channel uint64) (a answer, ok bool) {
	if n := uint64(len(c.slots)); n > 0 {
		if s := c.slots[channel&(n-1)]; s.channel == channel {
			return s, channel != 0
		}
	}
	a, ok = c.rest[channel]
	return a, ok
}

// drop forgets a call that is there.
func (c *calls) drop(channel uint64) {
	c.n--
	if s := &c.slots[channel&uint64(len(c.slots)-1)]; s.channel == channel {
		*s = answer{}
	} else {
		delete(c.rest, channel)
	}
	if c.n == 0 && len(c.slots) > keptCalls {
		*c = calls{}
	}
}
