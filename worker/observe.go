package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// An Observer hears of every request that it is put around, once, when the handler is
// done with it. It is given the handler's context. It runs on the goroutine of the
// handler, many at once, before the caller gets the end of the answer: it should be
// quick. The RequestInfo is its own to keep.
type Observer func(ctx context.Context, request *RequestInfo)

// RequestInfo is what there is to know of a request that its handler is done with.
type RequestInfo struct {
	Event    string        // its name
	Channel  uint64        // its number on the worker's connection
	Start    time.Time     // when the handler was called
	Duration time.Duration // that it took, and the middleware between it and the observer
	Waited   time.Duration // between the arrival of the request and the start
	InFlight int           // requests that were being observed by this observer, this one included
	Trace    cocaine.Trace // of the request; the zero Trace if it has none
	// Err is what the handler returned: nil, or its failure. A panic is a *PanicError.
	// A handler that has used up its time has failed with what its caller got.
	Err error
}

// Outcome says in a word how the request went: OutcomeTimeout, OutcomeCanceled for one
// whose caller has gone, and any other failure is OutcomeError.
func (r *RequestInfo) Outcome() cocaine.Outcome {
	if r.Err == nil {
		return cocaine.OutcomeOK
	}
	if _, ok := errors.AsType[*cocaine.CallError](r.Err); ok { // the outcome of another call
		return cocaine.OutcomeError
	}
	switch {
	case errors.Is(r.Err, context.DeadlineExceeded), errors.Is(r.Err, ErrTimeout), errors.Is(r.Err, errTimedOut):
		return cocaine.OutcomeTimeout
	case errors.Is(r.Err, context.Canceled), errors.Is(r.Err, cocaine.ErrDisconnected), errors.Is(r.Err, ErrStopping), isGivenUp(r.Err):
		return cocaine.OutcomeCanceled
	}
	return cocaine.OutcomeError
}

// Reply is what the caller gets in place of an answer, nil if the request went well.
func (r *RequestInfo) Reply() *cocaine.Error {
	if r.Err == nil {
		return nil
	}
	return reply(r.Err)
}

// errTimedOut is what the caller of a handler gets that has used up its time.
var errTimedOut error = &cocaine.Error{Category: idl.CategoryGeneric, Code: idl.GenericTimeout}

// isGivenUp reports whether the handler failed because its caller gave up.
func isGivenUp(err error) bool {
	_, ok := errors.AsType[*RequestError](err)
	return ok || errors.Is(err, errGaveUp)
}

// Observe makes middleware that tells f of every request. With Worker.Use it hears of
// all events that have handlers. As the outermost, the first given to Use, it sees
// what the caller gets; requests that no handler took, for want of one or of time, it
// does not see.
func Observe(f Observer) Middleware {
	if f == nil {
		panic("cannot observe requests: the observer is nil")
	}
	inFlight := new(atomic.Int64)
	return func(next Handler) Handler {
		return HandlerFunc(func(ctx context.Context, s *Stream) error {
			n := inFlight.Add(1)
			defer inFlight.Add(-1)
			w := &watched{info: RequestInfo{
				Event: s.Event(), Channel: s.Channel(), Start: time.Now(), InFlight: int(n), Trace: cocaine.TraceOf(ctx),
			}}
			w.info.Waited = w.info.Start.Sub(s.c.began)
			return w.serve(ctx, next, s, f)
		})
	}
}

// watched is a request under observation.
type watched struct{ info RequestInfo }

// serve calls the handler. A panic goes on when the observer has heard of it.
func (w *watched) serve(ctx context.Context, next Handler, s *Stream, f Observer) (err error) {
	err = errGoexit
	defer func() {
		v := recover()
		if v != nil {
			err = newPanicError(v)
		} else if late := s.c.late(); late != nil {
			err = late
		}
		w.info.Duration, w.info.Err = time.Since(w.info.Start), err
		f(ctx, &w.info)
		if v != nil {
			panic(v)
		}
	}()
	return next.Serve(ctx, s)
}

// LogRequests makes an Observer that writes one record for each request, with the
// context of the request: event, outcome, duration, waited if it had to, trace_id, and
// of a failure category and code as the caller gets them, and the error. If l is nil,
// it is slog.Default().
//
// Requests that went well, or whose caller gave up, are logged at slog.LevelInfo,
// errors and timeouts at LevelWarn, panics at LevelError.
func LogRequests(l *slog.Logger) Observer {
	return func(ctx context.Context, r *RequestInfo) {
		logger := l
		if logger == nil {
			logger = slog.Default()
		}
		level := r.level()
		if logger.Enabled(ctx, level) {
			logger.LogAttrs(ctx, level, "request "+r.Outcome().String(), r.attrs()...)
		}
	}
}

func (r *RequestInfo) level() slog.Level {
	if _, ok := errors.AsType[*cocaine.PanicError](r.Err); ok {
		return slog.LevelError
	}
	switch r.Outcome() {
	case cocaine.OutcomeOK, cocaine.OutcomeCanceled:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func (r *RequestInfo) attrs() []slog.Attr {
	as := []slog.Attr{
		slog.String("event", r.Event), slog.Uint64("channel", r.Channel),
		slog.String("outcome", r.Outcome().String()), slog.Duration("duration", r.Duration),
	}
	if r.Waited >= time.Millisecond {
		as = append(as, slog.Duration("waited", r.Waited))
	}
	if t := r.Trace; t.ID != 0 {
		as = append(as, slog.String("trace_id", fmt.Sprintf("%016x", t.ID)))
	}
	if e := r.Reply(); e != nil {
		as = append(as, slog.Int("category", e.Category), slog.Int("code", e.Code), slog.String("error", r.Err.Error()))
	}
	return as
}
