package v011

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// calls are the calls of a connection that have no choke yet, by the number of their
// channel. Numbers rise by one and calls mostly end in the order in which they were
// made, so that a window of slots holds nearly all of them, each at its number modulo
// the window's size. A call whose slot is taken by one that lives long goes into a map.
//
// put is for the reader of the connection; it alone fills slots and makes windows. get
// and take are for anybody, at any time: on the way of an answer a lock would be one
// that the reader wants too. Whoever looks into a slot first exchanges the number in
// it, and nobody else touches that slot until the number is back, or 0.
//
// The zero value is ready.
type calls struct {
	window atomic.Pointer[[]call] // a power of two; nil until the first call
	opened uint64                 // calls ever; the reader's

	_     cacheLine
	ended atomic.Uint64 // of them

	mu   sync.Mutex
	rest map[uint64]answer // guarded by mu
}

// cacheLine keeps what the reader writes from sharing a line of the processors' caches
// with what others do.
type cacheLine [64]byte

// answer is what is known of a call that has been answered in part at most.
type answer struct {
	session uint64 // the client's number
	method  *clientMethod
}

// call is a slot for one: free when its number is 0, which no channel has.
type call struct {
	channel atomic.Uint64
	answer
}

// held is the number of a slot that somebody looks into, or whose window is about to
// be replaced. No channel gets as far.
const held = math.MaxUint64

const (
	minCalls = 16
	maxCalls = 1 << 14
	// keptCalls is the largest window that is kept when few calls are open.
	keptCalls = 1 << 10
)

// put adds a call.
func (c *calls) put(channel uint64, a answer) {
	w := c.slots()
	if channel&uint64(len(w)-1) == 0 && len(w) > keptCalls && c.open() < keptCalls/2 {
		w = c.resize(w, keptCalls)
	}
	c.opened++
	if place(w, channel, a) {
		return
	}
	if len(w) < maxCalls && 2*c.open() >= len(w) {
		if w = c.resize(w, 2*len(w)); place(w, channel, a) {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(channel, a)
}

// slots is the window, which is made with the first call.
func (c *calls) slots() []call {
	if w := c.window.Load(); w != nil {
		return *w
	}
	return c.resize(nil, minCalls)
}

// open is how many calls there are. It is for the reader.
func (c *calls) open() int { return int(c.opened - c.ended.Load()) }

// place puts a call into its slot, if that is free.
func place(w []call, channel uint64, a answer) bool {
	s := &w[channel&uint64(len(w)-1)]
	if s.channel.Load() != 0 {
		return false
	}
	s.answer = a
	s.channel.Store(channel)
	return true
}

// keep puts a call into the map. Called with mu held.
func (c *calls) keep(channel uint64, a answer) {
	if c.rest == nil {
		c.rest = make(map[uint64]answer)
	}
	c.rest[channel] = a
}

// resize replaces the window. Those who want a call meanwhile find its slot held until
// they see the new window.
func (c *calls) resize(old []call, size int) []call {
	w := make([]call, size)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range old {
		s := &old[i]
		channel := s.hold()
		if channel != 0 && !place(w, channel, s.answer) {
			c.keep(channel, s.answer)
		}
	}
	c.window.Store(&w)
	return w
}

// hold waits until nobody looks into a slot, and keeps everybody out of it.
func (s *call) hold() (channel uint64) {
	for {
		channel = s.channel.Load()
		if channel != held && s.channel.CompareAndSwap(channel, held) {
			return channel
		}
		runtime.Gosched()
	}
}

// get finds a call.
func (c *calls) get(channel uint64) (a answer, ok bool) { return c.find(channel, channel) }

// take finds a call and forgets it.
func (c *calls) take(channel uint64) (a answer, ok bool) {
	if a, ok = c.find(channel, 0); ok {
		c.ended.Add(1)
	}
	return a, ok
}

// find finds a call and leaves a number in its slot: its own, or 0 to forget it.
func (c *calls) find(channel, leave uint64) (a answer, ok bool) {
	if channel == 0 || channel == held {
		return a, false
	}
	for {
		w := c.window.Load()
		if w == nil {
			return a, false
		}
		s := &(*w)[channel&uint64(len(*w)-1)]
		if s.channel.CompareAndSwap(channel, held) {
			a = s.answer
			s.channel.Store(leave)
			return a, true
		}
		if s.channel.Load() != held {
			break
		}
		runtime.Gosched() // it may be this call's, and is soon free, or in another window
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok = c.rest[channel]; ok && leave == 0 {
		delete(c.rest, channel)
	}
	return a, ok
}
