package rpc

// channels are the channels of a session whose receiving half is open. Numbers rise
// and channels mostly end in the order in which they were opened, so that a window
// of slots holds nearly all of them, each at its number modulo the window's size:
// nothing is hashed, and a steady load neither allocates nor rebuilds. A channel
// whose slot is taken, by one that lives long or by a peer that numbers its
// channels oddly, goes into a map.
//
// The zero value is ready. Guarded by Session.mu.
type channels struct {
	slots []slot // a power of two; nil until the first channel
	rest  map[uint64]Receiver
	n     int
}

type slot struct {
	id uint64
	r  Receiver // nil in a free slot
}

const (
	minSlots  = 16
	maxSlots  = 1 << 16
	keepSlots = 1 << 12 // a larger window is given up when the last channel ends
)

func (c *channels) len() int { return c.n }

// get returns the Receiver of a channel, nil if there is none.
func (c *channels) get(id uint64) Receiver {
	if len(c.slots) == 0 {
		return nil
	}
	if s := &c.slots[id&uint64(len(c.slots)-1)]; s.id == id && s.r != nil {
		return s.r
	}
	return c.rest[id]
}

// put sets the Receiver of a channel, which must not be nil.
func (c *channels) put(id uint64, r Receiver) {
	if c.get(id) != nil {
		c.drop(id)
	}
	if 2*c.n >= len(c.slots) && len(c.slots) < maxSlots {
		c.grow()
	}
	c.n++
	c.place(id, r)
}

func (c *channels) place(id uint64, r Receiver) {
	if s := &c.slots[id&uint64(len(c.slots)-1)]; s.r == nil {
		s.id, s.r = id, r
		return
	}
	if c.rest == nil {
		c.rest = make(map[uint64]Receiver)
	}
	c.rest[id] = r
}

// grow doubles the window. What waits in the map gets another chance of a slot.
func (c *channels) grow() {
	slots, rest := c.slots, c.rest
	c.slots, c.rest = make([]slot, max(minSlots, 2*len(slots))), nil
	for i := range slots {
		if slots[i].r != nil {
			c.place(slots[i].id, slots[i].r)
		}
	}
	for id, r := range rest {
		c.place(id, r)
	}
}

// drop forgets a channel, and reports whether there was one.
func (c *channels) drop(id uint64) bool {
	if len(c.slots) == 0 {
		return false
	}
	if s := &c.slots[id&uint64(len(c.slots)-1)]; s.id == id && s.r != nil {
		*s = slot{}
	} else if c.rest[id] != nil {
		delete(c.rest, id)
	} else {
		return false
	}
	c.n--
	if c.n == 0 && len(c.slots) > keepSlots {
		*c = channels{}
	}
	return true
}

// each calls f for every channel, in no order.
func (c *channels) each(f func(id uint64, r Receiver)) {
	for i := range c.slots {
		if c.slots[i].r != nil {
			f(c.slots[i].id, c.slots[i].r)
		}
	}
	for id, r := range c.rest {
		f(id, r)
	}
}
