// Package echo is the service `echo`: what is sent to it comes back. It is there to
// try a connection with (docs/PROTOCOL.md, echo).
package echo

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Service is the service. It keeps nothing between calls.
func Service(o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Echo, o)
	m.Inline("ping", ping)
	return m
}

func ping(_ context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	text := r.Bytes()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	const header = 1 + 5 // of the array and of the longest raw
	answer := msgpack.AppendArray(make([]byte, 0, header+len(text)), 1)
	return msgpack.AppendBytes(answer, text), nil
}
