package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

const (
	// inputBuffer is how many bytes wait for a handler that is slower than its
	// caller before the connection is not read any more.
	inputBuffer = 4 << 20
	// chunkOverhead is what a waiting chunk takes beside its bytes.
	chunkOverhead = 64
	// patience is how long a handler may keep the connection from being read. All
	// requests and the answers to heartbeats wait for it, and the runtime cuts off
	// a worker that does not read.
	patience = 10 * time.Second
)

var errNotReading = errors.New("handler does not read its input")

// A conversation is the channel behind a Stream. Its two halves are guarded by
// locks of their own, so that a send that waits holds up no receive.
type conversation struct {
	request
	stream Stream // what the handler sees

	wake chan struct{} // has a token when what follows changed

	in      sync.Mutex // guards the caller's half
	waiting [][]byte
	bytes   int
	held    *time.Timer // runs while this stream keeps the connection from being read
	err     error       // how the caller's half ended
	over    bool        // the handler has returned: what comes is dropped

	out     sync.Mutex // guards the handler's half, and keeps its chunks in order
	closed  bool
	expired bool          // the limit of the handler's time closed it
	value   []byte        // the answer of a handler of one value, not sent yet; in buf
	buf     *codec.Buffer // nil without a value

	patient bool // the handler starts with the first frame behind invoke; the reader's
}

var _ rpc.Receiver = (*conversation)(nil)

// recv waits for the next chunk, and takes it or leaves it.
func (s *conversation) recv(ctx context.Context, take bool) (chunk []byte, err error) {
	for {
		s.in.Lock()
		if len(s.waiting) > 0 {
			if chunk = s.waiting[0]; take {
				s.pop()
			}
			s.in.Unlock()
			return chunk, nil
		}
		err = s.err
		s.in.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// buffered is the number of chunks that wait.
func (s *conversation) buffered() int {
	s.in.Lock()
	defer s.in.Unlock()
	return len(s.waiting)
}

func (s *conversation) send(ctx context.Context, format codec.Format, v any) error {
	buf := codec.NewBuffer()
	defer buf.Free()
	args, grown, err := format.EncodeChunk(buf.B, v)
	buf.B = grown
	if err != nil {
		return err
	}
	return s.sendArgs(ctx, args)
}

// sendArgs sends the arguments of a chunk.
func (s *conversation) sendArgs(ctx context.Context, args []byte) error {
	switch {
	case len(args) > s.run.opts.MaxChunk:
		return tooLarge(len(args), s.run.opts.MaxChunk)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s.run.session.AwaitRoom(ctx) != nil:
		return context.Cause(ctx)
	}
	s.out.Lock()
	defer s.out.Unlock()
	if s.closed {
		return errClosed()
	}
	s.sendValue()
	if s.run.session.SendAll(s.channel, rpc.Outgoing{Type: idl.Write, Args: args}) != nil {
		return fmt.Errorf("cannot send chunk: %w", cocaine.ErrDisconnected)
	}
	return nil
}

func errClosed() error { return fmt.Errorf("cannot send chunk: %w", io.ErrClosedPipe) }

// hold keeps the arguments of a chunk until the middleware around the handler has
// returned, so that it leaves with the end of the stream or, should the middleware
// make an error of it, not at all.
func (s *conversation) hold(args []byte, buf *codec.Buffer) error {
	s.out.Lock()
	defer s.out.Unlock()
	switch {
	case len(args) > s.run.opts.MaxChunk:
		buf.Free()
		return tooLarge(len(args), s.run.opts.MaxChunk)
	case s.closed:
		buf.Free()
		return errClosed()
	}
	s.sendValue() // middleware called its handler twice
	s.value, s.buf = args, buf
	return nil
}

func (s *conversation) holds() bool {
	s.out.Lock()
	defer s.out.Unlock()
	return s.buf != nil
}

// sendValue queues the value that is held. Called with out held.
func (s *conversation) sendValue() {
	if s.buf != nil {
		s.queue(rpc.Outgoing{Type: idl.Write, Args: s.value})
		s.dropValue()
	}
}

// dropValue forgets the value that is held. Called with out held.
func (s *conversation) dropValue() {
	if s.buf != nil {
		s.buf.Free()
		s.value, s.buf = nil, nil
	}
}

// endSend ends the handler's half. The first end is the one that counts.
func (s *conversation) endSend(err error) error {
	s.out.Lock()
	defer s.out.Unlock()
	if s.closed {
		return nil
	}
	s.finish(err)
	s.run.session.Flush()
	if s.run.session.Err() != nil {
		return fmt.Errorf("cannot close stream: %w", cocaine.ErrDisconnected)
	}
	return nil
}

// finish queues the end of the handler's half, and before it the value that is
// held; an error takes its place. Called with out held.
func (s *conversation) finish(err error) {
	if err == nil {
		s.sendValue()
	}
	s.dropValue()
	s.closed = true
	s.queue(last(err))
}

// isClosed reports whether the handler's half is over.
func (s *conversation) isClosed() bool {
	s.out.Lock()
	defer s.out.Unlock()
	return s.closed
}

// expire ends a stream whose handler has used up its time.
func (s *conversation) expire(err error) {
	s.out.Lock()
	s.expired = !s.closed
	s.out.Unlock()
	_ = s.endSend(err) // a lost session has no caller
}

// serve runs the handler and sees that the caller gets an end, on a goroutine of
// the crew. Its frame tells the stack of a stuck handler from others, so it must
// not be inlined.
//
//go:noinline
func (s *conversation) serve() {
	defer s.run.gate.leave()
	if err := s.acquire(); err != nil {
		s.conclude(err)
		return
	}
	defer s.release()
	if s.binding.timeout > 0 {
		defer s.limit(s.expire)()
	}
	err := errGoexit
	defer func() {
		s.conclude(err)
		s.end(context.Canceled)
	}()
	err = s.guard(func() error { return s.binding.stream.Serve(&s.request, &s.stream) })
}

// conclude ends both halves on this side. What the caller still sends is dropped
// until it has ended its own: only then is the channel free.
func (s *conversation) conclude(err error) {
	s.in.Lock()
	s.over = true
	s.drop()
	s.in.Unlock()
	if s.holds() {
		_ = s.run.session.AwaitRoom(s.run.base) // when the worker must stop, the answer goes out all the same
	}
	s.out.Lock()
	defer s.out.Unlock()
	if !s.closed {
		if late := s.late(); late != nil {
			err = late
		}
		s.finish(err)
		return
	}
	if err != nil && !s.expired {
		s.run.log.Warn("handler failed after it had closed the stream", "event", s.event, "cause", err)
	}
}

// Receive takes a frame of the caller's half. It implements rpc.Receiver.
func (s *conversation) Receive(b *rpc.Batch, f *rpc.Frame) (done bool) {
	done = s.receive(f)
	if s.patient {
		s.patient = false
		s.run.intake.add(b, s)
	}
	return done
}

func (s *conversation) receive(f *rpc.Frame) (done bool) {
	switch f.Type {
	case idl.Write:
		s.push(f)
		return false
	case idl.StreamError:
		err := callerError(f.Args)
		s.end(err) // first, so that a handler that learns of the error finds its context ended
		s.finishInput(err)
		return true
	case idl.Close:
		s.finishInput(io.EOF)
		return true
	}
	s.run.log.Debug("unknown message dropped", "event", s.event, "message", f.Type)
	return false
}

// Lost ends a stream whose connection is over, or that was revoked. It implements
// rpc.Receiver.
func (s *conversation) Lost(b *rpc.Batch, err error) {
	if cause, ok := err.(*rpc.Error); ok {
		s.revoke(cause)
		s.finishInput(gaveUp(cause))
		if s.patient {
			s.patient = false
			s.run.intake.add(b, s)
		}
		return
	}
	cause := gone(err)
	s.end(cause)
	s.finishInput(cause)
	if s.patient {
		s.patient = false
		s.run.gate.leave()
	}
}

func (s *conversation) push(f *rpc.Frame) {
	chunk, err := codec.Chunk(f.Args)
	if err != nil {
		s.finishInput(badChunk(err))
		return
	}
	s.in.Lock()
	defer s.in.Unlock()
	if s.over || s.err != nil {
		return
	}
	s.waiting = append(s.waiting, append([]byte(nil), chunk...))
	s.bytes += len(chunk) + chunkOverhead
	if s.bytes > inputBuffer && s.held == nil {
		s.run.session.Pause()
		s.held = time.AfterFunc(patience, s.overflow)
	}
	s.notify()
}

// overflow fails a stream that has kept the connection from being read for too
// long.
func (s *conversation) overflow() {
	s.in.Lock()
	if s.held == nil { // read at the last moment
		s.in.Unlock()
		return
	}
	s.drop()
	if s.err == nil {
		s.err = errNotReading
	}
	s.notify()
	s.in.Unlock()
	s.run.log.Warn("input dropped: handler does not read it", "event", s.event, "after", patience)
	s.end(errNotReading)
}

// finishInput ends the caller's half; the first cause wins.
func (s *conversation) finishInput(err error) {
	s.in.Lock()
	defer s.in.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.notify()
}

// pop takes the oldest chunk away. Called with in held.
func (s *conversation) pop() {
	chunk := s.waiting[0]
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
	if len(s.waiting) == 0 {
		s.waiting = nil
	}
	s.bytes -= len(chunk) + chunkOverhead
	if s.bytes <= inputBuffer/2 {
		s.letRead()
	}
}

// drop forgets what waits. Called with in held.
func (s *conversation) drop() {
	s.waiting, s.bytes = nil, 0
	s.letRead()
}

// letRead takes back the pause. Called with in held.
func (s *conversation) letRead() {
	if s.held != nil {
		s.held.Stop()
		s.held = nil
		s.run.session.Resume()
	}
}

func (s *conversation) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
