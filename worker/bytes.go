package worker

import (
	"context"
	"io"
)

// Reader gives what the caller sends as bytes, without the borders of its chunks,
// until its end: io.EOF. Errors are those of Recv. Reads obey ctx.
//
// A chunk that was read in part is lost to Recv, and one Reader does not see what
// another one has taken: use one.
func (s *Stream) Reader(ctx context.Context) io.Reader { return &chunkReader{ctx: ctx, s: s} }

// Writer sends what is written to it, each Write as one chunk, or as several if it
// is larger than Options.MaxChunk. An empty Write sends nothing. Errors are those
// of Send, and writes obey ctx. It may be used by several goroutines.
func (s *Stream) Writer(ctx context.Context) io.Writer { return &chunkWriter{ctx, s} }

type chunkReader struct {
	ctx  context.Context
	s    *Stream
	rest []byte // of the chunk that is being read
}

// Read implements io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.rest) == 0 {
		var err error
		if r.rest, err = r.s.Recv(r.ctx); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

type chunkWriter struct {
	ctx context.Context
	s   *Stream
}

// chunkMargin is what a chunk takes on the wire beside its bytes, at most.
const chunkMargin = 6

// Write implements io.Writer.
func (w *chunkWriter) Write(p []byte) (n int, err error) {
	limit := max(w.s.c.run.opts.MaxChunk-chunkMargin, 1)
	for n < len(p) {
		piece := p[n:min(len(p), n+limit)]
		if err := w.s.Send(w.ctx, piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}
