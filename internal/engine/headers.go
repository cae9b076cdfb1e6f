package engine

import (
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// encodeHeaders encodes the headers of an enqueue in the request's own memory.
func (r *request) encodeHeaders(hs []hpack.Header, traced bool) {
	r.echo, r.invokeHeaders = relay.AppendHeaders(r.echo[:0], r.invokeHeaders[:0], hs, traced)
}

// Refuse answers an enqueue, the frame f, with an error. What the client still
// sends on the channel is late. It returns what Accept has to return then.
func Refuse(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, e *rpc.Error) rpc.Receiver {
	return relay.Refuse(b, s, channel, f, e)
}
