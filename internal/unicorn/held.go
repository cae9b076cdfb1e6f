package unicorn

import (
	"context"
	"fmt"
	"slices"
)

// Held is an ephemeral node of this process: one that exists until it is released.
// For the member of a lock it tells when the lock is held. Its methods may be called
// from any goroutine.
type Held struct {
	path     string
	c        *core
	owner    string
	acquired chan struct{} // closed when it is first in its queue
	lost     chan struct{} // closed when err is set

	// Guarded by c.t.mu.
	first bool
	err   error
}

// Path is where the node is. The member of a lock is below the lock's path, as
// "lock" and ten digits.
func (h *Held) Path() string { return h.path }

// Acquired is closed when the lock is held, or the node exists.
func (h *Held) Acquired() <-chan struct{} { return h.acquired }

// Lost is closed when the node is gone without having been released, because
// somebody removed it (ErrNoNode) or the store has ended (ErrClosed). Whoever held a
// lock by it holds it no more.
func (h *Held) Lost() <-chan struct{} { return h.lost }

// Err is why the node was lost, nil while it is not.
func (h *Held) Err() error {
	h.c.t.mu.Lock()
	defer h.c.t.mu.Unlock()
	return h.err
}

// Release removes the node; the lock goes to the next in its queue. It returns when
// that is done. If it fails, or ctx ends before, the removal goes on in the
// background, and if the store ends before that, the node goes with it.
func (h *Held) Release(ctx context.Context) error {
	if err := h.c.release(ctx, h); err != nil {
		return cannot("release", h.path, err)
	}
	return nil
}

// lose tells that the node is gone. Called with t.mu held.
func (h *Held) lose(err error) {
	if h.err == nil {
		h.err = err
		close(h.lost)
	}
}

// acquire tells that it is the node's turn. Called with t.mu held.
func (h *Held) acquire() {
	if !h.first {
		h.first = true
		close(h.acquired)
	}
}

// lockPrefix starts the names of the members of a lock; ten digits follow.
const lockPrefix = "lock"

func memberName(number uint64) string { return fmt.Sprintf("%s%010d", lockPrefix, number) }

// enter puts an ephemeral node in its queue, and tells its owner. Called with mu
// held.
func (t *tree) enter(n *node) {
	if n.kind == held {
		if h := t.ours[n.owner]; h != nil {
			h.acquire()
		}
	}
	if n.kind != queued {
		return
	}
	above, _ := split(n.path)
	lock := t.nodes[above]
	if !slices.Contains(lock.queue, n) {
		// By rank: what comes later goes behind, as a rule at the very end.
		i := len(lock.queue)
		for i > 0 && lock.queue[i-1].rank > n.rank {
			i--
		}
		lock.queue = slices.Insert(lock.queue, i, n)
	}
	t.grant(lock)
}

// grant tells the first in a queue, if it is of this process.
func (t *tree) grant(lock *node) {
	if len(lock.queue) == 0 {
		return
	}
	if h := t.ours[lock.queue[0].owner]; h != nil {
		h.acquire()
	}
}

// leave takes an ephemeral node off its queue, and tells its owner. Called with mu
// held, before the record changes.
func (t *tree) leave(n *node) {
	if n.kind == persistent {
		return
	}
	if h := t.ours[n.owner]; h != nil {
		delete(t.ours, n.owner)
		h.lose(cannot("hold", n.path, ErrNoNode))
	}
	if n.kind == queued {
		above, _ := split(n.path)
		lock := t.nodes[above]
		lock.queue = slices.DeleteFunc(lock.queue, func(m *node) bool { return m == n })
		t.grant(lock)
	}
}
