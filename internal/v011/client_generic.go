package v011

import (
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Generic is a service that v0.11 did not have, with the methods and the arguments
// that it has in v0.12. What a client of v0.12 may send after its call a client of
// v0.11 can not: such channels end with its connection.
func Generic(p *idl.Protocol, ordinary rpc.Acceptor) *ClientService {
	s := newClientService(p, silent{p, ordinary})
	for i := range s.methods {
		s.methods[i].foreign = true
	}
	return s
}

// silent answers methods that have no answer.
type silent struct {
	proto    *idl.Protocol
	ordinary rpc.Acceptor
}

func (n silent) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	r := n.ordinary.Accept(b, s, channel, f)
	if m := n.proto.Message(f.Type); m != nil && m.Reply.Kind == idl.ReplyMute {
		_ = s.Send(b, channel, idl.Value, nil, nil) // the client may be gone: then nobody waits for it
	}
	return r
}
