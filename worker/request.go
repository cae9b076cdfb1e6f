package worker

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A request is one channel that the runtime opened, and the context of the handler
// that serves it. Most handlers never ask their context for more than they pass it
// on, so the machinery of cancellation is made when somebody first does.
type request struct {
	run      *run
	channel  uint64
	event    string
	headers  cocaine.Headers
	deadline time.Time // zero: none

	mu     sync.Mutex
	ctx    context.Context         // made on demand
	cancel context.CancelCauseFunc // ends ctx
	stop   context.CancelFunc      // stops the timer of the deadline
	cause  error                   // why the context ended, if that was before it was made
}

var _ context.Context = (*request)(nil)

// begin reads the headers of the first frame.
func (r *request) begin(run *run, channel uint64, event string, f *rpc.Frame, now time.Time) {
	r.run, r.channel, r.event = run, channel, event
	if len(f.Headers) == 0 {
		return
	}
	r.headers = append(r.headers, f.Headers...)
	if v := r.headers.Get(hpack.RequestTimeout); len(v) == 8 { // another length is no timeout
		ms := binary.LittleEndian.Uint64([]byte(v))
		if ms < uint64(1<<62/time.Millisecond) { // more is for ever
			r.deadline = now.Add(time.Duration(ms) * time.Millisecond)
		}
	}
}

// format is that of the request's chunks.
func (r *request) format() (codec.Format, error) {
	if len(r.headers) == 0 {
		return codec.Msgpack, nil
	}
	return codec.ParseContentType(r.headers.Get(codec.ContentTypeHeader))
}

// real makes the context, the first time.
func (r *request) real() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx != nil {
		return r.ctx
	}
	ctx := r.run.base
	if t, err := rpc.ParseTrace(r.headers); err == nil && t.ID != 0 {
		ctx = cocaine.WithTrace(ctx, t)
	}
	ctx, r.cancel = context.WithCancelCause(ctx)
	if !r.deadline.IsZero() {
		ctx, r.stop = context.WithDeadline(ctx, r.deadline)
	}
	if r.cause != nil {
		r.cancel(r.cause)
	}
	r.ctx = ctx
	return ctx
}

// end ends the context; the first cause wins.
func (r *request) end(cause error) {
	r.mu.Lock()
	if r.cause == nil {
		r.cause = cause
	}
	cancel, stop := r.cancel, r.stop
	r.mu.Unlock()
	if cancel != nil { // not under the lock: contexts made of this one ask it for its own
		cancel(cause)
	}
	if stop != nil {
		stop()
	}
}

// Deadline is when the caller's patience ends. It implements context.Context.
func (r *request) Deadline() (time.Time, bool) { return r.deadline, !r.deadline.IsZero() }

// Done implements context.Context.
func (r *request) Done() <-chan struct{} { return r.real().Done() }

// Err implements context.Context.
func (r *request) Err() error { return r.real().Err() }

// Value implements context.Context.
func (r *request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.real().Value(key)
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// Headers gives the headers of the request that a handler's context belongs to,
// nil for another context. They are read only.
func Headers(ctx context.Context) cocaine.Headers {
	if r := requestOf(ctx); r != nil {
		return r.headers
	}
	return nil
}

// Event gives the name of the event that a handler's context belongs to, "" for
// another context.
func Event(ctx context.Context) string {
	if r := requestOf(ctx); r != nil {
		return r.event
	}
	return ""
}
