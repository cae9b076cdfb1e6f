package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A Want is what the sender of a Request waits for.
type Want uint8

const (
	// WantFirst is the first message of the answer, whatever follows.
	WantFirst Want = iota
	// WantOnly is one message and the end.
	WantOnly
	// WantEnd is the end. Messages before it are dropped.
	WantEnd
)

// ErrMore is an answer of more than one message to a Request that wants only one.
var ErrMore = errors.New("answer has more than one message")

// A Request is a call whose sender says everything at once and waits for one
// answer: what nearly every call is. It does less than a Stream, and can be used
// again after an answer that has ended (Over), so that a steady load allocates
// nothing for it. The zero Request is ready.
//
// Ask sends it, one goroutine Awaits it. Until there is something to wake that
// goroutine for, the fields below belong to the reader of the session; then those
// of the answer belong to the goroutine.
type Request struct {
	s     *Session
	id    uint64
	state atomic.Uint32 // pending, awaited or answered
	wake  chan struct{} // gets a token when the answer of an awaited Request is there; made once

	// The reader's, always.
	recv    *idl.Node // what the peer may send next
	want    Want
	settled bool

	// The answer.
	args    []byte // of its first message; the memory is used again
	count   int    // messages
	over    bool   // it has ended: the reader does not know the Request any more
	err     error
	trailer []hpack.Header

	got bool // Await has returned it; the goroutine's, always
}

// States of a Request.
const (
	pending  uint32 = iota
	awaited         // a goroutine waits for the token
	answered        // the answer is there
)

// A Question is what a Request sends.
type Question struct {
	Type          uint64 // of the method
	Args, Headers []byte // of the first frame
	// Chunk are the arguments of a write that leaves together with the first frame, nil for none.
	Chunk []byte
	// Close ends the stream of chunks. The sending half must be one of chunks (IsChunks).
	Close bool
	Recv  *idl.Node // what the peer may answer
	Want  Want
	// Later leaves the request in the output until somebody flushes it (Session.Flush),
	// or until there is enough to be worth a system call.
	Later bool
}

// enough is how many bytes of requests that may leave later are worth a system call.
const enough = 16 << 10

// IsChunks reports whether the messages of a state are those of a stream of chunks:
// write, any number of times, and close.
func IsChunks(n *idl.Node) bool { return n != nil && endsWithClose(n) }

// Ask sends a Request. It waits while the output is full. When it returns an error
// nothing was sent, and the Request may be used again. What q refers to is copied.
func (s *Session) Ask(ctx context.Context, r *Request, q *Question) error {
	if len(q.Args) > s.opts.Limits.MaxFrame || len(q.Chunk) > s.opts.Limits.MaxFrame {
		return fmt.Errorf("cannot call: %w", wire.ErrTooLarge)
	}
	r.s, r.recv, r.want, r.settled = s, q.Recv, q.Want, false
	r.state.Store(pending)
	r.args, r.count, r.over, r.err, r.trailer, r.got = r.args[:0], 0, false, nil, nil, false
	var as Receiver = r
	if endsWithClose(q.Recv) {
		as = lastRequest{r}
	}
	for {
		sent, err := s.ask(as, r, q)
		switch {
		case err != nil:
			return err
		case sent && !q.Later:
			s.flushTogether()
			return nil
		case sent:
			return nil
		}
		s.flush() // it may be full of what was to leave later
		if err := s.AwaitRoom(ctx); err != nil {
			return err
		}
	}
}

// ask queues the frames of a Request, unless the output is full.
func (s *Session) ask(as Receiver, r *Request, q *Question) (sent bool, err error) {
	s.mu.Lock()
	if s.err == nil && s.out.size > s.out.limit() {
		s.mu.Unlock()
		return false, nil
	}
	if r.id, err = s.number(); err != nil {
		s.mu.Unlock()
		return false, err
	}
	s.put(r.id, as)
	s.emit(r.id, q.Type, q.Args, q.Headers)
	switch {
	case q.Chunk != nil && q.Close:
		s.emitLast(r.id, q.Chunk, nil, nil)
	case q.Chunk != nil:
		s.emit(r.id, idl.Write, q.Chunk, nil)
	case q.Close:
		s.emit(r.id, idl.Close, nil, nil)
	}
	if q.Later && s.out.size >= enough {
		s.flushLocked()
	} else {
		s.mu.Unlock()
	}
	return true, nil
}

// Await waits for the answer. The arguments it returns are those of the first
// message, and valid until the Request is used again. The error is that of the peer,
// an *Error; ErrMore; io.EOF for an answer without the message that is wanted; the
// end of the session; or the cause of the end of ctx. Then, and when the answer has
// not ended, Leave has to be called.
func (r *Request) Await(ctx context.Context) ([]byte, error) {
	if r.Ready() {
		return r.answer()
	}
	if r.wake == nil {
		r.wake = make(chan struct{}, 1)
	}
	if !r.state.CompareAndSwap(pending, awaited) {
		return r.answer()
	}
	done := ctx.Done()
	if done == nil {
		<-r.wake
		return r.answer()
	}
	select {
	case <-r.wake:
		return r.answer()
	case <-done:
	}
	if r.state.CompareAndSwap(awaited, pending) {
		return nil, context.Cause(ctx)
	}
	<-r.wake // both have happened: the answer counts, and its token is on the way
	return r.answer()
}

func (r *Request) answer() ([]byte, error) {
	r.got = true
	return r.args, r.err
}

// Ready reports whether Await would not wait.
func (r *Request) Ready() bool { return r.state.Load() == answered }

// ID is the channel number on the wire.
func (r *Request) ID() uint64 { return r.id }

// Over reports whether Await has returned an answer that has ended. If so the Request
// may be used again.
func (r *Request) Over() bool { return r.got && r.over }

// Answered reports whether there was a message in the answer that Await has returned.
func (r *Request) Answered() bool { return r.got && r.count > 0 }

// Trailer gives the headers of the last message of the answer that Await has
// returned.
func (r *Request) Trailer() []hpack.Header {
	if !r.got {
		return nil
	}
	return r.trailer
}

// Size is the memory that is kept for the next answer. It may be asked when Over.
func (r *Request) Size() int { return cap(r.args) }

// Leave has what still comes dropped. The Request must not be used again.
func (r *Request) Leave() { r.s.forget(r.id) }

// Receive takes one frame of the answer. It implements Receiver.
func (r *Request) Receive(b *Batch, f *Frame) (done bool) {
	m := r.recv.Lookup(f.Type)
	if m == nil {
		e := Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "message %d is not allowed on channel %d now", f.Type, r.id)
		r.s.noteViolation(r.id, e)
		r.settle(b, true, e)
		return true
	}
	n := next(r.recv, m)
	r.recv, done = n, n == nil
	if r.settled {
		return done
	}
	if done && len(f.Headers) > 0 {
		r.trailer = append([]hpack.Header(nil), f.Headers...)
	}
	switch {
	case done && m.Name == "error":
		r.settle(b, true, remoteError(f.Args))
	case done && m.Name == "close":
		r.settle(b, true, r.ending())
	default:
		r.message(f.Args)
		switch {
		case r.count > 1 && r.want == WantOnly:
			r.settle(b, done, ErrMore)
		case done:
			r.settle(b, true, r.ending())
		case r.want == WantFirst:
			r.settle(b, false, nil)
		}
	}
	return done
}

// message keeps the first message.
func (r *Request) message(args []byte) {
	r.count++
	if r.count == 1 && r.want != WantEnd {
		r.args = append(r.args, args...)
	}
}

// ending is the error of an answer that has come to its end.
func (r *Request) ending() error {
	if r.count == 0 && r.want != WantEnd {
		return io.EOF
	}
	return nil
}

// settle wakes the goroutine that waits, once. If the answer is over the Request is
// not the reader's any more: nothing of it may be touched afterwards.
func (r *Request) settle(b *Batch, over bool, err error) {
	if r.settled {
		return
	}
	r.settled, r.over, r.err = true, over, err
	if r.state.Swap(answered) == awaited {
		b.wake(r.wake)
	}
}

// Lost ends the answer with the session. It implements Receiver.
func (r *Request) Lost(b *Batch, err error) { r.settle(b, true, err) }

// lastRequest is a Request whose answer are chunks and an end.
type lastRequest struct{ *Request }

var _ LastReceiver = lastRequest{}

// ReceiveLast takes the last chunk and the end. It implements LastReceiver.
func (l lastRequest) ReceiveLast(b *Batch, write *Frame) {
	r := l.Request
	if r.settled {
		return
	}
	r.message(write.Args)
	if r.count > 1 && r.want == WantOnly {
		r.settle(b, true, ErrMore)
		return
	}
	r.settle(b, true, nil)
}
