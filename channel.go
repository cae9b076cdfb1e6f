package cocaine

import (
	"context"
	"iter"
)

// Chan ranges over a sequence in a goroutine and sends its items to the channel
// that it returns. The goroutine closes the channel when it ends: after the last
// item, or when ctx has ended. Whoever reads has to read on until then, or to end
// ctx. A panic of the sequence is the last item, a *PanicError.
//
// The end of ctx may cut the items short without a word in the channel: ask
// ctx.Err.
func Chan[T any](ctx context.Context, seq iter.Seq2[T, error]) <-chan Result[T] {
	if ctx == nil {
		c := make(chan Result[T], 1)
		c <- Result[T]{Err: errNoContext}
		close(c)
		return c
	}
	if seq == nil {
		seq = refuse[T](errNoSequence)
	}
	c := make(chan Result[T])
	send := func(r Result[T]) bool {
		select {
		case c <- r:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go guard(func() error {
		for v, err := range seq {
			if !send(Result[T]{v, err}) {
				break
			}
		}
		return nil
	}, func(err error) {
		if err != nil {
			send(Result[T]{Err: err})
		}
		close(c)
	})
	return c
}

// FromChan is the sequence of what comes from a channel until that is closed. When
// ctx ends, its error is the last pair. Leaving the loop leaves the rest in the
// channel.
//
// A channel of Results becomes a sequence of their values and errors with
// Map(FromChan(ctx, c), Result[T].Get).
func FromChan[T any](ctx context.Context, c <-chan T) iter.Seq2[T, error] {
	if ctx == nil {
		return refuse[T](errNoContext)
	}
	return func(yield func(T, error) bool) {
		var zero T
		for ctx.Err() == nil {
			select {
			case v, ok := <-c:
				if !ok || !yield(v, nil) {
					return
				}
			case <-ctx.Done():
			}
		}
		yield(zero, context.Cause(ctx))
	}
}
