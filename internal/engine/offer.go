package engine

import (
	"errors"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

// Accept takes an enqueue from a client. It implements rpc.Acceptor.
func (e *Engine) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	return e.AcceptTimed(b, s, channel, f, e.calls)
}

// AcceptTimed is Accept for a call that is of another service than the app's own: calls
// is told how long it takes.
func (e *Engine) AcceptTimed(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, calls *timing.Timer) rpc.Receiver {
	r, ok := e.Offer(b, s, channel, f, calls)
	if !ok {
		return refuse(b, s, channel, f, calls, &rpc.Error{Category: idl.CategoryGeneric, Code: idl.GenericBrokenPipe, Message: "the application has been stopped"})
	}
	return r
}

// AcceptCall takes an enqueue with its one chunk and the end of the request. It
// implements rpc.CallAcceptor.
func (e *Engine) AcceptCall(b *rpc.Batch, s *rpc.Session, channel uint64, first, write *rpc.Frame) bool {
	if !relay.IsChunk(write.Args) {
		return false
	}
	_, ok := e.take(b, s, channel, first, write.Args, e.calls)
	return ok
}

// Offer is AcceptTimed for a caller that knows another engine to try: ok is false, and
// nothing has happened, if this one takes nothing new.
func (e *Engine) Offer(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, calls *timing.Timer) (r rpc.Receiver, ok bool) {
	return e.take(b, s, channel, f, nil, calls)
}

// take is Offer. With a chunk, the arguments of a write, nothing more comes from the
// client: the request is whole.
func (e *Engine) take(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, chunk []byte, calls *timing.Timer) (r rpc.Receiver, ok bool) {
	event, err := relay.DecodeEvent(f.Args)
	if err != nil {
		return refuse(b, s, channel, f, calls, rpc.AsError(err)), true
	}
	invoke := relay.InvokeArgs(f.Args, event)
	h := relay.Headers{Timeout: -1}
	if len(f.Headers) > 0 {
		if h, err = relay.ReadHeaders(f.Headers); err != nil {
			return refuse(b, s, channel, f, calls, rpc.AsError(err)), true
		}
	}
	now := e.at(b.Now())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mode != serving {
		return nil, false
	}
	e.stats.rate.mark(now)
	if err := e.admit(); err != nil {
		e.stats.rejected++
		e.rebalance(b)
		return refuse(b, s, channel, f, calls, err), true
	}
	e.stats.accepted++
	e.floor = max(e.floor, 1)
	q := e.newRequest()
	q.client, q.channel, q.born = s, channel, now
	q.story, q.calls = h.Story, calls
	q.encodeHeaders(f.Headers, h.Trace.ID != 0)
	q.timeout = e.p.RequestTimeout
	if h.Timeout >= 0 {
		q.timeout = h.Timeout
	}
	e.limit(q, now)
	if e.queue.n > 0 || !e.assign(b, q, now, invoke, chunk) {
		e.enqueue(b, q, now, invoke, chunk)
	}
	return (*fromClient)(q), true
}

// refuse answers a call that takes no time.
func refuse(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, calls *timing.Timer, err *rpc.Error) rpc.Receiver {
	calls.Add(0)
	return Refuse(b, s, channel, f, err)
}

// enqueue lets a request wait. Called with mu held.
func (e *Engine) enqueue(b *rpc.Batch, q *request, now instant, invoke, chunk []byte) {
	q.mu.Lock()
	q.shared = true
	q.invoke = append(q.invoke[:0], invoke...)
	if chunk != nil {
		q.hold(idl.Write, chunk)
		q.hold(idl.Close, nil)
		q.clientDone = true
	}
	paused := q.paused
	q.mu.Unlock()
	e.queue.push(q)
	if paused {
		e.hurryLocked(b, q)
	}
	e.stats.depth.update(now, e.queue.n)
	e.rebalance(b)
}

// limit sets the time that a request has. Called with mu held.
func (e *Engine) limit(q *request, now instant) {
	at := now + instant(q.timeout)
	if q.timeout == e.p.RequestTimeout {
		e.timers.armInLine(&q.deadline, at)
		return
	}
	e.timers.arm(&q.deadline, at)
}

// admit decides whether the queue has room (queue-limit: positive bounds the
// queue, 0 bounds it by the free places of the pool, negative does not bound it).
func (e *Engine) admit() *rpc.Error {
	limit := e.p.QueueLimit
	if limit == 0 {
		limit = max(0, e.p.PoolLimit*e.p.Concurrency-e.load)
	} else if limit < 0 {
		return nil
	}
	if e.queue.n >= limit {
		return &rpc.Error{Category: idl.CategoryOverseer, Code: idl.OverseerQueueFull, Message: "queue is full"}
	}
	return nil
}

// newRequest takes a request from the free list or makes one. Called with mu held.
func (e *Engine) newRequest() *request {
	r := e.free
	if r == nil {
		r = &request{e: e}
		r.deadline.owner = r
		return r
	}
	e.free = r.next
	e.nfree--
	r.next = nil
	r.phase, r.worker, r.wchannel = queued, nil, 0
	r.clientDone, r.workerDone, r.torn, r.settled = false, false, false, false
	r.queueTime, r.runStart = 0, 0
	r.hurried, r.shared = false, false
	return r
}

// recycle keeps a request for its next life. Called with mu held, when nobody
// else can hold a pointer to it.
func (e *Engine) recycle(r *request) {
	if e.nfree >= maxFree {
		return
	}
	r.client, r.worker = nil, nil
	if cap(r.invoke)+cap(r.invokeHeaders) > keepHeld {
		r.invoke, r.invokeHeaders = nil, nil
	}
	r.next, r.prev = e.free, nil
	e.free = r
	e.nfree++
}

// assign gives a request to the least loaded worker with room. It returns false
// if there is none. Called with mu held.
func (e *Engine) assign(b *rpc.Batch, r *request, now instant, invoke, chunk []byte) bool {
	for {
		w := e.pick()
		if w == nil || w.load >= e.p.Concurrency {
			return false
		}
		var err error
		if r.shared {
			err = e.injectQueued(b, w, r, now, invoke)
		} else {
			err = e.inject(b, w, r, now, invoke, chunk)
		}
		if err == nil {
			return true
		}
		// Its connection has ended, and its own reader is about to say so; or the
		// worker took the last channel number for itself.
		e.buckets.remove(w)
		if errors.Is(err, rpc.ErrTooManyChannels) {
			_ = w.session.Close()
		}
	}
}

// injectQueued is inject for a request that its client's reader knows already: it
// may be adding to what is held.
func (e *Engine) injectQueued(b *rpc.Batch, w *worker, r *request, now instant, invoke []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != queued {
		return nil // its client broke the protocol a moment ago and is about to settle it
	}
	if err := e.inject(b, w, r, now, invoke, nil); err != nil {
		return err
	}
	if len(r.held) > 0 {
		r.unhold(b)
	}
	if r.hurried {
		r.hurried = false
		e.timers.arm(&r.deadline, r.due())
	}
	return nil
}

// inject opens the request's channel on the worker. Called with the request's
// mutex held, or before anybody else knows the request. The worker's reader may
// learn of it as soon as the channel is open, so what it looks at is set before;
// the channel's number it never looks at. With a chunk the request is whole and goes
// out in one piece.
func (e *Engine) inject(b *rpc.Batch, w *worker, r *request, now instant, invoke, chunk []byte) (err error) {
	headers := r.headersFor(w)
	r.phase, r.worker = running, w
	r.queueTime, r.runStart = time.Duration(now-r.born), now
	if chunk == nil {
		r.wchannel, err = w.session.Open(b, (*fromWorker)(r), idl.WorkerInvoke, invoke, headers)
	} else {
		r.clientDone = true
		r.wchannel, err = w.session.OpenLast(b, (*fromWorker)(r), idl.WorkerInvoke, invoke, headers, chunk, r.headers())
	}
	if err != nil {
		r.phase, r.worker = queued, nil
		return err
	}
	w.link(r)
	w.accepted++
	e.load++
	e.buckets.change(w, w.load+1)
	return nil
}

// pump assigns queued requests while there are workers with room. Called with mu
// held.
func (e *Engine) pump(b *rpc.Batch) {
	if e.queue.n == 0 {
		return
	}
	now := e.at(b.Now())
	for e.queue.n > 0 {
		r := e.queue.first
		e.queue.remove(r) // first, because assigning links it to its worker
		if !e.assign(b, r, now, r.invoke, nil) {
			e.queue.unshift(r)
			break
		}
	}
	e.stats.depth.update(now, e.queue.n)
	e.checkDrained()
}
