package cocaine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// PanicError is the error of a function that panicked while this package ran it in
// a goroutine, and of a worker's handler: worker.Recover shows it to middleware.
type PanicError struct {
	Value any    // what the function panicked with
	Stack []byte // of the goroutine, as debug.Stack gives it
}

// Error says what the panic said. The stack is not in it: callers of a worker see
// the text.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap gives the panic's value, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrGoexit is the error of a function that ended its goroutine, as
// testing.T.FailNow does.
var ErrGoexit = errors.New("function ended its goroutine")

// errReturned is why the context of a function has ended that has returned. Who
// sees it has used the context longer than that.
var errReturned = fmt.Errorf("%w: the function that it was given to has returned", context.Canceled)

// guard runs f and hands its error to done, which is called whatever f does.
func guard(f func() error, done func(error)) {
	err := ErrGoexit // unless f returns or panics
	defer func() { done(err) }()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	err = f()
}

// promise is what a running function and its Future share. It knows nothing of the
// Future, so that the runtime can tell when nobody holds that any more. Without
// one, nothing is ever reported.
type promise[T any] struct {
	made   uintptr                 // the program counter of its maker, for the report
	cancel context.CancelCauseFunc // ends the context of the function, nil without one
	done   chan struct{}           // closed after value and err are set

	value T
	err   error
	log   logger // where to report err

	mu      sync.Mutex
	over    bool            // done is closed
	seen    bool            // somebody has got the error, or it was reported
	dropped bool            // nobody holds the Future any more
	waiters map[*int]func() // called once, when done; must not block
}

func newPromise[T any](made uintptr) *promise[T] {
	return &promise[T]{made: made, done: make(chan struct{})}
}

// start runs f in a goroutine. That one ends when f does, which is when done is
// closed.
func (p *promise[T]) start(ctx context.Context, f func(context.Context) (T, error)) {
	switch {
	case ctx == nil:
		p.finish(errNoContext)
		return
	case f == nil:
		p.finish(errNoFunction)
		return
	}
	ctx, p.cancel = context.WithCancelCause(ctx)
	go guard(func() (err error) {
		p.value, err = f(ctx)
		return err
	}, func(err error) {
		p.cancel(errReturned)
		if err != nil {
			p.log = loggerOf(ctx)
		}
		p.finish(err)
	})
}

func (p *promise[T]) finish(err error) {
	p.mu.Lock()
	p.err = err
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

func (p *promise[T]) report() { p.log.reportLost(p.err, p.made) }

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

// wait waits for the result. One that is there wins over a context that has ended.
func (p *promise[T]) wait(ctx context.Context) (T, error) {
	if p.isDone() {
		return p.result()
	}
	if ctx == nil {
		var zero T
		return zero, errNoContext
	}
	select {
	case <-p.done:
		return p.result()
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}

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
