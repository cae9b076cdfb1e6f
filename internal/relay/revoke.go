package relay

import (
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// RevokeHeader is what a worker's handshake carries that understands revoke. Other
// workers are told nothing of a caller that gives up after its end of the stream: they
// would take it for a mistake.
const RevokeHeader = "x-cocaine-revoke"

// RevokeHeaders are the headers of such a handshake.
func RevokeHeaders() []byte {
	return hpack.AppendLiterals(nil, []hpack.Header{{Name: RevokeHeader, Value: "1"}})
}

// HearsRevoke reports whether a worker with these headers on its handshake understands
// revoke.
func HearsRevoke(hs []hpack.Header) bool {
	v, _ := hpack.Lookup(hs, RevokeHeader)
	return v == "1"
}

// Revoke tells a worker that nobody waits for the answer on a channel any more. The
// message opens a channel, as control messages do, and that is the end of it: nothing
// has to be kept for an answer, and if there is one it is late.
func Revoke(b *rpc.Batch, s *rpc.Session, channel uint64, cause *rpc.Error) {
	e := *cause
	if idl.CategoryName(e.Category) == idl.CategoryName(idl.CategoryUnknown) {
		e.Category = idl.CategoryUnknown
	}
	id, err := s.Open(b, nil, idl.Revoke, rpc.AppendRevoke(nil, channel, &e), nil)
	if err == nil { // else its connection has ended, or it has no channel left: it is not told
		s.Forget(id)
	}
}
