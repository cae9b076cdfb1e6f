package engine

import (
	"context"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// checkDrained wakes a Stop that waits for the last request. Called with mu held.
func (e *Engine) checkDrained() {
	if e.idleness != nil && e.queue.n == 0 && e.load == 0 {
		close(e.idleness)
		e.idleness = nil
	}
}

// Stop ends the engine: nothing new is taken, what is queued and running is
// finished until ctx ends, then the rest of the queue is answered, the workers
// are told to terminate and get the profile's terminate-timeout. When Stop
// returns no process and no goroutine of the engine is left.
func (e *Engine) Stop(ctx context.Context) error {
	err := e.drain(ctx)
	rpc.Run(func(b *rpc.Batch) { e.shut(b) })
	e.awaitGone()
	e.cancel()
	e.mu.Lock()
	select {
	case <-e.ended:
	default:
		close(e.ended)
	}
	e.mu.Unlock()
	_ = e.server.Shutdown(e.ctx) // the context has ended: sessions are closed at once, and the socket's file is removed
	e.wg.Wait()
	return err
}

// drain refuses new requests and waits for the old ones.
func (e *Engine) drain(ctx context.Context) error {
	e.mu.Lock()
	if e.mode == serving {
		e.mode = draining
		e.notify()
	}
	if e.queue.n == 0 && e.load == 0 || e.mode == stopped {
		e.mu.Unlock()
		return nil
	}
	if e.idleness == nil {
		e.idleness = make(chan struct{})
	}
	c := e.idleness
	left := e.queue.n + e.load
	e.mu.Unlock()
	e.log.Info("draining", "requests", left)
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		e.mu.Lock()
		left = e.queue.n + e.load
		e.mu.Unlock()
		return fmt.Errorf("cannot drain app %q: %d requests are left: %w", e.o.App, left, context.Cause(ctx))
	}
}

// shut answers the queue and tells every worker to terminate.
func (e *Engine) shut(b *rpc.Batch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mode = stopped
	e.back.disarm()
	e.flushQueue(b, &rpc.Error{Category: idl.CategoryNode, Code: idl.NodeNotRunning, Message: "the application has been stopped"})
	for _, w := range e.workers {
		e.shutWorker(b, w)
	}
	e.notify()
	e.announce()
}

// flushQueue answers everything that is queued. Called with mu held.
func (e *Engine) flushQueue(b *rpc.Batch, cause *rpc.Error) {
	args := rpc.AppendError(nil, cause)
	for r := e.queue.first; r != nil; r = e.queue.first {
		r.mu.Lock()
		r.answer(b, args)
		r.mu.Unlock()
		e.settle(b, r, e.at(b.Now()))
	}
}

// awaitGone waits until the pool is empty; every worker has a timer running.
func (e *Engine) awaitGone() {
	e.mu.Lock()
	if len(e.workers) == 0 {
		e.mu.Unlock()
		return
	}
	if e.gone == nil {
		e.gone = make(chan struct{})
	}
	c := e.gone
	e.mu.Unlock()
	<-c
}
