package worker

import "sync/atomic"

// A gate counts the requests under way and lets no more in once it is closed. Only
// the reader of the session enters; anybody leaves.
type gate struct {
	state atomic.Int64  // how many are inside, and closedGate
	empty chan struct{} // closed when the gate is closed and nobody is inside
}

// closedGate is the bit that says so.
const closedGate = 1 << 62

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter reports whether the gate is open.
func (g *gate) enter() bool {
	for {
		n := g.state.Load()
		if n&closedGate != 0 {
			return false
		}
		if g.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave is called once for each request that entered.
func (g *gate) leave() {
	if g.state.Add(-1) == closedGate {
		close(g.empty)
	}
}

// close lets nobody in any more. Further calls do nothing.
func (g *gate) close() {
	if g.state.Or(closedGate) == 0 {
		close(g.empty)
	}
}

// inside is how many there are.
func (g *gate) inside() int { return int(g.state.Load() &^ closedGate) }
