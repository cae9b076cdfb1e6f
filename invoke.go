package cocaine

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Enqueue starts an event of an app and returns the stream of chunks, open in both
// directions. CloseSend ends the request; many handlers wait for that. The
// deadline of ctx goes with it, as with every call of an event, so that the runtime
// and the worker know it too.
//
// Close the stream when done with it, whatever it has brought.
func (s *Service) Enqueue(ctx context.Context, event string) (*Stream, error) {
	return s.Call(ctx, enqueueMethod, event)
}

// Invoke calls an event of an app that takes one value and answers with one, as
// typed handlers do. The values travel as msgpack, or in the format that the
// handle's content type asks for. An answer without a chunk is io.EOF, one of
// several chunks or of another type is ErrBadAnswer.
func Invoke[Out any](ctx context.Context, s *Service, event string, in any) (Out, error) {
	var out, zero Out
	if err := s.invoke(ctx, event, in, &out); err != nil {
		return zero, s.failed(event, unwrapCall(err))
	}
	return out, nil
}

func (s *Service) invoke(ctx context.Context, event string, in, out any) error {
	if err := s.check(ctx, event); err != nil {
		return s.refusedEvent(ctx, event, err)
	}
	format, err := codec.ParseContentType(s.opts.ContentType)
	if err != nil {
		return s.refusedEvent(ctx, event, &kindError{err, ErrBadArgument})
	}
	u := s.newUnary(rpc.WantOnly)
	defer u.free()
	if err := u.encodeEvent(event, format, in); err != nil {
		return s.refusedEvent(ctx, event, err)
	}
	u.into = out
	return s.ask(ctx, u, enqueueMethod)
}
