package worker

import (
	"context"
	"io"
	"iter"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
)

// A Stream is a request as a conversation: chunks of bytes in both directions,
// which are independent of each other. Its caller sees the other end of it as a
// cocaine.AppStream, which has the same methods but for what only one side knows.
//
// One goroutine at a time may receive, peeking included; any may send. A Stream must
// not be used after its handler has returned, which ends it. A handler that stops receiving while its caller
// goes on sending fails: see Recv.
type Stream struct{ c *conversation }

// Event is the name of the event.
func (s *Stream) Event() string { return s.c.event }

// Channel is the number of the request on the worker's connection: unique for the
// life of the worker, and the same in the log of the runtime.
func (s *Stream) Channel() uint64 { return s.c.channel }

// Headers are those of the request. They are read only.
func (s *Stream) Headers() cocaine.Headers { return s.c.headers }

// Recv waits for the next chunk, which then belongs to the caller. After the last
// one it returns io.EOF, or a *RequestError with what the caller sent in place of
// an end, and the same again whenever it is called. A ctx that ends takes no chunk
// away.
//
// Some megabytes of chunks wait for Recv. Beyond that the connection is not read,
// which holds up every request of the worker; a handler that does not receive for
// 10 s then loses its input and its context ends.
func (s *Stream) Recv(ctx context.Context) ([]byte, error) { return s.c.recv(ctx, true) }

// Peek waits for the next chunk as Recv does, and leaves it to be received: it must
// not be changed.
func (s *Stream) Peek(ctx context.Context) ([]byte, error) { return s.c.recv(ctx, false) }

// Buffered is the number of chunks that Recv would give without waiting.
func (s *Stream) Buffered() int { return s.c.buffered() }

// All ranges over the chunks until the caller's end. An error is the last pair.
// Leaving the loop leaves the rest to be received.
func (s *Stream) All(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			chunk, err := s.Recv(ctx)
			if err == io.EOF || !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

// Decode waits for the next chunk and decodes it into v, a non-nil pointer, from
// the format that the request's content-type header names. Of one that is not known it
// takes no chunk; the error is fit to be returned: [12, 22], invalid argument.
func (s *Stream) Decode(ctx context.Context, v any) error {
	format, err := s.c.format()
	if err != nil {
		return err
	}
	chunk, err := s.Recv(ctx)
	if err != nil {
		return err
	}
	return format.Decode(chunk, v)
}

// Send sends a chunk. It waits while the connection is full, and may use chunk
// again once it has returned.
func (s *Stream) Send(ctx context.Context, chunk []byte) error {
	return s.c.send(ctx, codec.Bytes, &chunk)
}

// Encode sends a value as a chunk, in the format that the request's content-type
// header names.
func (s *Stream) Encode(ctx context.Context, v any) error {
	format, err := s.c.format()
	if err != nil {
		return err
	}
	return s.c.send(ctx, format, v)
}

// CloseSend ends the answer before the handler returns; receiving goes on. Further
// calls do nothing. Whoever sends afterwards gets io.ErrClosedPipe.
//
// It does not wait, and so does not ask whether the context has ended: the end of an
// answer may always be told.
func (s *Stream) CloseSend(context.Context) error { return s.c.endSend(nil) }

// Fail ends the answer with an error before the handler returns, as the return of
// the error would. After an end it does nothing. It waits no more than CloseSend, and
// panics if err is nil.
func (s *Stream) Fail(_ context.Context, err error) error {
	if err == nil {
		panic("cannot fail stream: the error is nil")
	}
	return s.c.endSend(err)
}

// Closed reports whether the answer has ended: by CloseSend, by Fail, or because the
// handler has used up its time.
func (s *Stream) Closed() bool { return s.c.isClosed() }
