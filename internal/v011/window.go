package v011

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// A window holds what is known of the calls of a connection that have not ended, by
// number. Numbers rise by one and calls mostly end in the order in which they were
// made, so that a window of slots holds nearly all of them, each at its number modulo
// the window's size. A call whose slot is taken by one that lives long goes into a map.
//
// put is for one goroutine at a time; it alone fills slots and replaces the window. The
// other methods are for anybody, at any time: on the way of an answer a lock would be
// one that the way of requests wants too. Whoever looks into a slot first exchanges the
// number in it, and nobody else touches that slot until the number is back, or 0.
//
// The zero value is ready.
type window[T any] struct {
	slots  atomic.Pointer[[]slot[T]] // a power of two; nil until the first call
	opened atomic.Uint64             // calls ever; written by put

	_     cacheLine
	ended atomic.Uint64 // of them

	mu   sync.Mutex
	rest map[uint64]T // guarded by mu
}

// cacheLine keeps what the reader writes from sharing a line of the processors' caches
// with what others do.
type cacheLine [64]byte

// A slot is free when its number is 0, which no call has.
type slot[T any] struct {
	id    atomic.Uint64
	value T
}

// held is the number of a slot that somebody looks into, or whose window is about to
// be replaced. No call gets as far.
const held = math.MaxUint64

const (
	minSlots = 16
	maxSlots = 1 << 14
	// keptSlots is the largest window that is kept when few calls are open.
	keptSlots = 1 << 10
)

// put adds a call.
func (w *window[T]) put(id uint64, v T) {
	slots := w.current()
	if id&uint64(len(slots)-1) == 0 && len(slots) > keptSlots && w.len() < keptSlots/2 {
		slots = w.resize(slots, keptSlots)
	}
	w.opened.Store(w.opened.Load() + 1)
	if place(slots, id, v) {
		return
	}
	if len(slots) < maxSlots && 2*w.len() >= len(slots) {
		if slots = w.resize(slots, 2*len(slots)); place(slots, id, v) {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep(id, v)
}

// current is the window, which is made with the first call.
func (w *window[T]) current() []slot[T] {
	if slots := w.slots.Load(); slots != nil {
		return *slots
	}
	return w.resize(nil, minSlots)
}

// len is how many calls there are.
func (w *window[T]) len() int {
	ended := w.ended.Load() // first, so that it is never more than opened
	return int(w.opened.Load() - ended)
}

// place puts a call into its slot, if that is free.
func place[T any](slots []slot[T], id uint64, v T) bool {
	s := &slots[id&uint64(len(slots)-1)]
	if s.id.Load() != 0 {
		return false
	}
	s.value = v
	s.id.Store(id)
	return true
}

// keep puts a call into the map. Called with mu held.
func (w *window[T]) keep(id uint64, v T) {
	if w.rest == nil {
		w.rest = make(map[uint64]T)
	}
	w.rest[id] = v
}

// resize replaces the window. Those who want a call meanwhile find its slot held until
// they see the new window.
func (w *window[T]) resize(old []slot[T], size int) []slot[T] {
	slots := make([]slot[T], size)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range old {
		s := &old[i]
		if id := s.hold(); id != 0 && !place(slots, id, s.value) {
			w.keep(id, s.value)
		}
	}
	w.slots.Store(&slots)
	return slots
}

// hold waits until nobody looks into a slot, and keeps everybody out of it.
func (s *slot[T]) hold() (id uint64) {
	for {
		id = s.id.Load()
		if id != held && s.id.CompareAndSwap(id, held) {
			return id
		}
		runtime.Gosched()
	}
}

// get finds a call.
func (w *window[T]) get(id uint64) (v T, ok bool) {
	ok = w.change(id, func(have *T) bool { v = *have; return true })
	return v, ok
}

// take finds a call and forgets it.
func (w *window[T]) take(id uint64) (v T, ok bool) {
	ok = w.change(id, func(have *T) bool { v = *have; return false })
	return v, ok
}

// change finds a call and lets f change what is known of it; if f returns false, it is
// forgotten. Nobody else sees the call meanwhile. f must not use the window.
func (w *window[T]) change(id uint64, f func(v *T) (keep bool)) (ok bool) {
	if id == 0 || id == held {
		return false
	}
	for {
		slots := w.slots.Load()
		if slots == nil {
			return false
		}
		s := &(*slots)[id&uint64(len(*slots)-1)]
		if s.id.CompareAndSwap(id, held) {
			w.release(s, id, f(&s.value))
			return true
		}
		switch s.id.Load() {
		case id: // it was held a moment ago
		case held: // it may be this call's, and is soon free, or in another window
			runtime.Gosched()
		default:
			return w.changeRest(id, f)
		}
	}
}

// release lets others into a slot, for the same call or for a later one.
func (w *window[T]) release(s *slot[T], id uint64, keep bool) {
	if keep {
		s.id.Store(id)
		return
	}
	s.id.Store(0)
	w.ended.Add(1)
}

// changeRest is change for a call in the map.
func (w *window[T]) changeRest(id uint64, f func(v *T) (keep bool)) (ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.rest[id]
	switch {
	case !ok:
		return false
	case f(&v):
		w.rest[id] = v
	default:
		delete(w.rest, id)
		w.ended.Add(1)
	}
	return true
}
