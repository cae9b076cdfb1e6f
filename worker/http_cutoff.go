package worker

import (
	"context"
	"os"
	"sync"
	"time"
)

// A cutoff is a context that a deadline ends, one that may be moved until it has
// passed: what http.ResponseController sets.
type cutoff struct {
	parent context.Context

	mu     sync.Mutex
	ctx    context.Context // made on demand
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// context gives the context. Its cause is os.ErrDeadlineExceeded when the deadline
// has passed.
func (c *cutoff) context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.make()
}

// spare gives the context if there is one, else its parent: for what does not wait
// long.
func (c *cutoff) spare() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		return c.parent
	}
	return c.ctx
}

// err is why the context has ended. The parent is asked too: who waits for it may
// learn of its end before its children do.
func (c *cutoff) err() error {
	if c.parent.Err() != nil {
		return context.Cause(c.parent)
	}
	return context.Cause(c.spare())
}

// make is called with mu held.
func (c *cutoff) make() context.Context {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(c.parent)
	}
	return c.ctx
}

// set moves the deadline; the zero time takes it away.
func (c *cutoff) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.make()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		c.cancel(os.ErrDeadlineExceeded)
	default:
		c.timer = time.AfterFunc(left, func() { c.cancel(os.ErrDeadlineExceeded) })
	}
}

// release lets go of the timer and the parent.
func (c *cutoff) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.cancel != nil {
		c.cancel(context.Canceled)
	}
}
