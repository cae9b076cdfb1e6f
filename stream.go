package cocaine

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Stream is one call: a channel whose two directions are independent. What
// either side may send, and when, the service's graph says.
//
// One goroutine at a time may receive; any may send and close. Received messages
// wait in memory, up to some megabytes; then the connection is not read until
// they are taken, so a stream that is not wanted any more has to be closed.
type Stream struct {
	st      *rpc.Stream
	link    *link
	method  *method
	service string
	detach  func() bool // lets go of the context of the call; nil if it cannot end

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
	s.detach = context.AfterFunc(ctx, func() { s.abandon(context.Cause(ctx)) })
}

// Recv waits for the next message. After the last one it returns io.EOF, or the
// *Error that the service sent, and the same again whenever it is called. If ctx
// ends first, nothing is lost: a later Recv gets the message.
func (s *Stream) Recv(ctx context.Context) (Message, error) {
	m, err := s.st.Recv(ctx)
	if err != nil {
		return Message{}, s.failure(ctx, err)
	}
	if s.method.once() {
		s.end()
	}
	name := ""
	if d := s.method.recv.Lookup(m.Type); d != nil {
		name = d.Name
	}
	return Message{Name: name, Args: m.Args, Headers: m.Headers}, nil
}

// Decode waits for the next message and decodes its arguments into v, a non-nil
// pointer, as Message.Decode does.
func (s *Stream) Decode(ctx context.Context, v any) error {
	m, err := s.Recv(ctx)
	if err != nil {
		return err
	}
	if err := m.Decode(v); err != nil {
		return s.failed(err)
	}
	return nil
}

// Messages ranges over the messages until the end. An error is the last pair.
// Leaving the loop does not close the stream.
func (s *Stream) Messages(ctx context.Context) iter.Seq2[Message, error] {
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
	case ctx.Err() != nil && err == context.Cause(ctx):
		return s.failed(err)
	case err == io.EOF:
		s.end()
		return io.EOF
	case isLost(err):
		return s.failed(s.lostCause())
	}
	s.end()
	return s.failed(err)
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
	return &callError{service: s.service, method: s.method.name, err: err}
}

// Send sends a chunk: the write message, with its arguments. For an app that is
// one []byte or string. It waits while the connection is full.
func (s *Stream) Send(ctx context.Context, args ...any) error {
	if !s.method.hasWrite {
		return s.failed(errNoChunks)
	}
	return s.send(ctx, s.method.write, args)
}

// SendMessage sends the message that the graph gives that name.
func (s *Stream) SendMessage(ctx context.Context, name string, args ...any) error {
	m := findMessage(s.method.send, name)
	if m == nil {
		return s.failed(fmt.Errorf("the caller may not send %q", name))
	}
	return s.send(ctx, m.ID, args)
}

// CloseSend says that no more chunks will be sent; receiving goes on. Further
// calls do nothing.
func (s *Stream) CloseSend(ctx context.Context) error {
	if !s.method.hasClose {
		return s.failed(errNoChunks)
	}
	if !s.st.Sendable() {
		return nil
	}
	return s.send(ctx, s.method.close, nil)
}

func (s *Stream) send(ctx context.Context, id uint64, args []any) error {
	buf := codec.NewBuffer()
	defer buf.Free()
	var err error
	if buf.B, err = codec.AppendArgs(buf.B, args...); err != nil {
		return s.failed(err)
	}
	err = s.st.Send(ctx, id, buf.B)
	switch {
	case err == nil:
		return nil
	case isLost(err):
		return s.failed(s.lostCause())
	}
	s.mu.Lock()
	given, cause := s.given, s.cause
	s.mu.Unlock()
	if given {
		err = cause
	}
	return s.failed(err)
}

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
// waits in Recv or Send gets ErrClosed. Further calls do nothing.
func (s *Stream) Close() error {
	s.abandon(nil)
	return nil
}

// abandon ends the call on this side. Without a cause it is Close.
func (s *Stream) abandon(cause error) {
	s.mu.Lock()
	if s.given {
		s.mu.Unlock()
		return
	}
	s.given, s.cause = true, cause
	if cause == nil {
		s.cause, cause = ErrClosed, context.Canceled
	}
	s.mu.Unlock()
	if s.detach != nil {
		s.detach()
	}
	s.hangUp(cause)
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
			s.revoke()
		}
	}
}

// revoke asks the service to drop the channel, if it says that it knows how
// (docs/PROTOCOL.md, Control messages).
func (s *Stream) revoke() {
	m := s.link.methods["revoke"]
	if m == nil || m.id != idl.Revoke || s.method.recv.IsTerminal() {
		return
	}
	e := rpc.LostError(context.Canceled)
	args := msgpack.AppendUint(msgpack.AppendArray(nil, 2), s.st.ID())
	args = msgpack.AppendInt(msgpack.AppendArray(args, 2), int64(e.Category))
	args = msgpack.AppendInt(args, int64(e.Code))
	_, _ = s.link.session.Open(nil, rpc.Discard(m.recv), m.id, args, nil)
}
