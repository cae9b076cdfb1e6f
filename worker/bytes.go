package worker

import (
	"context"
	"io"

	"github.com/cocaine/cocaine-go/internal/chunkio"
)

// Reader gives what the caller sends as bytes, without the borders of its chunks,
// until its end: io.EOF. Errors are those of Recv. Reads obey ctx. It is an
// io.WriterTo, by which io.Copy passes chunks on as they are.
//
// A chunk that was read in part is lost to Recv, and one Reader does not see what
// another one has taken: use one.
func (s *Stream) Reader(ctx context.Context) io.Reader { return chunkio.NewReader(ctx, s.Recv) }

// chunkMargin is what a chunk takes on the wire beside its bytes, at most.
const chunkMargin = 6

// Writer sends what is written to it, each Write as one chunk, or as several if it
// is larger than Options.MaxChunk. An empty Write sends nothing. Errors are those
// of Send, and writes obey ctx. It may be used by several goroutines.
func (s *Stream) Writer(ctx context.Context) io.Writer {
	return chunkio.NewWriter(ctx, s.Send, s.c.run.opts.MaxChunk-chunkMargin)
}
