package cocaine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// RetryPolicy says how often a call is made again, and when. It never makes a call
// twice that may have been carried out, unless CallOptions.Idempotent says that
// this does no harm. What is repeated is what provably no method and no worker has
// seen:
//
//	no connection    *ConnectError, of the service or of all locators; no locator answered in time
//	nothing sent     the connection was lost before the call was written
//	refused          an app's [21247, 1] queue is full or [20991, 6] not running, if the
//	                 runtime says that it has given the request to no worker
//
// The last is told by a header (docs/PROTOCOL.md, Headers), because a worker may
// answer with any code, one that it got from a call of its own for instance. A
// runtime that does not send the header is not believed. A name that nobody serves
// is an answer, and not asked for again.
//
// For an idempotent call these are repeated as well:
//
//	lost             ErrDisconnected
//	worker died      [5, 2], [2, 104], [2, 125]
//	refused          whoever says so
//
// Get, Exec, Invoke and Chunks repeat all of this, Chunks as long as it has given
// no value. Call and Enqueue, which hand out the stream, repeat only what fails
// before they return.
//
// The zero RetryPolicy repeats once, at once, a call that was not sent because the
// connection was lost, and nothing else. That one repeat is free: it costs the
// service nothing, and the budget neither.
type RetryPolicy struct {
	// Attempts is how often a call is made at most, the first time included.
	// Below 2 there are no repeats but the free one.
	Attempts int
	// Delay passes before the second attempt and doubles with each further one,
	// up to MaxDelay. A random part of up to a half is cut off. If zero, 10 ms
	// and 1 s.
	Delay, MaxDelay time.Duration
	// Ratio bounds the repeats of all calls of one service, per call made; Burst
	// is how many may go over it. A service that refuses everybody is spared that
	// way: it gets a tenth more calls, not several times as many. If zero, 0.1
	// and 10.
	Ratio float64
	Burst int
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.Delay <= 0 {
		p.Delay = firstDelay
	}
	if p.MaxDelay <= 0 {
		p.MaxDelay = max(lastDelay, p.Delay)
	}
	if p.Ratio <= 0 {
		p.Ratio = 0.1
	}
	if p.Burst <= 0 {
		p.Burst = 10
	}
	return p
}

// A budget bounds the repeats of the calls of one service. All its handles share
// it; the zero budget is full.
type budget struct {
	mu    sync.Mutex
	spent float64 // repeats that calls have not paid for yet
}

// earn counts a call.
func (b *budget) earn(p *RetryPolicy) {
	b.mu.Lock()
	b.spent = max(0, b.spent-p.Ratio)
	b.mu.Unlock()
}

// spend takes one repeat, if there is one left.
func (b *budget) spend(p *RetryPolicy) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+1 > float64(p.Burst) {
		return false
	}
	b.spent++
	return true
}

// attempts are those of one call. It belongs to the goroutine that makes it.
type attempts struct {
	service *Service
	policy  *RetryPolicy
	made    int
	resent  bool         // the free repeat was used
	seen    *observation // of the call; nil if nobody wants to hear of it
	handed  bool         // another tells of the end: the stream that was opened
}

// total is how often the call was tried.
func (a *attempts) total() int {
	if a.resent {
		return a.made + 1
	}
	return a.made
}

// resend takes the free repeat.
func (a *attempts) resend() {
	a.resent = true
	a.service.conn.retries.Add(1)
}

func (s *Service) attempts() attempts {
	a := attempts{service: s, policy: s.opts.Retry, made: 1}
	if a.policy == nil {
		a.policy = &s.conn.client.opts.Retry
	}
	if a.repeats() {
		s.conn.budget.earn(a.policy)
	}
	return a
}

// repeats reports whether there may be any but the free one.
func (a *attempts) repeats() bool { return a.policy.Attempts > 1 }

// again decides whether there is another attempt after one that failed with err,
// and waits until it is time. If not, it returns the error of the call.
func (a *attempts) again(ctx context.Context, err error) error {
	if a.made >= a.policy.Attempts || ctx.Err() != nil {
		return err
	}
	delay := a.policy.MaxDelay
	if n := min(a.made-1, 16); a.policy.Delay <= delay>>n { // else it would be more, or too much to count
		delay = a.policy.Delay << n
	}
	if delay > 1 {
		delay = delay/2 + rand.N(delay/2)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
		return err // it would come too late
	}
	if !a.service.conn.budget.spend(a.policy) {
		return err
	}
	a.made++
	a.service.conn.retries.Add(1)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-a.service.conn.client.ctx.Done():
		return also(err, ErrClosed)
	case <-ctx.Done():
		return also(err, ended(ctx))
	}
}

// also makes the failure of a call an error of another kind too. It stays a bare
// CallError, whose names can be changed.
func also(err, kind error) error {
	if call, ok := err.(*CallError); ok {
		return &CallError{Service: call.Service, Method: call.Method, Err: &kindError{call.Err, kind}}
	}
	return &kindError{err, kind}
}

// unconnected reports whether a call failed for want of a connection.
func unconnected(err error) bool {
	if errors.Is(err, ErrServiceNotFound) || errors.Is(err, ErrClosed) {
		return false
	}
	if _, ok := errors.AsType[*ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*ResolveError](err); ok {
		return errors.Is(err, ErrDisconnected) || errors.Is(err, context.DeadlineExceeded)
	}
	return false
}

// Headers by which the runtime is asked for, and gives, the proof that a refused
// request has reached no worker.
const (
	storyHeader   = "x-cocaine-story"
	refusedHeader = "x-cocaine-refused"
)

// repeatable reports whether a call that was sent and failed may be made again. taken
// says that something of an answer was received, trailer is what its end said.
func repeatable(err error, taken bool, trailer []Header, idempotent bool) bool {
	if taken {
		return false
	}
	if errors.Is(err, ErrDisconnected) {
		return idempotent
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch (code{e.Category, e.Code}) {
	case code{idl.CategoryOverseer, idl.OverseerQueueFull}, code{idl.CategoryNode, idl.NodeNotRunning}:
		_, refused := hpack.Lookup(trailer, refusedHeader)
		return refused || idempotent
	case code{idl.CategoryStream, 2}, code{idl.CategorySocket, 104}, code{idl.CategorySocket, 125}:
		return idempotent
	}
	return false
}

type code struct{ category, code int }
