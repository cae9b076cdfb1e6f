package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

const (
	// StreamBuffer is how many bytes of memory a Stream holds for a goroutine that
	// is slower than its peer, before it stops the reading of the connection.
	StreamBuffer = 8 << 20
	// messageOverhead and headerOverhead are what a queued message and each of its
	// headers take beside their contents. Without them a peer could fill the memory
	// with messages that have none.
	messageOverhead = 96
	headerOverhead  = 32
)

// A Message is one frame received on a Stream. It belongs to the caller.
type Message struct {
	Type    uint64
	Args    []byte // a msgpack array
	Headers []hpack.Header
}

// size is the memory a queued message takes.
func (m *Message) size() int {
	n := messageOverhead + len(m.Args)
	for i := range m.Headers {
		n += headerOverhead + len(m.Headers[i].Name) + len(m.Headers[i].Value)
	}
	return n
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
	s      *Session
	id     uint64
	trace  Trace                   // of the request, echoed in every frame of a served stream
	echo   []byte                  // the same, encoded
	cancel context.CancelCauseFunc // ends the context of the method that serves the stream; nil for a caller's

	finished bool // the method has returned; owned by its goroutine
	gathers  bool // see Gather; set before anything is sent

	wake chan struct{} // has a token when the queue or err changed

	mu      sync.Mutex
	queue   []Message
	one     [1]Message     // where the queue begins: most streams never hold more
	bytes   int            // the memory of the queue
	held    bool           // this stream has paused the session
	recv    *idl.Node      // what the peer may send next; nil once its half is closed
	send    *idl.Node      // what this side may send next; nil once closed
	err     error          // how the receiving half ended
	trailer []hpack.Header // of the peer's last message
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

// Gather is for methods that many streams of one connection wait in for the same thing:
// what they then send at once leaves in one system call, where each would make its own.
// It is called before anything is sent.
func (st *Stream) Gather() { st.gathers = true }

// Ended reports whether the receiving half is closed: the peer has sent its last
// message, whether that has been received from the Stream or not, or is gone.
func (st *Stream) Ended() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.recv == nil
}

// ID is the channel number on the wire.
func (st *Stream) ID() uint64 { return st.id }

// Receive queues one frame. It implements Receiver.
func (st *Stream) Receive(b *Batch, f *Frame) (done bool) {
	st.mu.Lock()
	if st.recv == nil {
		st.mu.Unlock()
		st.s.opts.Stats.LateFrames.Add(1)
		return true
	}
	m := st.recv.Lookup(f.Type)
	if m == nil {
		st.mu.Unlock()
		st.violated(b, f.Type)
		return true
	}
	st.recv = next(st.recv, m)
	done = st.recv == nil
	if done && len(f.Headers) > 0 {
		st.trailer = append([]hpack.Header(nil), f.Headers...)
	}
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

// violated ends both halves of the channel of a peer that sent what it may not.
func (st *Stream) violated(b *Batch, typ uint64) {
	e := Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "message %d is not allowed on channel %d now", typ, st.id)
	st.mu.Lock()
	st.end(e)
	errorID, tell := st.shut()
	st.mu.Unlock()
	st.s.noteViolation(st.id, e)
	if tell {
		_ = st.s.Send(b, st.id, errorID, AppendError(nil, e), st.echo) // the session may be over: then nobody is left to tell
	}
	if st.cancel != nil {
		st.cancel(e)
	}
}

// shut closes the sending half. It returns the error message by which the peer
// can be told, if it can. Called with mu held.
func (st *Stream) shut() (errorID uint64, tell bool) {
	n := st.send
	st.send = nil
	if n == nil {
		return 0, false
	}
	m := named(n, "error")
	if m == nil {
		return 0, false
	}
	return m.ID, true
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
	if st.queue == nil {
		st.queue = st.one[:0]
	}
	st.queue = append(st.queue, m)
	if len(st.queue) == 2 {
		st.one[0] = Message{} // it lives elsewhere now
	}
	st.bytes += m.size()
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
	st.mu.Unlock()
	if st.cancel != nil {
		st.cancel(err)
	}
}

// Recv waits for the next message. After the peer's last one it returns io.EOF,
// or the *Error that the peer sent; after the end of the connection an error that
// wraps ErrDisconnected or ErrClosed. Errors are sticky, and come after
// everything that was received before them.
func (st *Stream) Recv(ctx context.Context) (Message, error) { return st.await(ctx, (*Stream).pop) }

// Peek is Recv that leaves the message where it is. The message belongs to whoever
// receives it.
func (st *Stream) Peek(ctx context.Context) (Message, error) { return st.await(ctx, (*Stream).head) }

// await waits for a message and takes it, or looks at it.
func (st *Stream) await(ctx context.Context, take func(*Stream) Message) (Message, error) {
	for {
		st.mu.Lock()
		if len(st.queue) > 0 {
			m := take(st)
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

// head gives the oldest message. Called with mu held.
func (st *Stream) head() Message { return st.queue[0] }

// pop takes the oldest message. Called with mu held.
func (st *Stream) pop() Message {
	m := st.queue[0]
	st.queue[0] = Message{}
	st.queue = st.queue[1:]
	if len(st.queue) == 0 {
		st.queue = nil
	}
	st.bytes -= m.size()
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

// Pending is the number of messages received and not yet taken, and the memory
// they take.
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

// SendHeaders is Send with headers beside the trace. On a served stream the trace
// is the request's, whatever trace headers hs has.
func (st *Stream) SendHeaders(ctx context.Context, typ uint64, args []byte, hs []hpack.Header) error {
	if err := st.s.AwaitRoom(ctx); err != nil {
		return err
	}
	if st.cancel != nil {
		hs = append(st.trace.Headers(), withoutTrace(hs)...)
	}
	return st.sendNow(nil, typ, args, hpack.AppendLiterals(nil, hs))
}

func withoutTrace(hs []hpack.Header) []hpack.Header {
	return slices.DeleteFunc(slices.Clone(hs), func(h hpack.Header) bool { return IsTraceHeader(h.Name) })
}

// sendNow sends without waiting for room.
func (st *Stream) sendNow(b *Batch, typ uint64, args, headers []byte) error {
	err := st.enqueue(b, typ, args, headers)
	if b == nil && err == nil { // not under the lock: the reader wants it for every frame
		if st.cancel == nil || st.gathers {
			st.s.flushTogether()
		} else {
			st.s.flush()
		}
	}
	return err
}

func (st *Stream) enqueue(b *Batch, typ uint64, args, headers []byte) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	n, err := st.advance(st.send, typ, args)
	if err != nil {
		return err
	}
	st.send = n
	return st.s.enqueue(b, st.id, typ, args, headers)
}

// advance returns the state of the sending half after a message.
func (st *Stream) advance(n *idl.Node, typ uint64, args []byte) (*idl.Node, error) {
	if n == nil {
		return nil, Errorf(idl.CategoryProtocol, idl.ProtocolClosed, "cannot send on channel %d: stream is closed", st.id)
	}
	m := n.Lookup(typ)
	if m == nil {
		return nil, Errorf(idl.CategoryProtocol, idl.ProtocolClosed, "cannot send on channel %d: message %d is not allowed now", st.id, typ)
	}
	if len(args) > st.s.opts.Limits.MaxFrame {
		return nil, fmt.Errorf("cannot send on channel %d: %w", st.id, wire.ErrTooLarge)
	}
	return next(n, m), nil
}

// Trailer gives the headers of the peer's last message, nil before it has come.
func (st *Stream) Trailer() []hpack.Header {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.trailer
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
	wasOpen := st.recv != nil
	st.discard(ErrClosed)
	errorID, tell := st.shut()
	st.mu.Unlock()
	if wasOpen && st.cancel == nil { // a served channel stays known until its method has ended
		st.s.forget(st.id)
	}
	if !tell {
		return nil
	}
	e := AsError(cause)
	if errors.Is(cause, context.Canceled) {
		e = lostError(context.Canceled)
	}
	return st.s.Send(nil, st.id, errorID, AppendError(nil, e), st.echo)
}

// Mute closes the sending half without a message, for protocols in which the peer's
// last word is not answered.
func (st *Stream) Mute() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.send = nil
}

// discard closes the receiving half and drops what was received. Called with mu
// held.
func (st *Stream) discard(err error) {
	st.end(err)
	st.queue, st.bytes = nil, 0
	st.one[0] = Message{}
	st.release(0)
}

// named finds a message by name, nil if there is none.
func named(n *idl.Node, name string) *idl.Message {
	if n == nil {
		return nil
	}
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
	st := new(Stream)
	if err := s.CallOn(ctx, st, typ, args, o.Then, o); err != nil {
		return nil, err
	}
	return st, nil
}

// CallOn is Call with a zero Stream of the caller's, which has room for it in
// something larger. It takes then in place of o.Then: so it need not be on the heap.
func (s *Session) CallOn(ctx context.Context, st *Stream, typ uint64, args []byte, then []Outgoing, o CallOptions) error {
	if err := s.AwaitRoom(ctx); err != nil {
		return err
	}
	if o.Recv == nil {
		o.Recv = primitive
	}
	st.s, st.wake, st.recv = s, make(chan struct{}, 1), open(o.Recv)
	var err error
	if st.send, err = st.check(open(o.Send), args, then); err != nil {
		return err
	}
	var headers []byte
	if len(o.Headers) > 0 {
		headers = hpack.AppendLiterals(nil, o.Headers)
	}
	var r Receiver = st
	switch {
	case st.recv == nil:
		r, st.err = nil, io.EOF // a mute method
	case endsWithClose(st.recv):
		r = chunks{st}
	}
	// The stream's lock keeps an answer, which may come before the id is known,
	// from being seen.
	st.mu.Lock()
	st.id, err = s.enqueueCall(r, typ, args, headers, then)
	st.mu.Unlock()
	if err != nil {
		return err
	}
	s.flushTogether()
	return nil
}

// check looks for mistakes in a call before anything is sent, and gives the state of
// the sending half after it.
func (st *Stream) check(n *idl.Node, args []byte, then []Outgoing) (_ *idl.Node, err error) {
	if len(args) > st.s.opts.Limits.MaxFrame {
		return nil, fmt.Errorf("cannot call: %w", wire.ErrTooLarge)
	}
	for _, out := range then {
		if n, err = st.advance(n, out.Type, out.Args); err != nil {
			return nil, fmt.Errorf("cannot call: %w", err)
		}
	}
	return n, nil
}
