package engine

import (
	"context"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Warm makes the engine have at least n workers, or as many as it may, and waits
// until they take requests. They stay until idle-timeout. It fails when one of
// them ends before it was ready, when the engine is stopped, and when ctx ends.
func (e *Engine) Warm(ctx context.Context, n int) error {
	e.mu.Lock()
	failed := e.unready
	e.mu.Unlock()
	rpc.Run(func(b *rpc.Batch) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.floor = max(e.floor, n)
		e.rebalance(b)
	})
	for ctx.Err() == nil {
		news, err := e.warmed(n, failed)
		if news == nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
	return fmt.Errorf("cannot start workers of app %q: %w", e.o.App, context.Cause(ctx))
}

// warmed says how Warm ended; if it has not, it returns a channel that is closed
// when it is worth asking again. failed is the failure that was known before.
func (e *Engine) warmed(n int, failed *Crash) (news <-chan struct{}, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n = min(n, e.p.PoolLimit)
	if e.target > 0 {
		n = min(n, e.target)
	}
	switch {
	case e.active >= n:
		return nil, nil
	case e.mode != serving:
		return nil, rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "app %q is stopping", e.o.App)
	case e.unready != failed:
		return nil, rpc.Errorf(idl.CategoryNode, idl.NodeNoResources, "%s", e.unready.Sentence())
	}
	if e.news == nil {
		e.news = make(chan struct{})
	}
	return e.news, nil
}

// announce wakes those who wait in Warm. Called with mu held.
func (e *Engine) announce() {
	if e.news != nil {
		close(e.news)
		e.news = nil
	}
}
