// Package chunkio shows a stream of chunks as a stream of bytes: an io.Reader and an
// io.Writer over the functions that receive and send them. Either end of a
// conversation, the caller's and the handler's, has them.
//
// A Reader belongs to one goroutine. A Writer may be used by as many as the function
// that it sends with.
package chunkio

import (
	"context"
	"io"
)

// A Reader gives the bytes of chunks, without the borders between them.
type Reader struct {
	ctx  context.Context
	recv func(ctx context.Context) ([]byte, error)
	rest []byte // of the chunk that is being read
}

var _ io.WriterTo = (*Reader)(nil)

// NewReader makes a Reader. recv gives the next chunk, which then belongs to the
// reader, and after the last one io.EOF.
func NewReader(ctx context.Context, recv func(ctx context.Context) ([]byte, error)) *Reader {
	return &Reader{ctx: ctx, recv: recv}
}

// Read implements io.Reader. It waits for a chunk only if none is left over.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.rest) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, so that io.Copy passes chunks on as they are.
func (r *Reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if len(r.rest) > 0 {
			n, err := w.Write(r.rest)
			total, r.rest = total+int64(n), r.rest[n:]
			switch {
			case err != nil:
				return total, err
			case len(r.rest) > 0:
				return total, io.ErrShortWrite
			}
		}
		if err := r.next(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

func (r *Reader) next() (err error) {
	r.rest, err = r.recv(r.ctx)
	return err
}

// A Writer sends bytes as chunks.
type Writer struct {
	ctx   context.Context
	send  func(ctx context.Context, chunk []byte) error
	limit int
}

// NewWriter makes a Writer whose chunks have limit bytes at most, one at least. send
// does not keep what it is given.
func NewWriter(ctx context.Context, send func(ctx context.Context, chunk []byte) error, limit int) *Writer {
	return &Writer{ctx, send, max(limit, 1)}
}

// Write implements io.Writer. An empty p is no chunk.
func (w *Writer) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(len(p), n+w.limit)]
		if err := w.send(w.ctx, piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}
