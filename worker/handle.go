package worker

import (
	"context"
	"fmt"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// A valueFunc serves one request of a typed handler: it decodes the request's one
// chunk, calls the handler and encodes its answer. in is not used after it has
// been decoded; the answer's arguments are written over out.
type valueFunc func(ctx context.Context, event string, f codec.Format, in, out *codec.Buffer) (args []byte, err error)

// Handle binds a handler of one value that answers with one. The value is the
// first chunk of the request, in the format that the request's content-type header
// names: application/msgpack, which is the default, application/json, or
// application/octet-stream for values that are []byte or string. The answer is one
// chunk in the same format. A request without a chunk, or with an empty one, gives
// the zero value.
//
// A value that does not decode is answered with [12, 22], invalid argument.
func Handle[In, Out any](w *Worker, event string, f func(ctx context.Context, in In) (Out, error)) {
	w.bind(event, &handler{value: func(ctx context.Context, event string, format codec.Format, in, out *codec.Buffer) ([]byte, error) {
		var v In
		if len(in.B) > 0 {
			if err := format.Decode(in.B, &v); err != nil {
				return nil, cocaine.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "cannot read input of event %q: %v", event, err)
			}
		}
		answer, err := f(ctx, v)
		if err != nil {
			return nil, err
		}
		args, grown, err := format.EncodeChunk(out.B, &answer)
		out.B = grown
		if err != nil {
			return nil, fmt.Errorf("cannot write answer: %w", err)
		}
		return args, nil
	}})
}
