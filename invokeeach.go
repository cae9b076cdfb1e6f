package cocaine

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// InvokeEach calls an event of an app for each item of a sequence, as Invoke does, with
// up to n calls under way at a time, one at least. The results come in the order of the
// items: one that is early waits for those before it.
//
// One goroutine does it all, and calls leave together: for many short calls that takes
// less than a goroutine for each would (bench/README.md, sdk-each). What a call fails with is the error of
// its pair, and does not end the sequence; neither does an error in place of an item,
// which takes the place of its result. When ctx ends, its error is the last pair.
// Leaving the loop gives up the calls that are under way.
//
// While the sequence makes its caller wait for an item, results that have come wait as
// well.
func InvokeEach[Out, In any](
	ctx context.Context, app App, event string, n int, seq iter.Seq2[In, error],
) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		b := &batch[Out, In]{app: app, event: event, ring: make([]inFlight, max(n, 1)), yield: yield}
		defer b.stop()
		if err := b.prepare(ctx); err != nil {
			b.give(err)
			return
		}
		b.run(ctx, seq)
	}
}

// maxLinger is how long a call waits for others to leave with it, should the sequence
// make no further one.
const maxLinger = 200 * time.Microsecond

// A batch is a loop over InvokeEach. It belongs to the goroutine of the loop.
type batch[Out, In any] struct {
	app    App
	event  string
	format codec.Format
	yield  func(Out, error) bool

	ring         []inFlight // calls by number modulo its length
	first, after uint64     // the oldest call that has not been given, and the next one's number

	in  In  // what is being encoded
	out Out // what is being decoded

	timer *time.Timer                 // flushes what lingers
	armed atomic.Bool                 // it is going to
	last  atomic.Pointer[rpc.Session] // that was sent on
}

// inFlight is one call.
type inFlight struct {
	u     *unary
	tries attempts
	err   error // that it could not begin with
	begun bool  // its end is still to be told
}

// prepare checks what all calls have in common.
func (b *batch[Out, In]) prepare(ctx context.Context) (err error) {
	if b.format, err = b.app.format(ctx, b.event); err != nil {
		return err
	}
	b.timer = time.AfterFunc(time.Hour, b.flush)
	b.timer.Stop()
	return nil
}

func (b *batch[Out, In]) run(ctx context.Context, seq iter.Seq2[In, error]) {
	cut := false
	for in, err := range seq {
		if b.after-b.first == uint64(len(b.ring)) && !b.finish(ctx) {
			return
		}
		if cut = ctx.Err() != nil; cut {
			break
		}
		c := &b.ring[b.after%uint64(len(b.ring))]
		b.after++
		if c.err = err; err == nil {
			b.in = in
			c.err = b.begin(ctx, c)
		}
		for b.first < b.after && b.settled() { // what is there is not kept waiting
			if !b.finish(ctx) {
				return
			}
		}
	}
	for b.first < b.after {
		if !b.finish(ctx) {
			return
		}
	}
	if cut {
		b.give(b.app.service.failed(b.event, ended(ctx)))
	}
}

// begin sends the call of b.in.
func (b *batch[Out, In]) begin(ctx context.Context, c *inFlight) error {
	s := b.app.service
	c.u = s.newUnary(rpc.WantOnly)
	if err := c.u.encodeEvent(b.event, b.format, &b.in); err != nil {
		return s.refusedEvent(ctx, b.event, err)
	}
	c.u.question.Later = true
	c.tries = s.attempts()
	c.tries.seen = s.observe(ctx, enqueueMethod, c.u.args, c.u.question.Chunk)
	c.begun = true
	if err := s.begin(ctx, &c.tries, enqueueMethod, b.event, c.u); err != nil {
		if err == errNotUnary { // it is the enqueue of something that is no app
			err = s.failed(b.event, err)
		}
		c.begun = false
		s.over(&c.tries, err)
		return err
	}
	b.last.Store(c.u.link.session)
	if !b.armed.Swap(true) {
		b.timer.Reset(maxLinger)
	}
	return nil
}

// flush sends what lingers. It is the timer's.
func (b *batch[Out, In]) flush() {
	b.armed.Store(false)
	if s := b.last.Load(); s != nil {
		s.Flush()
	}
}

// settled reports whether the oldest call can be given without waiting.
func (b *batch[Out, In]) settled() bool {
	c := &b.ring[b.first%uint64(len(b.ring))]
	return c.err != nil || c.u.req.Ready()
}

// finish gives the result of the oldest call. It returns false if the loop was left.
func (b *batch[Out, In]) finish(ctx context.Context) bool {
	return b.give(b.answer(ctx))
}

// answer decodes the answer of the oldest call into b.out.
func (b *batch[Out, In]) answer(ctx context.Context) (err error) {
	c := &b.ring[b.first%uint64(len(b.ring))]
	defer b.release(c)
	if c.err != nil {
		return c.err
	}
	err, c.begun = errLeft, false
	defer b.app.service.conclude(&c.tries, b.event, &err)
	if !c.u.req.Ready() {
		c.u.link.session.Flush()
	}
	c.u.into = &b.out
	return b.app.service.finish(ctx, &c.tries, c.u, enqueueMethod, b.event)
}

// give gives the result that was decoded, or an error.
func (b *batch[Out, In]) give(err error) bool {
	out := b.out
	var zero Out
	b.out = zero // nothing of one result shows in the next
	if err != nil {
		out = zero
	}
	return b.yield(out, err)
}

func (b *batch[Out, In]) release(c *inFlight) {
	if c.u != nil {
		c.u.free()
	}
	*c = inFlight{}
	b.first++
}

// stop gives up what is under way.
func (b *batch[Out, In]) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
	for b.first < b.after {
		c := &b.ring[b.first%uint64(len(b.ring))]
		if c.begun {
			if c.u.link != nil { // else a function of the caller's panicked on the way
				c.u.leave(context.Canceled)
			}
			b.app.service.over(&c.tries, b.app.service.failed(b.event, context.Canceled))
		}
		b.release(c)
	}
}
