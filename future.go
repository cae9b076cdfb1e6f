package cocaine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
)

// A Future is the result of a function that was started with Go and may still be
// running. Any number of goroutines may wait for it, any number of times.
type Future[T any] struct{ p *promise[T] }

// promise is what the running function and the Future share. It knows nothing of
// the Future, so that the runtime can tell when nobody holds that any more.
type promise[T any] struct {
	done chan struct{} // closed after value and err are set

	value T
	err   error

	mu      sync.Mutex
	over    bool            // done is closed
	seen    bool            // somebody has got the error, or it was reported
	dropped bool            // nobody holds the Future any more
	waiters map[*int]func() // called once, when done; must not block
}

// PanicError is the error of a Future whose function panicked.
type PanicError struct {
	Value any
	Stack []byte
}

// Error says what the panic said.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap gives the panic's value, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrGoexit is the error of a Future whose function ended its goroutine, as
// testing.T.FailNow does.
var ErrGoexit = errors.New("function ended its goroutine")

// Go starts f in a goroutine and returns its future result. The context is passed
// on: to stop the function, end it. A panic in f becomes a *PanicError.
//
// An error that nobody looks at is not lost: when the Future is garbage, it is
// reported to slog.Default, once. The end of a context is not reported.
func Go[T any](ctx context.Context, f func(ctx context.Context) (T, error)) *Future[T] {
	p := &promise[T]{done: make(chan struct{})}
	go p.run(ctx, f)
	future := &Future[T]{p}
	runtime.AddCleanup(future, (*promise[T]).drop, p)
	return future
}

func (p *promise[T]) run(ctx context.Context, f func(context.Context) (T, error)) {
	p.err = ErrGoexit // unless f returns or panics
	defer p.finish()
	defer func() {
		if v := recover(); v != nil {
			p.err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	p.value, p.err = f(ctx)
}

func (p *promise[T]) finish() {
	p.mu.Lock()
	p.over = true
	close(p.done)
	for _, wake := range p.waiters {
		wake()
	}
	p.waiters = nil
	report := p.dropped && p.unseen()
	p.mu.Unlock()
	if report {
		p.report()
	}
}

// drop is called when the Future is garbage, by a goroutine of the runtime. That
// one may not touch the channel, which may belong to a bubble of testing/synctest.
func (p *promise[T]) drop() {
	p.mu.Lock()
	p.dropped = true
	report := p.over && p.unseen()
	p.mu.Unlock()
	if report {
		p.report()
	}
}

// unseen claims the error for being reported. Called with mu held, when done.
func (p *promise[T]) unseen() bool {
	if p.seen || p.err == nil || errors.Is(p.err, context.Canceled) || errors.Is(p.err, context.DeadlineExceeded) {
		return false
	}
	p.seen = true
	return true
}

func (p *promise[T]) report() {
	attrs := []any{"error", p.err}
	if panicked, ok := p.err.(*PanicError); ok {
		attrs = append(attrs, "stack", string(panicked.Stack))
	}
	slog.Default().Error("nobody looked at the error of a future", attrs...)
}

func (p *promise[T]) isDone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// result is called when done. It counts as looking.
func (p *promise[T]) result() (T, error) {
	p.mu.Lock()
	p.seen = true
	p.mu.Unlock()
	return p.value, p.err
}

// Wait waits for the result. If ctx ends first, its error is returned; the
// function runs on, and one may wait again.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	defer runtime.KeepAlive(f)
	if f.p.isDone() { // a result that is there wins over a context that has ended
		return f.p.result()
	}
	select {
	case <-f.p.done:
		return f.p.result()
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}

// Done is closed when the result is there.
func (f *Future[T]) Done() <-chan struct{} { return f.p.done }

// notify calls wake when done, at once if it is. The returned function takes it
// back.
func (p *promise[T]) notify(wake func()) (forget func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		wake()
		return func() {}
	}
	key := new(int)
	if p.waiters == nil {
		p.waiters = make(map[*int]func())
	}
	p.waiters[key] = wake
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiters, key)
	}
}
