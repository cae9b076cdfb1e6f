package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// StreamBuffer is how many bytes a Stream holds for a goroutine that is slower
// than its peer, before it stops the reading of the connection.
const StreamBuffer = 8 << 20

// A Message is one frame received on a Stream. It belongs to the caller.
type Message struct {
	Type    uint64
	Args    []byte // a msgpack array
	Headers []hpack.Header
}

// An Outgoing is one frame to be sent on a Stream.
type Outgoing struct {
	Type uint64
	Args []byte // a msgpack array; nil for an empty one
}

// A Stream is one channel as a goroutine sees it that may block. The two halves
// are independent. Recv may be called by one goroutine at a time, Send by any
// number, Close by any.
type Stream struct {
	s    *Session
	id   uint64
	echo []byte // headers of every frame sent: the trace of the request

	wake chan struct{} // has a token when the queue or err changed

	mu     sync.Mutex
	queue  []Message
	bytes  int
	held   bool      // this stream has paused the session
	recv   *idl.Node // what the peer may send next; nil once its half is closed
	send   *idl.Node // what this side may send next; nil once closed
	err    error     // how the receiving half ended
	cancel context.CancelCauseFunc
}

// next is the state after a message, nil when the half is closed.
func next(n *idl.Node, m *idl.Message) *idl.Node {
	switch {
	case m.Next == nil:
		return n // recurrent
	case len(m.Next.Messages) == 0:
		return nil // terminal
	default:
		return m.Next
	}
}

// open is the first state of a half, nil when nothing may be sent on it.
func open(n *idl.Node) *idl.Node {
	if n == nil || len(n.Messages) == 0 {
		return nil
	}
	return n
}

// ID is the channel number on the wire.
func (st *Stream) ID() uint64 { return st.id }

// Receive queues one frame. It implements Receiver.
func (st *Stream) Receive(b *Batch, f *Frame) (done bool) {
	st.mu.Lock()
	if st.recv == nil {
		st.mu.Unlock()
		return true
	}
	m := st.recv.Lookup(f.Type)
	if m == nil {
		e := Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "message %d is not allowed on channel %d now", f.Type, st.id)
		st.end(e)
		st.mu.Unlock()
		if st.s.opts.Acceptor != nil {
			st.s.Violation(b, st.id, e)
		}
		return true
	}
	st.recv = next(st.recv, m)
	done = st.recv == nil
	switch {
	case done && m.Name == "error":
		st.end(remoteError(f.Args))
	case done && m.Name == "close":
		st.end(io.EOF)
	default:
		st.push(f)
		if done {
			st.end(io.EOF)
		}
	}
	st.mu.Unlock()
	return done
}

func remoteError(args []byte) error {
	e, err := DecodeError(args)
	if err != nil {
		return Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
	}
	return e
}

// push copies a frame to the queue. Called with mu held.
func (st *Stream) push(f *Frame) {
	m := Message{Type: f.Type, Args: append([]byte(nil), f.Args...)}
	if len(f.Headers) > 0 {
		m.Headers = append([]hpack.Header(nil), f.Headers...)
	}
	st.queue = append(st.queue, m)
	st.bytes += len(m.Args)
	if st.bytes > StreamBuffer && !st.held {
		st.held = true
		st.s.Pause()
	}
	st.notify()
}

// end closes the receiving half; the first cause wins. Called with mu held.
func (st *Stream) end(err error) {
	st.recv = nil
	if st.err == nil {
		st.err = err
	}
	st.notify()
}

func (st *Stream) notify() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// Lost ends the stream with the session. It implements Receiver.
func (st *Stream) Lost(_ *Batch, err error) {
	st.mu.Lock()
	st.end(err)
	cancel := st.cancel
	st.mu.Unlock()
	if cancel != nil {
		cancel(err)
	}
}

// Recv waits for the next message. After the peer's last one it returns io.EOF,
// or the *Error that the peer sent; after the end of the connection an error that
// wraps ErrDisconnected or ErrClosed. Errors are sticky, and come after
// everything that was received before them.
func (st *Stream) Recv(ctx context.Context) (Message, error) {
	for {
		st.mu.Lock()
		if len(st.queue) > 0 {
			m := st.pop()
			st.mu.Unlock()
			return m, nil
		}
		err := st.err
		st.mu.Unlock()
		if err != nil {
			return Message{}, err
		}
		select {
		case <-st.wake:
		case <-ctx.Done():
			return Message{}, context.Cause(ctx)
		}
	}
}

// pop takes the oldest message. Called with mu held.
func (st *Stream) pop() Message {
	m := st.queue[0]
	st.queue[0] = Message{}
	st.queue = st.queue[1:]
	if len(st.queue) == 0 {
		st.queue = nil
	}
	st.bytes -= len(m.Args)
	st.release(StreamBuffer / 2)
	return m
}

// release lets the session read again once no more than limit bytes are queued.
// Called with mu held.
func (st *Stream) release(limit int) {
	if st.held && st.bytes <= limit {
		st.held = false
		st.s.Resume()
	}
}

// Pending is the number of messages and bytes received and not yet taken.
func (st *Stream) Pending() (messages, bytes int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.queue), st.bytes
}

// Send sends a message, waiting while the connection's output is full. Sending
// what the protocol does not allow now, or after this half was closed, is
// answered with [13, 1] and sends nothing.
func (st *Stream) Send(ctx context.Context, typ uint64, args []byte) error {
	if err := st.s.AwaitRoom(ctx); err != nil {
		return err
	}
	return st.sendNow(nil, typ, args, st.echo)
}

// SendHeaders is Send with headers beside the trace.
func (st *Stream) SendHeaders(ctx context.Context, typ uint64, args []byte, hs []hpack.Header) error {
	if err := st.s.AwaitRoom(ctx); err != nil {
		return err
	}
	return st.sendNow(nil, typ, args, hpack.AppendLiterals(nil, hs))
}

func (st *Stream) sendNow(b *Batch, typ uint64, args, headers []byte) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.send == nil {
		return Errorf(idl.CategoryProtocol, idl.ProtocolClosed, "cannot send on channel %d: stream is closed", st.id)
	}
	m := st.send.Lookup(typ)
	if m == nil {
		return Errorf(idl.CategoryProtocol, idl.ProtocolClosed, "cannot send on channel %d: message %d is not allowed now", st.id, typ)
	}
	if len(args) > st.s.opts.Limits.MaxFrame {
		return fmt.Errorf("cannot send on channel %d: %w", st.id, wire.ErrTooLarge)
	}
	st.send = next(st.send, m)
	return st.s.Send(b, st.id, typ, args, headers)
}

// Sendable reports whether this side may still send.
func (st *Stream) Sendable() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.send != nil
}

// Close gives the stream up: what still comes is dropped, and if this side could
// still send and the protocol lets it, the peer is told with an error. Closing a
// stream that has ended does nothing.
func (st *Stream) Close() error { return st.Fail(context.Canceled) }

// Fail is Close with a cause that the peer is told.
func (st *Stream) Fail(cause error) error {
	st.mu.Lock()
	openRecv, sendable := st.recv != nil, st.send != nil
	st.end(ErrClosed)
	st.queue, st.bytes = nil, 0
	st.release(0)
	var typ uint64
	if sendable {
		if m := named(st.send, "error"); m != nil {
			typ = m.ID
		} else {
			sendable = false
		}
		st.send = nil
	}
	st.mu.Unlock()
	if openRecv {
		st.s.forget(st.id)
	}
	if sendable {
		e := AsError(cause)
		if errors.Is(cause, context.Canceled) {
			e = lostError(context.Canceled)
		}
		return st.s.Send(nil, st.id, typ, AppendError(nil, e), st.echo)
	}
	return nil
}

func named(n *idl.Node, name string) *idl.Message {
	for i := range n.Messages {
		if n.Messages[i].Name == name {
			return &n.Messages[i]
		}
	}
	return nil
}

// CallOptions describe a call made from this side.
type CallOptions struct {
	// Headers go with the first frame.
	Headers []hpack.Header
	// Send is what this side may send after the first frame, Recv what the peer
	// may answer; both come from the method's graph. A nil Send means nothing, a
	// nil Recv a primitive answer (0 value, 1 error).
	Send, Recv *idl.Node
	// Then are further frames that leave together with the first.
	Then []Outgoing
}

// primitive is the answer of a method that answers once.
var primitive = &idl.Node{Messages: []idl.Message{
	{ID: idl.Value, Name: "value", Next: idl.Terminal},
	{ID: idl.Error, Name: "error", Next: idl.Terminal},
}}

// Call opens a channel with its first frame and returns it as a Stream. It waits
// while the output is full. When it returns an error that wraps ErrClosed or
// ErrDisconnected, or that of ctx, nothing was sent.
func (s *Session) Call(ctx context.Context, typ uint64, args []byte, o CallOptions) (*Stream, error) {
	if err := s.AwaitRoom(ctx); err != nil {
		return nil, err
	}
	if o.Recv == nil {
		o.Recv = primitive
	}
	st := &Stream{s: s, wake: make(chan struct{}, 1), recv: open(o.Recv), send: open(o.Send)}
	var headers []byte
	if len(o.Headers) > 0 {
		headers = hpack.AppendLiterals(nil, o.Headers)
	}
	var r Receiver = st
	if st.recv == nil {
		r, st.err = nil, io.EOF // a mute method
	}
	for _, out := range append([]Outgoing{{Args: args}}, o.Then...) {
		if len(out.Args) > s.opts.Limits.MaxFrame {
			return nil, fmt.Errorf("cannot call: %w", wire.ErrTooLarge)
		}
	}
	// The stream's lock keeps an answer, which may come before Open returns, from
	// being seen before the id is known.
	st.mu.Lock()
	var b Batch
	id, err := s.Open(&b, r, typ, args, headers)
	st.id = id
	st.mu.Unlock()
	for i := 0; err == nil && i < len(o.Then); i++ {
		err = st.sendNow(&b, o.Then[i].Type, o.Then[i].Args, nil)
	}
	for _, t := range b.touched {
		t.flush()
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}
