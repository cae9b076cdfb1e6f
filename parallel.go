package cocaine

import (
	"context"
	"iter"
)

// MapParallel is Map with up to n calls of f at a time, one at least. The results
// come in the order of the items all the same: one that is early waits for those
// before it. At most n items are read ahead of the loop.
//
// When the loop is left, the context that f gets ends, and the loop waits until
// every call of f has returned and the loop over seq has been left. So a sequence
// that may wait for long should be made with a context, to be ended before the
// break. When ctx ends, its error is the last pair.
//
// The sequence is read by a goroutine of its own. A panic there, or in f, comes as
// a *PanicError.
func MapParallel[T, U any](
	ctx context.Context, n int, seq iter.Seq2[T, error], f func(ctx context.Context, v T) (U, error),
) iter.Seq2[U, error] {
	switch {
	case ctx == nil:
		return refuse[U](errNoContext)
	case seq == nil:
		return refuse[U](errNoSequence)
	case f == nil:
		return refuse[U](errNoFunction)
	}
	return func(yield func(U, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		w := &window[T, U]{
			free:    make(chan struct{}, max(n, 1)),
			results: make(chan *promise[U], max(n, 1)),
			reader:  newPromise[struct{}](0),
		}
		defer w.drain()
		defer cancel(errReturned)
		w.reader.start(ctx, func(context.Context) (struct{}, error) { // the calls outlive the reader
			return struct{}{}, w.read(ctx, seq, f)
		})
		w.write(ctx, yield)
	}
}

// A window is the part of a sequence that is being worked on: read puts an item in
// at one end, write takes it out at the other.
type window[T, U any] struct {
	free    chan struct{}    // holds a token for every item in the window
	results chan *promise[U] // in order; has room for all; closed by read
	reader  *promise[struct{}]
}

// read starts a call for each item, as soon as there is room for it.
func (w *window[T, U]) read(ctx context.Context, seq iter.Seq2[T, error], f func(context.Context, T) (U, error)) error {
	defer close(w.results)
	w.free <- struct{}{}
	for v, err := range seq {
		p := newPromise[U](0)
		if err != nil {
			p.finish(err)
		} else {
			p.start(ctx, func(ctx context.Context) (U, error) { return f(ctx, v) })
		}
		w.results <- p
		select { // ask for the next item only when there is room for it
		case w.free <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// write yields the results. It returns when the loop is left and at the end.
func (w *window[T, U]) write(ctx context.Context, yield func(U, error) bool) {
	for ctx.Err() == nil {
		select {
		case p, more := <-w.results:
			if !more {
				w.end(yield)
				return
			}
			select {
			case <-p.done:
			case <-ctx.Done():
				continue
			}
			<-w.free
			if !yield(p.result()) {
				return
			}
		case <-ctx.Done():
		}
	}
	var zero U
	yield(zero, context.Cause(ctx))
}

// end yields what ended the reader, unless that was the end of the sequence.
func (w *window[T, U]) end(yield func(U, error) bool) {
	if _, err := w.reader.wait(context.Background()); err != nil {
		var zero U
		yield(zero, err)
	}
}

// drain waits until everything has ended that read started, and read itself.
func (w *window[T, U]) drain() {
	for p := range w.results {
		<-p.done
	}
	<-w.reader.done
}
