package worker

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logctx"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A request is one channel that the runtime opened, and the context of the handler
// that serves it. Most handlers never ask their context for more than they pass it
// on, so the machinery of cancellation is made when somebody first does.
type request struct {
	run     *run
	binding *binding
	channel uint64
	event   string
	headers cocaine.Headers
	began   time.Time

	mu      sync.Mutex // guards what follows
	running bool       // the handler does
	revoked bool       // the caller has given up, having said everything
	cause   error      // why the context ended
	life    *lifetime  // nil until it is needed
}

// A lifetime is what few requests need to know of theirs. The request's lock guards
// it.
type lifetime struct {
	deadline time.Time               // zero: none; does not change once the handler runs
	limitAt  time.Time               // when the time of the handler is up; zero: never
	limited  bool                    // deadline is that of the binding, not the caller's
	ctx      context.Context         // made on demand
	cancel   context.CancelCauseFunc // ends ctx
	stop     context.CancelFunc      // stops the timers of the deadlines
	seenOver time.Time               // when the run first saw that the context had ended
	reported bool                    // the log says that the handler is stuck
}

// lived gives the lifetime. Called with mu held.
func (r *request) lived() *lifetime {
	if r.life == nil {
		r.life = new(lifetime)
	}
	return r.life
}

var _ context.Context = (*request)(nil)

// begin reads the headers of the first frame. It returns false if the worker takes
// no requests any more.
func (r *request) begin(f *rpc.Frame, now time.Time) bool {
	r.began = now
	if len(f.Headers) > 0 {
		r.headers = append(r.headers, f.Headers...)
		if v := r.headers.Get(hpack.RequestTimeout); len(v) == 8 { // another length is no timeout
			ms := binary.LittleEndian.Uint64([]byte(v))
			if ms < uint64(1<<62/time.Millisecond) { // more is for ever
				r.life = &lifetime{deadline: now.Add(time.Duration(ms) * time.Millisecond)} // nobody else knows r yet
			}
		}
	}
	return r.run.gate.enter()
}

// of is the request itself, of whatever is one.
func (r *request) of() *request { return r }

// acquire waits for the slots that the handler needs; then it runs. It gives up
// when the request is over, or the worker must stop. A request that its caller has
// given up does not run.
func (r *request) acquire() error {
	if err := r.take(r.binding.slots); err != nil {
		return err
	}
	if err := r.take(r.run.slots); err != nil {
		drop(r.binding.slots)
		return err
	}
	r.mu.Lock()
	dropped, cause := r.revoked, r.cause
	r.running = !dropped
	r.mu.Unlock()
	if dropped {
		r.release()
		return cause
	}
	return nil
}

func (r *request) release() {
	drop(r.run.slots)
	drop(r.binding.slots)
}

// take puts a token into a channel; nil stands for any number of slots.
func (r *request) take(slots chan struct{}) error {
	if slots == nil {
		return nil
	}
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case slots <- struct{}{}:
		if r.run.base.Err() == nil && r.Err() == nil { // base ends first
			return nil
		}
		<-slots // the place came free because everything ends
	case <-r.Done():
	}
	switch cause := context.Cause(r); {
	case r.run.base.Err() != nil:
		return errStopped
	case cause == context.DeadlineExceeded:
		return cocaine.Errorf(idl.CategoryGeneric, idl.GenericTimeout, "deadline passed before a handler of event %q was free", r.event)
	default:
		return cause
	}
}

func drop(slots chan struct{}) {
	if slots != nil {
		<-slots
	}
}

// limit starts the time of the handler. When it is up the context ends and over is
// called, with what the caller is to get. The returned function stops the clock.
func (r *request) limit(over func(err error)) (stop func()) {
	d := r.binding.timeout
	r.mu.Lock()
	l := r.lived()
	l.limitAt = time.Now().Add(d)
	if l.deadline.IsZero() || l.limitAt.Before(l.deadline) {
		l.deadline, l.limited = l.limitAt, true
		if l.ctx != nil { // somebody waited for a slot
			l.bound()
		}
	}
	r.mu.Unlock()
	t := time.AfterFunc(d, func() { over(r.late()) })
	return func() { t.Stop() }
}

// late is what the caller gets when the handler has used up its time, nil while
// there is some left. A handler that returns because its context has ended is late:
// whether it or the clock is faster makes no difference.
func (r *request) late() error {
	if r.binding.timeout <= 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life == nil || r.life.limitAt.IsZero() || time.Now().Before(r.life.limitAt) {
		return nil
	}
	return cocaine.Errorf(idl.CategoryGeneric, idl.GenericTimeout, "handler of event %q took longer than %v", r.event, r.binding.timeout)
}

// bound gives the context the deadline. Called with the request's lock held.
func (l *lifetime) bound() {
	cause := context.DeadlineExceeded
	if l.limited {
		cause = ErrTimeout
	}
	ctx, stop := context.WithDeadlineCause(l.ctx, l.deadline, cause)
	if before := l.stop; before != nil {
		l.ctx, l.stop = ctx, func() { stop(); before() }
		return
	}
	l.ctx, l.stop = ctx, stop
}

// format is that of the request's chunks.
func (r *request) format() (codec.Format, error) {
	if len(r.headers) == 0 {
		return codec.Msgpack, nil
	}
	format, err := codec.ParseContentType(r.headers.Get(codec.ContentTypeHeader))
	if err != nil {
		err = cocaine.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "%v", err)
	}
	return format, err
}

// real makes the context, the first time.
func (r *request) real() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lived()
	if l.ctx != nil {
		return l.ctx
	}
	ctx := r.run.base
	if t, err := rpc.ParseTrace(r.headers); err == nil && t.ID != 0 {
		ctx = cocaine.WithTrace(ctx, t)
	}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	if !l.deadline.IsZero() {
		l.bound()
	}
	if r.cause != nil {
		l.cancel(r.cause)
	}
	return l.ctx
}

// end ends the context; the first cause wins.
func (r *request) end(cause error) {
	r.mu.Lock()
	if r.cause == nil {
		r.cause = cause
	}
	var cancel context.CancelCauseFunc
	var stop context.CancelFunc
	if r.life != nil {
		cancel, stop = r.life.cancel, r.life.stop
	}
	r.mu.Unlock()
	if cancel != nil { // not under the lock: contexts made of this one ask it for its own
		cancel(cause)
	}
	if stop != nil {
		stop()
	}
}

// Deadline is when the caller's patience or the handler's time ends. It implements context.Context.
func (r *request) Deadline() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life == nil {
		return time.Time{}, false
	}
	return r.life.deadline, !r.life.deadline.IsZero()
}

// Done implements context.Context.
func (r *request) Done() <-chan struct{} { return r.real().Done() }

// Err implements context.Context.
func (r *request) Err() error { return r.real().Err() }

// Value implements context.Context.
func (r *request) Value(key any) any {
	switch key {
	case requestKey{}:
		return r
	case logctx.Key{}:
		return r.logAttrs()
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
