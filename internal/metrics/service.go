package metrics

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Service tells what a source has, as the service `metrics`.
func Service(s Source, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Metrics, o)
	m.Unary("fetch", service{s}.fetch)
	return m
}

type service struct{ source Source }

func (s service) fetch(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	form := "plain"
	var query []byte
	if c.NArgs > 0 {
		form = r.String()
	}
	if c.NArgs > 1 {
		query = r.Raw()
	}
	more := false
	if c.NArgs > 2 && r.Kind() == msgpack.KindBool { // anything else is surplus, as it is to the original
		more = r.Bool()
	}
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	shape, err := shapeOf(form)
	if err != nil {
		return nil, err
	}
	var q *Query
	if query != nil {
		if q, err = DecodeQuery(query); err != nil {
			return nil, err // [12, 22], or [7, 7]
		}
	}
	all, err := s.source(ctx)
	if err != nil {
		return nil, err
	}
	values, err := flatten(all, q, more)
	if err != nil {
		return nil, err
	}
	return msgpack.AppendValue(msgpack.AppendArray(nil, 1), shape(values))
}

func shapeOf(form string) (func([]value) map[string]any, error) {
	switch form {
	case "", "plain":
		return plain, nil
	case "json":
		return tree, nil
	}
	return nil, rpc.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "cannot tell metrics as %q: want plain or json", form)
}
