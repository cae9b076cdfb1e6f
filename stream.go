package cocaine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Stream is one call: a channel whose two directions are independent. What
// either side may send, and when, the service's graph says.
//
// One goroutine at a time may receive, peeking included; any may send and close.
// Received messages wait in memory, up to some megabytes; then the connection is
// not read until they are taken, so a stream that is not wanted any more has to be
// closed. In the other direction Send waits while the connection takes nothing.
type Stream struct {
	st     rpc.Stream
	link   *link
	method *method
	name   string      // of the call in errors: the method, or the event of an app
	detach func() bool // lets go of the context of the call; nil if it cannot end

	counts  *connector   // counts the call when the stream is over; nil if that is for others to do
	seen    *observation // of the call; nil if nobody wants to hear of it
	counted atomic.Bool

	taken bool        // a message was received; belongs to the receiver
	ended atomic.Bool // the service's half is over, and that was seen

	mu    sync.Mutex
	given bool  // up
	cause error // why
}

// watch ties the stream to the context of its call.
func (s *Stream) watch(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	s.mu.Lock() // a context that has ended already calls abandon at once
	defer s.mu.Unlock()
	s.detach = context.AfterFunc(ctx, func() { s.finish(ctx) })
}

// Recv waits for the next message. After the last one it returns io.EOF, or the
// *Error that the service sent, and the same again whenever it is called. If ctx
// ends first, or has ended already, nothing is lost: a later Recv gets the message.
func (s *Stream) Recv(ctx context.Context) (Message, error) {
	if err := s.usable(ctx); err != nil {
		return Message{}, err
	}
	m, err := s.st.Recv(ctx)
	if err != nil {
		return Message{}, s.failure(ctx, err)
	}
	s.taken = true
	s.received(m.Args)
	if s.method.once() {
		s.end()
		_ = s.over(nil)
	}
	return s.message(m), nil
}

// Peek waits for the next message as Recv does, and leaves it to be received: it must
// not be changed.
func (s *Stream) Peek(ctx context.Context) (Message, error) {
	if err := s.usable(ctx); err != nil {
		return Message{}, err
	}
	m, err := s.st.Peek(ctx)
	if err != nil {
		return Message{}, s.failure(ctx, err)
	}
	return s.message(m), nil
}

// made reports whether the stream is that of a call.
func (s *Stream) made() bool { return s != nil && s.link != nil }

// usable looks at what every use of a stream starts with.
func (s *Stream) usable(ctx context.Context) error {
	switch {
	case !s.made():
		return errNotCalled
	case ctx == nil:
		return s.failed(errNoContext)
	case ctx.Err() != nil:
		return s.failed(ended(ctx))
	}
	return nil
}

// Buffered is the number of messages that Recv would give without waiting.
func (s *Stream) Buffered() int {
	if !s.made() {
		return 0
	}
	n, _ := s.st.Pending()
	return n
}

func (s *Stream) message(m rpc.Message) Message {
	name := ""
	if d := s.method.recv.Lookup(m.Type); d != nil {
		name = d.Name
	}
	return Message{Name: name, Args: m.Args, Headers: m.Headers}
}

// Decode waits for the next message and decodes its arguments into v, a non-nil
// pointer, as Message.Decode does. Into anything else it takes no message and is
// ErrBadArgument.
func (s *Stream) Decode(ctx context.Context, v any) error {
	if !decodable(v) && s.usable(ctx) == nil {
		return s.failed(errNoTarget)
	}
	m, err := s.Recv(ctx)
	if err != nil {
		return err
	}
	if err := m.decode(v); err != nil {
		return s.failed(err)
	}
	return nil
}

// All ranges over the messages until the end. An error is the last pair. Leaving
// the loop leaves the rest to be received, and the stream to be closed.
func (s *Stream) All(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := s.Recv(ctx)
			if err == io.EOF || !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// failure turns what ended a Recv into an error of this package.
func (s *Stream) failure(ctx context.Context, err error) error {
	switch {
	case err == io.EOF:
		s.end()
		_ = s.over(nil)
		return io.EOF
	case ctx.Err() != nil && err == context.Cause(ctx):
		return s.failed(ended(ctx))
	case isLost(err):
		return s.over(s.failed(s.lostCause()))
	}
	s.end()
	return s.over(s.failed(err))
}

// lostCause is why the stream ended on this side.
func (s *Stream) lostCause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given {
		return s.cause
	}
	return s.link.lost()
}

// end notes that the service has sent its last message.
func (s *Stream) end() {
	s.ended.Store(true)
	if s.detach != nil && !s.st.Sendable() {
		s.detach()
	}
}

func (s *Stream) failed(err error) error {
	return &CallError{Service: s.link.service, Method: s.name, Err: err}
}

// Send sends a chunk: the write message, with its arguments. It waits while the connection is full. A method that takes
// no chunks is ErrNoMessage; after CloseSend or Fail it is io.ErrClosedPipe.
func (s *Stream) Send(ctx context.Context, args ...any) error {
	switch {
	case !s.made():
		return errNotCalled
	case !s.method.hasWrite:
		return s.failed(ErrNoMessage)
	}
	return s.send(ctx, s.method.write, args)
}

// SendMessage sends the message that the graph gives that name. One that may not
// be sent, or not now, is ErrNoMessage.
func (s *Stream) SendMessage(ctx context.Context, name string, args ...any) error {
	if !s.made() {
		return errNotCalled
	}
	m := findMessage(s.method.send, name)
	if m == nil {
		return s.failed(fmt.Errorf("%w: %q", ErrNoMessage, name))
	}
	return s.send(ctx, m.ID, args)
}

// CloseSend says that no more chunks will be sent; receiving goes on. Further
// calls do nothing.
func (s *Stream) CloseSend(ctx context.Context) error {
	switch {
	case !s.made():
		return errNotCalled
	case !s.method.hasClose:
		return s.failed(ErrNoMessage)
	case !s.st.Sendable():
		return nil
	}
	return s.send(ctx, s.method.close, nil)
}

// Fail ends the caller's half of the stream with an error instead of CloseSend:
// the service, or the handler of a worker, learns that what it got is not all, and
// why. Receiving goes on. An *Error keeps its category and code; of another error
// the text arrives. After the end of this half it is io.ErrClosedPipe.
func (s *Stream) Fail(ctx context.Context, err error) error {
	switch {
	case !s.made():
		return errNotCalled
	case !s.method.hasError:
		return s.failed(ErrNoMessage)
	case err == nil:
		return s.failed(fmt.Errorf("%w: no error to send", ErrBadArgument))
	}
	return s.write(ctx, s.method.fail, rpc.AppendError(nil, rpc.AsError(err)))
}

func (s *Stream) send(ctx context.Context, id uint64, args []any) error {
	buf := codec.NewBuffer()
	defer buf.Free()
	var err error
	if buf.B, err = appendArgs(buf.B, args); err != nil {
		return s.failed(err)
	}
	return s.write(ctx, id, buf.B)
}

// write sends a message with encoded arguments.
func (s *Stream) write(ctx context.Context, id uint64, args []byte) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	err := s.st.Send(ctx, id, args)
	if err == nil {
		s.sent(args)
		return nil
	}
	s.mu.Lock()
	given, cause := s.given, s.cause
	s.mu.Unlock()
	switch {
	case given:
		err = cause
	case isLost(err):
		err = s.link.lost()
	case ctx.Err() != nil:
		err = ended(ctx)
	case !errors.Is(err, errNotNow):
	case s.st.Sendable():
		err = ErrNoMessage
	default:
		err = errHalfClosed
	}
	return s.failed(err)
}

// errNotNow is what a stream of package rpc says to a message that it may not send.
var errNotNow error = &Error{Category: idl.CategoryProtocol, Code: idl.ProtocolClosed}

// findMessage looks for a message by name in a state and those after it.
func findMessage(n *idl.Node, name string) *idl.Message {
	if n == nil {
		return nil
	}
	for i := range n.Messages {
		if n.Messages[i].Name == name {
			return &n.Messages[i]
		}
	}
	for i := range n.Messages {
		if m := findMessage(n.Messages[i].Next, name); m != nil {
			return m
		}
	}
	return nil
}

// Close gives the call up, unless it is over: the service is told, and whoever
// waits in Recv or Send gets ErrClosed. Further calls do nothing, and so does that of
// a nil Stream.
func (s *Stream) Close() error {
	if !s.made() {
		return nil
	}
	s.giveUp(ErrClosed, context.Canceled)
	return nil
}

// finish ends the call on this side, because of the end of its context if that has
// ended.
func (s *Stream) finish(ctx context.Context) {
	if ctx.Err() != nil {
		s.giveUp(ended(ctx), context.Cause(ctx))
		return
	}
	s.giveUp(ErrClosed, context.Canceled)
}

// abandon ends the call on this side for a reason. Without one it is Close.
func (s *Stream) abandon(cause error) {
	if cause == nil {
		s.giveUp(ErrClosed, context.Canceled)
		return
	}
	s.giveUp(cause, cause)
}

// giveUp ends the call on this side. The cause is for those who use the stream,
// tell for the service.
func (s *Stream) giveUp(cause, tell error) {
	s.mu.Lock()
	if s.given {
		s.mu.Unlock()
		return
	}
	s.given, s.cause = true, cause
	s.mu.Unlock()
	if s.detach != nil {
		s.detach()
	}
	s.hangUp(tell)
	s.givenUp(cause)
}

// hangUp tells the service, in the way its protocol has for it, and drops what it
// still sends. It does not wait. Errors are of no interest: they mean that the
// connection is lost, and with it the call.
func (s *Stream) hangUp(cause error) {
	sendable, ended := s.st.Sendable(), s.ended.Load()
	switch {
	case sendable && ended && s.method.hasClose:
		_ = s.st.Leave(s.method.close)
	case sendable && s.method.hasError:
		_ = s.st.Fail(cause)
	case sendable && s.method.hasLeave:
		_ = s.st.Leave(s.method.leave)
	default:
		_ = s.st.Close()
		if !ended {
			s.link.revoke(s.st.ID(), s.method, cause)
		}
	}
}
