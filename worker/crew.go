package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// A crew is the goroutines that serve the requests of a run. They are kept, because
// a goroutine that has served a request has the stack for the next one, and growing
// a stack costs more than a short handler does.
//
// Requests wait in a queue, as many as the runtime gives the worker at once. While it is not empty one goroutine is always on its
// way to it; on arrival that takes a request and, if there are more, sends for the
// next goroutine before it runs the handler. So a handler that blocks keeps nobody
// waiting, there are never many more goroutines than blocked handlers, and one that
// is done with a short handler takes the next request at once.
//
// Answers are written late, many with one system call: by whoever is on its way,
// by who finds the queue empty, and by a goroutine that has not for a while.
type crew struct {
	flush func() // writes the answers that wait

	mu     sync.Mutex
	queue  []task // from head on
	head   int
	coming bool               // a goroutine has been sent for and has not arrived
	hands  map[*hand]struct{} // all of them
	idle   *hand
	idlers int
	closed bool
	parked sync.WaitGroup // counts the idle
}

// A task is a request that can be served.
type task interface {
	serve()
	of() *request
}

// A hand is a goroutine of a crew.
type hand struct {
	wake chan struct{}           // has a token when there is work, closed when there will be none
	next *hand                   // in the list of the idle
	now  atomic.Pointer[request] // what it serves
}

const (
	// maxIdle is how many goroutines wait for work at most.
	maxIdle = 256
	// compactAt is how many served requests the queue keeps the places of.
	compactAt = 1024
	// maxQueue is the largest queue whose memory is kept.
	maxQueue = 16 << 10
	// maxUnwritten is how many bytes of answers wait for company.
	maxUnwritten = 64 << 10
	// maxDelay is how long an answer waits for the company of those of short
	// handlers on the same goroutine.
	maxDelay = 100 * time.Microsecond
)

// add has tasks served. It never blocks.
func (c *crew) add(ts ...task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, ts...)
	if !c.coming {
		c.send()
	}
}

// join adds a goroutine that is not the crew's own, and serves a request now and then.
func (c *crew) join() *hand {
	h := new(hand)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enlist(h)
	return h
}

// enlist adds a hand. Called with mu held.
func (c *crew) enlist(h *hand) {
	if c.hands == nil {
		c.hands = make(map[*hand]struct{})
	}
	c.hands[h] = struct{}{}
}

// requests gives those that are being served.
func (c *crew) requests() []*request {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*request
	for h := range c.hands {
		if r := h.now.Load(); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// each calls f with every request that the crew has, those that wait and those that are
// being served; of the latter some may just have been.
func (c *crew) each(f func(*request)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.queue[c.head:] {
		f(t.of())
	}
	for h := range c.hands {
		if r := h.now.Load(); r != nil {
			f(r)
		}
	}
}

// send sends for a goroutine. Called with mu held.
func (c *crew) send() {
	c.coming = true
	h := c.idle
	if h == nil {
		h = &hand{wake: make(chan struct{}, 1)}
		c.enlist(h)
		go c.work(h)
		return
	}
	c.idle, h.next = h.next, nil
	c.idlers--
	h.wake <- struct{}{}
}

// work is a goroutine of the crew. It ends when there is nothing to do and enough
// others wait, or when a handler ends it.
func (c *crew) work(h *hand) {
	defer c.gone(h)
	defer c.flush() // for a handler that ends its goroutine: its caller has been answered
	for {
		c.serve(h)
		if !c.park(h) {
			return
		}
	}
}

// gone forgets a hand.
func (c *crew) gone(h *hand) {
	c.mu.Lock()
	delete(c.hands, h)
	c.mu.Unlock()
}

// serve serves requests until none waits, and leaves no answer unwritten.
func (c *crew) serve(h *hand) {
	var flushed time.Time
	for arrived := true; ; arrived = false {
		t, others := c.take(h, arrived)
		if t == nil {
			break
		}
		// Who has been sent for writes what this goroutine leaves; if nobody has,
		// it must not leave anything.
		if now := time.Now(); arrived || !others || now.Sub(flushed) > maxDelay {
			c.flush()
			flushed = now
		}
		t.serve()
		h.now.Store(nil)
	}
	c.flush()
}

// take gives the oldest request, nil when there is none, and says whether more are
// waiting, for which another goroutine has been sent for. From here on the hand has it.
func (c *crew) take(h *hand, arrived bool) (t task, others bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if arrived {
		c.coming = false
	}
	if c.head == len(c.queue) {
		return nil, false
	}
	t = c.queue[c.head]
	h.now.Store(t.of())
	c.queue[c.head] = nil
	c.head++
	if c.head == len(c.queue) {
		c.reset()
		return t, false
	}
	if c.head >= compactAt && c.head > len(c.queue)/2 {
		n := copy(c.queue, c.queue[c.head:])
		clear(c.queue[n:])
		c.queue, c.head = c.queue[:n], 0
	}
	if !c.coming {
		c.send()
	}
	return t, true
}

// reset makes the empty queue start at the beginning. Called with mu held.
func (c *crew) reset() {
	c.queue, c.head = c.queue[:0], 0
	if cap(c.queue) > maxQueue {
		c.queue = nil
	}
}

// park waits to be sent for. It returns false if the goroutine is not needed any
// more.
func (c *crew) park(h *hand) bool {
	c.mu.Lock()
	if c.closed || c.idlers == maxIdle {
		c.mu.Unlock()
		return false
	}
	h.next, c.idle = c.idle, h
	c.idlers++
	c.parked.Add(1)
	c.mu.Unlock()
	defer c.parked.Done()
	_, needed := <-h.wake
	return needed
}

// close ends the idle and waits for them. Goroutines with a request end when they
// have served it.
func (c *crew) close() {
	c.mu.Lock()
	c.closed = true
	for h := c.idle; h != nil; h = h.next {
		close(h.wake)
	}
	c.idle = nil
	c.mu.Unlock()
	c.parked.Wait()
}
