package cocaine

import (
	"context"
	"io"
	"iter"

	"github.com/cocaine/cocaine-go/internal/chunkio"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// An AppStream is one call of an app's event: the conversation with the handler,
// which sees the other end of it as a worker.Stream, with the same methods but for
// what only one side knows. Chunks of bytes travel in both directions, which are
// independent of each other.
//
// One goroutine at a time may receive, peeking included; any may send and close.
// Received chunks wait in memory, up to some megabytes; then the connection is not
// read until they are taken, so a stream that is not wanted any more has to be
// closed. In the other direction Send waits while the connection takes nothing.
type AppStream struct {
	stream *Stream
	piece  int // the largest chunk that a Writer makes

	format   codec.Format
	noFormat error // the content type names none
}

// Recv waits for the next chunk, which then belongs to the caller. After the last
// one it returns io.EOF, or the *Error that the handler ended with, and the same
// again whenever it is called. If ctx ends first, or has ended already, nothing is
// lost: a later Recv gets the chunk.
func (s *AppStream) Recv(ctx context.Context) ([]byte, error) {
	m, err := s.stream.Recv(ctx)
	if err != nil {
		return nil, err
	}
	return s.chunk(m)
}

// Peek waits for the next chunk as Recv does, and leaves it to be received: it must
// not be changed.
func (s *AppStream) Peek(ctx context.Context) ([]byte, error) {
	m, err := s.stream.Peek(ctx)
	if err != nil {
		return nil, err
	}
	return s.chunk(m)
}

func (s *AppStream) chunk(m Message) ([]byte, error) {
	chunk, err := m.chunk()
	if err != nil {
		return nil, s.stream.failed(err)
	}
	return chunk, nil
}

// Buffered is the number of chunks that Recv would give without waiting.
func (s *AppStream) Buffered() int { return s.stream.Buffered() }

// All ranges over the chunks until the handler's end. An error is the last pair.
// Leaving the loop leaves the rest to be received, and the stream to be closed.
func (s *AppStream) All(ctx context.Context) iter.Seq2[[]byte, error] {
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
// the format that the content type of the app's handle names: see App.With. A chunk
// that does not decode is ErrBadAnswer, and gone. Into anything but a pointer, and from
// a format that is not known, it takes no chunk and is ErrBadArgument.
func (s *AppStream) Decode(ctx context.Context, v any) error {
	switch {
	case s.stream.usable(ctx) != nil: // as Recv says
	case !decodable(v):
		return s.stream.failed(errNoTarget)
	case s.noFormat != nil:
		return s.stream.failed(s.noFormat)
	}
	chunk, err := s.Recv(ctx)
	if err != nil {
		return err
	}
	if err := decodeChunk(s.format, chunk, v); err != nil {
		return s.stream.failed(err)
	}
	return nil
}

// Reader gives what the handler sends as bytes, without the borders of its chunks,
// until its end: io.EOF. Errors are those of Recv. Reads obey ctx. It is an
// io.WriterTo, by which io.Copy passes chunks on as they are.
//
// A chunk that was read in part is lost to Recv, and one Reader does not see what
// another one has taken: use one.
func (s *AppStream) Reader(ctx context.Context) io.Reader { return chunkio.NewReader(ctx, s.Recv) }

// maxPiece is the largest chunk that a Writer makes: small enough for handlers that
// take their time, large enough to cost nothing.
const maxPiece = 1 << 20

// Writer sends what is written to it, each Write as one chunk, or as several if it
// is larger than 1 MiB or half of Options.MaxFrame. An empty Write sends nothing.
// Errors are those of Send, and writes obey ctx. It may be used by several goroutines.
func (s *AppStream) Writer(ctx context.Context) io.Writer {
	return chunkio.NewWriter(ctx, s.Send, s.piece)
}

// Send sends a chunk. It waits while the connection is full, and the caller may use
// chunk again once it has returned. After CloseSend or Fail it is io.ErrClosedPipe.
func (s *AppStream) Send(ctx context.Context, chunk []byte) error {
	buf := codec.NewBuffer()
	defer buf.Free()
	buf.B = msgpack.AppendBytes(msgpack.AppendArray(buf.B, 1), chunk)
	return s.write(ctx, buf.B)
}

// write sends a chunk with encoded arguments.
func (s *AppStream) write(ctx context.Context, args []byte) error {
	switch {
	case !s.stream.made():
		return errNotCalled
	case !s.stream.method.hasWrite: // it is the enqueue of something that is no app
		return s.stream.failed(ErrNoMessage)
	}
	return s.stream.write(ctx, s.stream.method.write, args)
}

// Encode sends a value as a chunk, in the format that the content type of the app's
// handle names: see App.With.
func (s *AppStream) Encode(ctx context.Context, v any) error {
	if err := s.stream.usable(ctx); err != nil {
		return err
	}
	if s.noFormat != nil {
		return s.stream.failed(s.noFormat)
	}
	buf := codec.NewBuffer()
	defer buf.Free()
	args, grown, err := s.format.EncodeChunk(buf.B, v)
	buf.B = grown
	if err != nil {
		return s.stream.failed(&kindError{err, ErrBadArgument})
	}
	return s.write(ctx, args)
}

// CloseSend ends the request: no more chunks will be sent. Receiving goes on.
// Further calls do nothing.
func (s *AppStream) CloseSend(ctx context.Context) error { return s.stream.CloseSend(ctx) }

// Fail ends the request with an error instead of CloseSend: the handler learns that
// what it got is not all, and why. Receiving goes on. An *Error keeps its category
// and code; of another error the text arrives. After the end of the request it is
// io.ErrClosedPipe.
func (s *AppStream) Fail(ctx context.Context, err error) error { return s.stream.Fail(ctx, err) }

// Close gives the call up, unless it is over: the handler's context ends, and
// whoever waits in Recv or Send gets ErrClosed. Further calls do nothing, and so does
// that of a nil AppStream.
func (s *AppStream) Close() error {
	if s == nil {
		return nil
	}
	return s.stream.Close()
}

// Trailer gives the headers of the handler's last message, nil before it has come.
func (s *AppStream) Trailer() Headers { return s.stream.Trailer() }

// Stream is the channel that the conversation runs on, for what its messages have
// beside their chunks: headers. Both share everything, what has been received too.
func (s *AppStream) Stream() *Stream { return s.stream }
