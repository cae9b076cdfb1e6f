package cocaine

import (
	"context"
	"iter"
	"runtime"
)

// A Result is a value or an error: what a Future came to, or an item of a
// sequence.
type Result[T any] struct {
	Value T     // the zero value if Err is not nil, as a rule
	Err   error // nil for a value
}

// Get returns the two as a call would.
func (r Result[T]) Get() (T, error) { return r.Value, r.Err }

// AsCompleted ranges over futures in the order in which they finish, each with its
// position among the arguments. Each is given exactly once: when ctx ends, those
// that have not finished come with its error.
//
//	for i, r := range cocaine.AsCompleted(ctx, futures...) {
//		fmt.Println(urls[i], r.Value, r.Err)
//	}
func AsCompleted[T any](ctx context.Context, futures ...*Future[T]) iter.Seq2[int, Result[T]] {
	return func(yield func(int, Result[T]) bool) {
		if ctx == nil {
			for i := range futures {
				if !yield(i, Result[T]{Err: errNoContext}) {
					return
				}
			}
			return
		}
		defer runtime.KeepAlive(futures)
		finished := make(chan int, len(futures)) // room for all: whoever finishes never waits
		pending := make(map[int]bool, len(futures))
		for i, f := range futures {
			pending[i] = true
			if !f.made() {
				finished <- i
				continue
			}
			forget := f.p.notify(func() { finished <- i })
			defer forget()
		}
		for len(pending) > 0 {
			select {
			case i := <-finished:
				delete(pending, i)
				v, err := futures[i].Wait(ctx) // it is done
				if !yield(i, Result[T]{v, err}) {
					return
				}
			case <-ctx.Done():
				giveUp(ctx, futures, pending, yield)
				return
			}
		}
	}
}

// giveUp yields what is left when the context has ended.
func giveUp[T any](ctx context.Context, futures []*Future[T], pending map[int]bool, yield func(int, Result[T]) bool) {
	for i, f := range futures {
		if !pending[i] {
			continue
		}
		r := Result[T]{Err: context.Cause(ctx)}
		if !f.made() || f.p.isDone() {
			r.Value, r.Err = f.Wait(ctx)
		}
		if !yield(i, r) {
			return
		}
	}
}
