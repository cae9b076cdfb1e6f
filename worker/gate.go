package worker

import "sync"

// A gate knows the requests under way and lets no more in once it is closed.
type gate struct {
	mu     sync.Mutex
	n      int
	first  *request // the newest of those inside
	closed bool
	empty  chan struct{} // closed when the gate is closed and nobody is inside
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter reports whether the gate is open.
func (g *gate) enter(r *request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.n++
	r.older = g.first
	if r.older != nil {
		r.older.newer = r
	}
	g.first = r
	return true
}

// leave is called once for each request that entered.
func (g *gate) leave(r *request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		g.first = r.older
	}
	if r.older != nil {
		r.older.newer = r.newer
	}
	r.older, r.newer = nil, nil // a request that its handler keeps must not keep others
	g.n--
	if g.closed && g.n == 0 {
		close(g.empty)
	}
}

// close lets nobody in any more. Further calls do nothing.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	if g.n == 0 {
		close(g.empty)
	}
}

// inside is how many there are.
func (g *gate) inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// requests gives those inside, oldest last.
func (g *gate) requests() []*request {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []*request
	for r := g.first; r != nil; r = r.older {
		all = append(all, r)
	}
	return all
}
