package worker

import "context"

// A Middleware makes a handler of the next one: it does something before, after or
// in place of it. It works for handlers of every kind; to those of one value it
// shows a stream whose one chunk is the value. The answer of such a handler is sent
// when the outermost middleware returns, and an error that it returns takes the
// answer's place.
//
// A middleware that wants its handler to see something passes on a context made of
// the one it got. One that receives from the stream takes the chunk from its
// handler.
type Middleware func(next Handler) Handler

// Use puts middleware around every handler of the worker, those that are bound
// later included. The first is the outermost: with Use(a, b) a request passes a,
// then b, then what With put around its handler, then the handler, and its error
// passes them the other way round. Events without a handler pass none.
//
// Slots and time that Limit and Timeout give include the middleware. It panics if
// the worker runs or middleware is nil.
func (w *Worker) Use(ms ...Middleware) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		panic("cannot use middleware: the worker runs")
	}
	mustNotBeNil(ms)
	w.middleware = append(w.middleware, ms...)
}

func mustNotBeNil(ms []Middleware) {
	for _, m := range ms {
		if m == nil {
			panic("cannot use middleware: it is nil")
		}
	}
}

// Recover is middleware that turns a panic of the handlers inside it into a
// *cocaine.PanicError, so that the middleware around it sees a failure as an error. The
// worker survives a panic without it, too.
func Recover() Middleware {
	return func(next Handler) Handler {
		return HandlerFunc(func(ctx context.Context, s *Stream) (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = newPanicError(v)
				}
			}()
			return next.Serve(ctx, s)
		})
	}
}
