package worker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// A Handler serves requests, each as a stream. What it sends reaches the caller at
// once, and its return ends the answer: with an error if it returns one. The
// caller's end is io.EOF from Recv.
//
// ctx belongs to the request, as the package comment says. Serve is called by many
// goroutines at once.
type Handler interface {
	// Serve serves one request.
	Serve(ctx context.Context, s *Stream) error
}

// A HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, s *Stream) error

// Serve calls f.
func (f HandlerFunc) Serve(ctx context.Context, s *Stream) error { return f(ctx, s) }

// Handle binds a handler of one value that answers with one. The value is the
// first chunk of the request, in the format that the request's content-type header
// names: application/msgpack, which is the default, application/json, or
// application/octet-stream for values that are []byte or string. The answer is one
// chunk in the same format. A request without a chunk, or with an empty one, gives
// the zero value.
//
// A value that does not decode is answered with [12, 22], invalid argument.
//
// It is w.Handle(event, Func(f), opts...).
func Handle[In, Out any](w *Worker, event string, f func(ctx context.Context, in In) (Out, error), opts ...HandleOption) {
	w.Handle(event, Func(f), opts...)
}

// HandleStream binds a function that converses with the caller of an event. It is
// Handle for a HandlerFunc.
func (w *Worker) HandleStream(event string, f func(ctx context.Context, s *Stream) error, opts ...HandleOption) {
	var h Handler
	if f != nil {
		h = HandlerFunc(f)
	}
	w.Handle(event, h, opts...)
}

// HandleRaw binds a function that gets the first chunk of a request as it came,
// whatever its content type, and answers with a chunk as it is. Both belong to the
// function. It is w.Handle(event, Raw(f), opts...).
func (w *Worker) HandleRaw(event string, f func(ctx context.Context, chunk []byte) ([]byte, error), opts ...HandleOption) {
	w.Handle(event, Raw(f), opts...)
}

// A HandleOption changes how one event is served.
type HandleOption func(*binding)

// Limit bounds the handlers of the event that run at once; further requests wait
// until one is done or their own time is up. Without it there is no bound but
// Options.Concurrency and the runtime's. It panics unless n is positive.
func Limit(n int) HandleOption {
	if n <= 0 {
		panic(fmt.Sprintf("cannot limit handlers to %d at once", n))
	}
	return func(b *binding) { b.slots = make(chan struct{}, n) }
}

// Timeout bounds the time that a handler of the event may take, from its start on.
// When it is up the caller gets [12, 110], timed out, the handler's context ends
// with ErrTimeout as its cause, and what the handler still sends is dropped. Its
// place in a Limit is taken until it has returned. It panics unless d is positive.
func Timeout(d time.Duration) HandleOption {
	if d <= 0 {
		panic(fmt.Sprintf("cannot limit the time of a handler to %v", d))
	}
	return func(b *binding) { b.timeout = d }
}

// With puts middleware around the handler of the event, inside that of Worker.Use.
// The first is the outermost. It panics if middleware is nil.
func With(ms ...Middleware) HandleOption {
	mustNotBeNil(ms)
	return func(b *binding) { b.middleware = append(b.middleware, ms...) }
}

// A valueFunc serves a request of one chunk: it decodes in, calls a function and
// encodes its answer as the arguments of a chunk, over out. It does not keep in.
type valueFunc func(ctx context.Context, r *request, in []byte, out *codec.Buffer) (args []byte, err error)

// A valueHandler is a Handler for requests of one chunk. Without middleware around
// it, its requests are served without a Stream.
type valueHandler struct{ value valueFunc }

// Func makes a Handler of a function of one value, as Handle describes it. Of nil
// it makes nil, which cannot be bound.
func Func[In, Out any](f func(ctx context.Context, in In) (Out, error)) Handler {
	if f == nil {
		return nil
	}
	return &valueHandler{func(ctx context.Context, r *request, in []byte, out *codec.Buffer) ([]byte, error) {
		format, err := r.format()
		if err != nil {
			return nil, err
		}
		v := new(struct { // one allocation: the coders need both on the heap
			in  In
			out Out
		})
		if len(in) > 0 {
			if err := format.Decode(in, &v.in); err != nil {
				return nil, cocaine.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "cannot read input of event %q: %v", r.event, err)
			}
		}
		if v.out, err = f(ctx, v.in); err != nil {
			return nil, err
		}
		return encodeAnswer(format, &v.out, out)
	}}
}

// Raw makes a Handler of a function of bytes, as HandleRaw describes it. Of nil it
// makes nil, which cannot be bound.
func Raw(f func(ctx context.Context, chunk []byte) ([]byte, error)) Handler {
	if f == nil {
		return nil
	}
	return &valueHandler{func(ctx context.Context, _ *request, in []byte, out *codec.Buffer) ([]byte, error) {
		answer, err := f(ctx, append([]byte(nil), in...))
		if err != nil {
			return nil, err
		}
		return encodeAnswer(codec.Bytes, &answer, out)
	}}
}

func encodeAnswer(format codec.Format, v any, out *codec.Buffer) ([]byte, error) {
	args, grown, err := format.EncodeChunk(out.B, v)
	out.B = grown
	if err != nil {
		return nil, fmt.Errorf("cannot write answer: %w", err)
	}
	return args, nil
}

// Serve implements Handler, for requests that pass through middleware.
func (h *valueHandler) Serve(ctx context.Context, s *Stream) error {
	chunk, err := s.Recv(ctx)
	if _, gaveUp := err.(*RequestError); gaveUp {
		return errGaveUp
	}
	if err != nil && err != io.EOF {
		return err
	}
	out := codec.NewBuffer()
	args, err := h.value(ctx, &s.c.request, chunk, out)
	if err != nil {
		out.Free()
		return err
	}
	return s.c.hold(args, out)
}
