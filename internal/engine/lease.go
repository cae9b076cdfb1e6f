package engine

import (
	"slices"
	"sync"
)

// A Lease is one open control channel. See Leases.
type Lease interface {
	// Set names a pool size, 0 for automatic.
	Set(n int)
	// End takes back what Set said. It may be called more than once.
	End()
}

// Leases decide between the control channels of one app. The size named last
// holds, 0 being one too; when the channel that named it ends, it is the latest
// one named by those still open, and automatic when there is none. So a scheduler
// that comes and goes does not undo what another one has said, which it does in
// the original: there any channel that ends resets the size.
//
// All methods may be called concurrently.
type Leases struct {
	// Apply gets the size that holds whenever one is named or taken back. It is
	// called under the lock of Leases, which orders the calls.
	Apply func(n int)

	mu    sync.Mutex
	named []*lease // those that have named a size, the latest last
}

// Open opens a lease that has named nothing.
func (l *Leases) Open() Lease { return &lease{all: l} }

// Do runs f with the size that holds. None is named or taken back meanwhile.
func (l *Leases) Do(f func(n int)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.size())
}

// size is the size that holds. Called with mu held.
func (l *Leases) size() int {
	if len(l.named) == 0 {
		return 0
	}
	return l.named[len(l.named)-1].n
}

type lease struct {
	all *Leases
	n   int // guarded by all.mu
}

func (s *lease) Set(n int) {
	l := s.all
	l.mu.Lock()
	defer l.mu.Unlock()
	s.n = max(0, n)
	l.named = append(l.without(s), s)
	l.Apply(l.size())
}

func (s *lease) End() {
	l := s.all
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.named, s) {
		return
	}
	l.named = l.without(s)
	l.Apply(l.size())
}

func (l *Leases) without(s *lease) []*lease {
	return slices.DeleteFunc(l.named, func(x *lease) bool { return x == s })
}
