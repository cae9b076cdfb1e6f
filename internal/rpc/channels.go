package rpc

import (
	"math"
	"runtime"
	"sync/atomic"
)

// channels are the channels of a session whose receiving half is open. Numbers rise
// and channels mostly end in the order in which they were opened, so that a window
// of slots holds nearly all of them, each at its number modulo the window's size:
// nothing is hashed, and a steady load neither allocates nor rebuilds. A channel
// whose slot is taken, by one that lives long or by a peer that numbers its
// channels oddly, goes into a map.
//
// The zero value is ready. Session.mu guards everything but claim, by which the
// session's reader takes a channel out of the window without it: on the way of an
// answer that lock is wanted by all who send requests. Whoever takes a channel out
// first exchanges the number in its slot, and nobody else touches that until it is
// free again.
type channels struct {
	window atomic.Pointer[[]slot] // a power of two; nil until the first channel
	rest   map[uint64]Receiver

	opened atomic.Uint64 // channels ever; written under mu
	seen   uint64        // what closed was when somebody looked; guarded by mu

	_      cacheLine
	closed atomic.Uint64 // of them
}

// A slot is free when its number is 0, which no channel has.
type slot struct {
	id atomic.Uint64
	r  Receiver
}

// claimed is the number of a slot that is being emptied, or whose window is not in
// use any more. A channel of this number is never in a slot.
const claimed = math.MaxUint64

const (
	minSlots  = 16
	maxSlots  = 1 << 16
	keepSlots = 1 << 12 // a larger window is given up when there is no channel left
)

// len is how many channels there are. It may be called without the lock.
func (c *channels) len() int {
	closed := c.closed.Load() // first, so that it is never more than opened
	return int(c.opened.Load() - closed)
}

// atLeast reports whether there are n channels or more, with a look at what the
// reader writes only if it matters.
func (c *channels) atLeast(n int) bool {
	opened := c.opened.Load()
	if opened-c.seen < uint64(n) {
		return false
	}
	c.seen = c.closed.Load()
	return opened-c.seen >= uint64(n)
}

func (c *channels) slot(id uint64) *slot {
	w := c.window.Load()
	if w == nil {
		return nil
	}
	return &(*w)[id&uint64(len(*w)-1)]
}

// get returns the Receiver of a channel, nil if there is none. Called by the reader.
func (c *channels) get(id uint64) Receiver {
	if s := c.slot(id); s != nil && s.id.Load() == id && id != claimed {
		return s.r
	}
	return c.rest[id]
}

// claim takes a channel out of the window and returns its Receiver if that is a
// LastReceiver; it returns nil, having done nothing, otherwise. It is for the reader
// and needs no lock.
func (c *channels) claim(id uint64) LastReceiver {
	s := c.slot(id)
	if s == nil || id == claimed || id == 0 || !s.id.CompareAndSwap(id, claimed) {
		return nil
	}
	r, ok := s.r.(LastReceiver)
	if !ok {
		s.id.Store(id)
		return nil
	}
	s.r = nil
	s.id.Store(0)
	c.closed.Add(1)
	return r
}

// put adds a channel, which is not there yet, with a Receiver, which is not nil.
func (c *channels) put(id uint64, r Receiver) {
	if w := c.window.Load(); w == nil || len(*w) < maxSlots && c.atLeast(len(*w)/2) {
		c.grow(w)
	}
	c.opened.Store(c.opened.Load() + 1)
	c.place(id, r)
}

func (c *channels) place(id uint64, r Receiver) {
	if s := c.slot(id); s.id.Load() == 0 && id != 0 && id != claimed {
		s.r = r
		s.id.Store(id)
		return
	}
	if c.rest == nil {
		c.rest = make(map[uint64]Receiver)
	}
	c.rest[id] = r
}

// settled is the number in a slot once the reader, which may be about to empty it, has
// made up its mind. It is for those who hold the lock, in which the reader has no part.
func (s *slot) settled() uint64 {
	for {
		if id := s.id.Load(); id != claimed {
			return id
		}
		runtime.Gosched()
	}
}

// grow doubles the window. What waits in the map gets another chance of a slot.
func (c *channels) grow(old *[]slot) {
	size := minSlots
	if old != nil {
		size = 2 * len(*old)
	}
	w := make([]slot, size)
	c.window.Store(&w)
	rest := c.rest
	c.rest = nil
	if old != nil {
		for i := range *old {
			s := &(*old)[i]
			for id := s.settled(); id != 0; id = s.settled() {
				if s.id.CompareAndSwap(id, claimed) {
					c.place(id, s.r)
					break
				}
			}
		}
	}
	for id, r := range rest {
		c.place(id, r)
	}
}

// drop forgets a channel, and reports whether there was one.
func (c *channels) drop(id uint64) bool {
	if !c.empty(id) {
		if c.rest[id] == nil {
			return false
		}
		delete(c.rest, id)
	}
	c.closed.Add(1)
	return true
}

// empty takes a channel out of the window, and reports whether it was there.
func (c *channels) empty(id uint64) bool {
	s := c.slot(id)
	if s == nil || id == 0 || id == claimed {
		return false
	}
	for s.settled() == id {
		if s.id.CompareAndSwap(id, claimed) {
			s.r = nil
			s.id.Store(0)
			return true
		}
	}
	return false
}

// wasteful reports whether a large window stands empty. It may be called without
// the lock.
func (c *channels) wasteful() bool {
	w := c.window.Load()
	return w != nil && len(*w) > keepSlots && c.len() == 0
}

// shrink gives up a window that is wasteful.
func (c *channels) shrink() {
	if c.wasteful() {
		c.window.Store(nil)
	}
}

// takeAll takes out all channels. Called by the reader.
func (c *channels) takeAll() []Receiver {
	all := make([]Receiver, 0, c.len())
	if w := c.window.Load(); w != nil {
		for i := range *w {
			if s := &(*w)[i]; s.r != nil {
				all = append(all, s.r)
			}
		}
	}
	for _, r := range c.rest {
		all = append(all, r)
	}
	c.window.Store(nil)
	c.rest = nil
	c.closed.Store(c.opened.Load())
	return all
}
