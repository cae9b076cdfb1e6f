package cocaine

import (
	"context"
	"io"
	"iter"
	"sync"
)

// Pipe makes a stream in memory: what is sent at one end is received at the other,
// in order. At most limit items wait between them, one at least.
//
// Any number of goroutines may use either end.
func Pipe[T any](limit int) (*Sender[T], *Receiver[T]) {
	p := &pipe[T]{limit: max(limit, 1)}
	return &Sender[T]{p}, &Receiver[T]{p}
}

// A Sender is the end of a Pipe where items go in.
type Sender[T any] struct{ p *pipe[T] }

// A Receiver is the end of a Pipe where items come out.
type Receiver[T any] struct{ p *pipe[T] }

// Send sends a value. It waits while the pipe is full. After either end was closed
// it returns io.ErrClosedPipe. If ctx has ended, nothing is sent.
func (s *Sender[T]) Send(ctx context.Context, v T) error {
	return s.p.push(ctx, Result[T]{Value: v})
}

// Fail sends an error in place of a value, in the same way. It does not end the
// stream: values and further errors may follow. An io.EOF, which would look like
// the end, arrives as io.ErrUnexpectedEOF; a nil error panics.
func (s *Sender[T]) Fail(ctx context.Context, err error) error {
	switch err {
	case nil:
		panic("cocaine: Fail without an error")
	case io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return s.p.push(ctx, Result[T]{Err: err})
}

// Close ends the stream: who receives gets the items that are waiting and then
// io.EOF. Further calls do nothing.
func (s *Sender[T]) Close() error {
	p := s.p
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.signal()
	return nil
}

// Recv waits for the next item and takes it: a value, or an error that was sent
// with Fail. After the last it returns io.EOF, whenever it is called, and after
// Close io.ErrClosedPipe. If ctx has ended, nothing is taken.
func (r *Receiver[T]) Recv(ctx context.Context) (T, error) { return r.next(ctx, true) }

// Peek waits for the next item like Recv and leaves it there.
func (r *Receiver[T]) Peek(ctx context.Context) (T, error) { return r.next(ctx, false) }

// Buffered is the number of items that are waiting. The end is not an item.
func (r *Receiver[T]) Buffered() int {
	if r.p == nil {
		return 0
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return len(r.p.queue)
}

// All ranges over the items until the end. An item that is an error does not end
// the loop; the end of ctx does, with its error as the last pair. Leaving the loop
// leaves the rest to be received, and the receiver to be closed: until then a sender
// waits for room.
func (r *Receiver[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			item, err := r.p.pull(ctx, true)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(item.Value, err)
				return
			}
			if !yield(item.Get()) {
				return
			}
		}
	}
}

// Close gives the stream up. What is waiting is dropped, and who sends gets
// io.ErrClosedPipe. Further calls do nothing.
func (r *Receiver[T]) Close() error {
	p := r.p
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
	p.queue = nil
	p.signal()
	return nil
}

func (r *Receiver[T]) next(ctx context.Context, take bool) (T, error) {
	item, err := r.p.pull(ctx, take)
	if err != nil {
		return item.Value, err
	}
	return item.Get()
}

// pipe is what the two ends share.
type pipe[T any] struct {
	limit int

	mu      sync.Mutex
	queue   []Result[T]
	ended   bool          // the sender is closed
	left    bool          // the receiver is closed
	changed chan struct{} // closed by the next change; nil if nobody waits for it
}

// usable looks at what every use of a pipe starts with.
func (p *pipe[T]) usable(ctx context.Context) error {
	switch {
	case p == nil:
		return errNoPipe
	case ctx == nil:
		return errNoContext
	}
	return nil
}

func (p *pipe[T]) push(ctx context.Context, item Result[T]) error {
	if err := p.usable(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.await(ctx, func() bool { return p.ended || p.left || len(p.queue) < p.limit })
	switch {
	case err != nil:
		return err
	case p.ended || p.left:
		return io.ErrClosedPipe
	}
	p.queue = append(p.queue, item)
	p.signal()
	return nil
}

// pull gives the oldest item, or an error that is not an item.
func (p *pipe[T]) pull(ctx context.Context, take bool) (item Result[T], err error) {
	if err := p.usable(ctx); err != nil {
		return item, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err = p.await(ctx, func() bool { return p.ended || p.left || len(p.queue) > 0 })
	switch {
	case err != nil:
		return item, err
	case p.left:
		return item, io.ErrClosedPipe
	case len(p.queue) == 0:
		return item, io.EOF
	}
	item = p.queue[0]
	if take {
		p.queue[0] = Result[T]{} // the array must not keep it
		p.queue = p.queue[1:]
		p.signal()
	}
	return item, nil
}

// await waits until ready says so. It is called with mu held, and so is ready.
func (p *pipe[T]) await(ctx context.Context, ready func() bool) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if ready() {
			return nil
		}
		p.park(ctx)
	}
}

// park waits for a change or the end of ctx, and meanwhile lets mu go.
func (p *pipe[T]) park(ctx context.Context) {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// signal wakes all who wait. Called with mu held.
func (p *pipe[T]) signal() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}
