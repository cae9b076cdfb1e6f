package cocaine

import (
	"context"
	"io"

	"github.com/cocaine/cocaine-go/internal/codec"
)

// Enqueue starts an event of an app and returns the stream of chunks, open in both
// directions. CloseSend ends the request; many handlers wait for that. The
// deadline of ctx goes with it, so that the runtime and the worker know it too.
//
// Close the stream when done with it, whatever it has brought.
func (s *Service) Enqueue(ctx context.Context, event string) (*Stream, error) {
	return s.Call(ctx, enqueueMethod, event)
}

// Invoke calls an event of an app that takes one value and answers with one, as
// typed handlers do. The values travel as msgpack, or in the format that the
// handle's content type asks for. An answer without a chunk is io.EOF.
func Invoke[Out any](ctx context.Context, s *Service, event string, in any) (Out, error) {
	var out, zero Out
	if err := s.invoke(ctx, event, in, &out); err != nil {
		return zero, err
	}
	return out, nil
}

func (s *Service) invoke(ctx context.Context, event string, in, out any) error {
	format, err := codec.ParseContentType(s.opts.ContentType)
	if err != nil {
		return s.failed(event, err)
	}
	st, err := s.startEvent(ctx, format, event, in)
	if err != nil {
		return err
	}
	chunk, err := st.only(ctx)
	st.abandon(context.Cause(ctx))
	if err == nil {
		err = format.Decode(chunk, out)
	}
	if err != nil {
		return s.failed(event, unwrapCall(err))
	}
	return nil
}

// startEvent sends the call, its one chunk and the end of the request as one
// piece.
func (s *Service) startEvent(ctx context.Context, format codec.Format, event string, in any) (*Stream, error) {
	args, chunk := codec.NewBuffer(), codec.NewBuffer()
	defer args.Free()
	defer chunk.Free()
	o := opening{method: enqueueMethod, hangUp: true}
	var err error
	if o.chunk, chunk.B, err = format.EncodeChunk(chunk.B, in); err != nil {
		return nil, s.failed(event, err)
	}
	args.B, err = codec.AppendArgs(args.B, event)
	if err != nil {
		return nil, s.failed(event, err)
	}
	o.args = args.B
	st, err := s.open(ctx, o)
	if err != nil {
		return nil, s.failed(event, unwrapCall(err))
	}
	return st, nil
}

// only receives the one chunk of an answer, and its end.
func (s *Stream) only(ctx context.Context) ([]byte, error) {
	m, err := s.Recv(ctx)
	if err != nil {
		return nil, err
	}
	chunk, err := codec.Chunk(m.Args)
	if err != nil {
		return nil, err
	}
	switch _, err := s.Recv(ctx); err {
	case io.EOF:
		return chunk, nil
	case nil:
		return nil, errManyChunks
	default:
		return nil, err
	}
}
