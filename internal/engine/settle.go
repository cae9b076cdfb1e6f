package engine

import (
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// finishedMost is how many requests that have ended a worker's reader lets wait to
// be settled together.
const finishedMost = 64

// finished puts off settleBoth to the end of the batch, to be done for all requests
// that end in it under one lock. Called by the worker's reader only, with the
// request whose both halves are closed: nobody else settles it.
func (w *worker) finished(b *rpc.Batch, r *request) {
	if !w.finishing {
		w.finishing = true
		b.Finally((*finisher)(w))
	}
	if w.ended = append(w.ended, r); len(w.ended) >= finishedMost {
		w.settleEnded(b)
	}
}

type finisher worker

// Finish implements rpc.Finisher.
func (f *finisher) Finish(b *rpc.Batch) {
	w := (*worker)(f)
	w.finishing = false
	w.settleEnded(b)
}

func (w *worker) settleEnded(b *rpc.Batch) {
	if len(w.ended) == 0 {
		return
	}
	e, now := w.e, w.e.at(b.Now())
	e.mu.Lock()
	for i, r := range w.ended {
		w.ended[i] = nil
		e.settleOne(b, r, now)
	}
	e.mu.Unlock()
	w.ended = w.ended[:0]
}

// settleBoth is called by the side that closed last, so exactly once for a request
// that ends in the ordinary way, and by nobody who touches it afterwards.
func (e *Engine) settleBoth(b *rpc.Batch, r *request) {
	now := e.at(b.Now())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settleOne(b, r, now)
}

// settleOne is settleBoth, called with mu held.
func (e *Engine) settleOne(b *rpc.Batch, r *request, now instant) {
	if r.settled {
		return // nobody settles a request whose halves are both closed, but a double one must not be reused
	}
	e.stats.timings.Add(time.Duration(now - r.runStart))
	e.settle(b, r, now)
	e.recycle(r)
}

// settle takes a request off its worker, or out of the queue, and lets the next
// one in. Called with mu held.
func (e *Engine) settle(b *rpc.Batch, r *request, now instant) {
	if r.settled {
		return
	}
	r.settled = true
	r.calls.Add(time.Duration(now - r.born))
	e.timers.disarm(&r.deadline)
	w := r.worker
	if w == nil {
		if r.waits {
			e.queue.remove(r)
			e.stats.depth.update(now, e.queue.n)
		}
		e.checkDrained()
		return
	}
	w.unlink(r)
	e.load--
	e.buckets.change(w, w.load-1)
	e.released(b, w, now)
	e.pump(b)
	e.checkDrained()
}

// abandon frees the place of a request whose client went away or misbehaved.
func (e *Engine) abandon(b *rpc.Batch, r *request, w *worker, channel uint64) {
	if w != nil {
		w.session.Forget(channel)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle(b, r, e.at(b.Now()))
}

// expire answers a request whose time is up. Called with Engine.mu held.
func (r *request) expire(b *rpc.Batch, _ *timer) {
	e := r.e
	r.mu.Lock()
	if r.clientDone && r.workerDone {
		r.mu.Unlock()
		return // settleBoth is under way
	}
	early := r.hurried && r.phase == queued && e.now() < r.due()
	if early && r.client.Channels() <= 1 {
		r.hurried = false // it holds up nobody but itself
		e.timers.arm(&r.deadline, r.due())
		r.mu.Unlock()
		return
	}
	code, text := idl.NodeDeadline, "the event has expired in the queue"
	w, channel := r.worker, r.wchannel
	switch {
	case r.phase == running, r.phase == unheard:
		code, text = idl.NodeWorkerTimeout, "invocation has timed out"
		e.stats.timeouts++
	case early:
		code, text = idl.NodeNoResources, "more data than can be kept waits with the event in the queue, and holds up the other calls of its connection"
		e.stats.expired++
	default:
		e.stats.expired++
	}
	args := rpc.AppendError(nil, &rpc.Error{Category: idl.CategoryNode, Code: code, Message: text})
	if r.phase == running && !r.clientDone {
		r.toWorker(b, idl.StreamError, args)
	}
	r.answer(b, args)
	r.mu.Unlock()
	if w != nil {
		w.session.Forget(channel)
	}
	e.settle(b, r, e.at(b.Now()))
}
