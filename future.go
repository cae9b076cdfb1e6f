package cocaine

import (
	"context"
	"runtime"
)

// A Future is the result of a function that was started with Go or Then and may
// still be running. Any number of goroutines may wait for it, any number of times.
//
// Its Wait method is itself a function to start, to gather or to race with others:
// Gather(ctx, f.Wait, g.Wait).
type Future[T any] struct{ p *promise[T] }

// Go starts f in a goroutine and returns its future result. A panic in f becomes a
// *PanicError.
//
// The context that f gets ends with ctx, with Cancel, and when f has returned.
// What f returns must not live on it: a Stream that outlives f is to be opened
// with ctx itself.
//
// An error that nobody looks at is not lost: when the Future is garbage, it is
// reported to the logger of ctx (see WithLogger), once, with the place where Go
// was called. The end of a context is not reported, and a program that ends before
// the garbage is collected reports nothing.
func Go[T any](ctx context.Context, f func(ctx context.Context) (T, error)) *Future[T] {
	p := newPromise[T](caller())
	p.start(ctx, f)
	return p.future()
}

// Ready returns a future that is done and has come to v.
func Ready[T any](v T) *Future[T] {
	p := newPromise[T](0)
	p.value = v
	p.finish(nil)
	return p.future()
}

// Failed returns a future that is done and has failed with err. As with Go, an
// error that nobody looks at is reported, to slog.Default.
func Failed[T any](err error) *Future[T] {
	p := newPromise[T](caller())
	p.finish(err)
	return p.future()
}

// Then starts fn with the value of f, once that is there, and returns the future
// result. An error of f passes by fn and is the result.
//
// Then looks at the error of f, and hands the duty on: an error that goes down a
// chain of futures is reported once, if nobody looks at the last. To act on an
// error instead, start a function with Go that waits for f.
//
// The end of ctx, and Cancel, end the wait and the context of fn. They do not touch
// f, for which others may be waiting.
func Then[T, U any](ctx context.Context, f *Future[T], fn func(ctx context.Context, v T) (U, error)) *Future[U] {
	p := newPromise[U](caller())
	p.start(ctx, func(ctx context.Context) (U, error) {
		if fn == nil {
			var zero U
			return zero, errNoFunction
		}
		v, err := f.Wait(ctx)
		if err != nil {
			var zero U
			return zero, err
		}
		return fn(ctx, v)
	})
	return p.future()
}

// future makes the only handle of a promise.
func (p *promise[T]) future() *Future[T] {
	f := &Future[T]{p}
	if p.made != 0 { // else it cannot fail
		runtime.AddCleanup(f, (*promise[T]).drop, p)
	}
	return f
}

// made reports whether the future is one of a function. Any other is done and has
// failed.
func (f *Future[T]) made() bool { return f != nil && f.p != nil }

// Wait waits for the result. If ctx ends first, its error is returned; the
// function runs on, and one may wait again.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	if !f.made() {
		var zero T
		return zero, errNoFuture
	}
	defer runtime.KeepAlive(f)
	return f.p.wait(ctx)
}

// Done is closed when the result is there.
func (f *Future[T]) Done() <-chan struct{} {
	if !f.made() {
		done := make(chan struct{})
		close(done)
		return done
	}
	return f.p.done
}

// Cancel ends the context of the function and does not wait. The future comes to
// whatever the function then returns, as a rule context.Canceled. One that is done
// keeps its result.
func (f *Future[T]) Cancel() {
	if f.made() && f.p.cancel != nil {
		f.p.cancel(nil)
	}
}
