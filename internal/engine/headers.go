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

// headersFor gives the headers of the invoke that a worker is sent. Workers of old
// frameworks are always told three ids, as by the original. Called with mu held; valid
// until the next call.
func (r *request) headersFor(w *worker) []byte {
	switch {
	case len(r.echo) == 0 && !w.hears:
		r.e.untraced = relay.AppendUntraced(r.e.untraced[:0], r.invokeHeaders)
		return r.e.untraced
	case len(r.invokeHeaders) == 0:
		return nil
	}
	return r.invokeHeaders
}

// Refuse answers an enqueue, the frame f, with an error. What the client still
// sends on the channel is late. It returns what Accept has to return then.
func Refuse(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, e *rpc.Error) rpc.Receiver {
	return relay.Refuse(b, s, channel, f, e)
}
