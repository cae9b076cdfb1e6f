package cocaine

import (
	"context"
	"iter"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Invoke calls an event of an app that takes one value and answers with one, as
// typed handlers do. The values travel as msgpack, or in the format that the
// content type of app asks for; see App.With. An answer without a chunk is io.EOF,
// one of several chunks or of another type is ErrBadAnswer. When ctx ends, the call is
// given up: it leaves the queue, or the handler's context ends.
func Invoke[Out any](ctx context.Context, app App, event string, in any) (Out, error) {
	var out, zero Out
	if err := app.invoke(ctx, event, in, &out); err != nil {
		return zero, err
	}
	return out, nil
}

func (a App) invoke(ctx context.Context, event string, in, out any) error {
	format, err := a.format(ctx, event)
	if err != nil {
		return err
	}
	s := a.service
	u := s.newUnary(rpc.WantOnly)
	defer u.free()
	if err := u.encodeEvent(event, format, in); err != nil {
		return s.refusedEvent(ctx, event, err)
	}
	u.into = out
	if err = s.ask(ctx, u, enqueueMethod, event); err == errNotUnary { // it is the enqueue of something that is no app
		err = s.failed(event, err)
	}
	return err
}

// format is that of the chunks of an event that may be called.
func (a App) format(ctx context.Context, event string) (codec.Format, error) {
	if err := a.service.check(ctx, event); err != nil {
		return 0, a.service.refusedEvent(ctx, event, err)
	}
	format, err := a.service.opts.format()
	if err != nil {
		return 0, a.service.refusedEvent(ctx, event, err)
	}
	return format, nil
}

// format is that of the content type.
func (o *CallOptions) format() (codec.Format, error) {
	format, err := codec.ParseContentType(o.ContentType)
	if err != nil {
		err = &kindError{err, ErrBadArgument}
	}
	return format, err
}

// InvokeStream calls an event of an app that takes one value and answers with many:
// it ranges over them, each a chunk in the format of Invoke. An error is the last
// pair, ErrBadAnswer for a chunk of another type.
//
// Leaving the loop gives up the rest: what still comes is dropped, and the handler's
// context ends, if its worker is one of this package's framework. Those of older
// frameworks learn of no more than the deadline of ctx, because their request was
// complete with the value; for an event without an end there is App.Enqueue, where Close
// tells any worker.
func InvokeStream[Out any](ctx context.Context, app App, event string, in any) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var format codec.Format
		each(ctx, yield, func(f func(*Stream) error) error {
			return app.invokeStream(ctx, event, in, func(st *Stream, as codec.Format) error {
				format = as
				return f(st)
			})
		}, func(m Message) (out Out, err error) {
			chunk, err := m.chunk()
			if err == nil {
				err = decodeChunk(format, chunk, &out)
			}
			return out, err
		})
	}
}

// invokeStream calls an event with one value, which is all that the caller sends,
// and has f receive the answer.
func (a App) invokeStream(ctx context.Context, event string, in any, f func(*Stream, codec.Format) error) error {
	format, err := a.format(ctx, event)
	if err != nil {
		return err
	}
	s := a.service
	args, chunk := codec.NewBuffer(), codec.NewBuffer()
	defer args.Free()
	defer chunk.Free()
	o := opening{method: enqueueMethod, name: event, hangUp: true}
	if o.chunk, chunk.B, err = format.EncodeChunk(chunk.B, in); err != nil {
		return s.refusedEvent(ctx, event, &kindError{err, ErrBadArgument})
	}
	args.B = msgpack.AppendString(msgpack.AppendArray(args.B, 1), event)
	o.args = args.B
	return s.do(ctx, &o, func(st *Stream) error { return f(st, format) })
}

// chunk gives the chunk of an app that the message carries.
func (m Message) chunk() ([]byte, error) {
	b, err := codec.Chunk(m.Args)
	if err != nil {
		return nil, &kindError{err, ErrBadAnswer}
	}
	return b, nil
}

// decodeChunk decodes a chunk of an answer.
func decodeChunk(format codec.Format, chunk []byte, v any) error {
	if err := format.Decode(chunk, v); err != nil {
		return &kindError{err, ErrBadAnswer}
	}
	return nil
}
