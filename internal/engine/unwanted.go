package engine

import (
	"time"

	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A client that has said everything and then gives up, or goes away, has no Receiver
// any more that would learn of it, and its request is in no table: requests cost
// nothing for those who give up. Whoever does is looked for in a sweep over all
// requests of the app, those of the queue and those at workers.
//
// A request in the queue whose client has gone away, and has not revoked it, is served
// all the same if the app's workers are of an old framework: there are programs that
// say what they want and hang up.
//
// A sweep is done for all that one batch of frames has revoked, and costs one look at
// each request, a logarithm of the number of revoked channels each. Looking at a
// request takes some 10 to 100 ns under the engine's lock. Lest a client that revokes
// (or connects and goes) without end should keep that lock, there is a pause after a
// sweep of more than sweepFree requests, in proportion to them; what comes meanwhile
// waits for the next sweep, together, unless it is sweepMost.
const (
	sweepFree  = 256
	sweepPause = time.Microsecond // for each request over sweepFree
	sweepMost  = 1 << 16
)

// unwanted is what clients have given up and no sweep has looked for. Guarded by
// Engine.mu.
type unwanted struct {
	rpc.Unwanting
	owner *Engine
	timer timer   // armed while something waits for the next sweep
	next  instant // when that may be
}

var _ rpc.AnswerAcceptor = (*Engine)(nil)

// Unwanted ends what a client has given up. It implements rpc.AnswerAcceptor.
func (e *Engine) Unwanted(b *rpc.Batch, s *rpc.Session, revoked []rpc.Revoked) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.queue.n+e.load == 0 {
		return
	}
	e.unwanted.Add(s, revoked)
	if now := e.now(); now < e.unwanted.next && e.unwanted.Len() < sweepMost {
		if e.unwanted.timer.pos == 0 {
			e.timers.arm(&e.unwanted.timer, e.unwanted.next)
		}
		return
	}
	e.sweep(b)
}

// expire ends the pause.
func (u *unwanted) expire(b *rpc.Batch, _ *timer) { u.owner.sweep(b) }

// sweep looks for all requests that nobody waits for. Called with mu held.
func (e *Engine) sweep(b *rpc.Batch) {
	u, now := &e.unwanted, e.now()
	e.timers.disarm(&u.timer)
	u.next = now + instant(sweepPause)*instant(max(0, e.queue.n+e.load-sweepFree))
	for r := e.queue.first; r != nil; {
		following := r.next
		if u.Find(r.client, r.channel) != nil && (e.hears || !u.Gone(r.client)) {
			e.withdraw(b, r, now)
		}
		r = following
	}
	for _, w := range e.workers {
		for r := w.requests; r != nil; r = r.next {
			if cause := u.Find(r.client, r.channel); cause != nil {
				r.unhear(b, cause)
			}
		}
	}
	u.Reset()
}

// withdraw takes a request out of the queue whose client has given it up, unless that
// has not said everything: then the worker is going to see what it has said, and the
// error. Called with Engine.mu held.
func (e *Engine) withdraw(b *rpc.Batch, r *request, now instant) {
	r.mu.Lock()
	if r.phase != queued || !r.clientDone || r.torn {
		r.mu.Unlock()
		return
	}
	r.phase = over
	r.drop()
	r.mu.Unlock()
	e.settle(b, r, now)
}

// unhear has what comes from the worker dropped, and tells the worker if that
// understands it. The request keeps its place until the worker has ended its half, as
// any other: the handler is at work until then. Called with Engine.mu held.
func (r *request) unhear(b *rpc.Batch, cause *rpc.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != running || !r.clientDone || r.workerDone {
		return
	}
	r.phase = unheard
	if r.worker.hears {
		relay.Revoke(b, r.worker.session, r.wchannel, cause)
	}
}
