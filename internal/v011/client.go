// Package v011 lets the programs of Cocaine v0.11 take part: their frames are
// [type, session, args], and their services answer with 4 chunk, 5 error and 6 choke
// (docs/PROTOCOL.md, The v0.11 protocol).
//
// # Clients
//
//	v0.11 client ──▶ Session, which speaks a Dialect ──▶ ClientService ──▶ the service, or its Go API
//	 [0, 7, ["a"]]      channel 1, message 0, ["a"]       old method 0       new method
//	 [4, 7, [x]]  ◀──   value [x], write [x]       ◀──
//	 [6, 7, []]         value, error, close
//
// The [rpc.Dialect] numbers the calls of a client, whose own session numbers may be
// anything, and gives the answers their old form. It knows of a method only how its
// answer is packed. What a method was called, what arguments it had and which new
// method serves it is the matter of a [ClientService]: one kind for each service of
// the v0.11 core, and [Generic] for services that v0.11 did not have.
//
// The locator of v0.11 is a [Directory] of those ClientServices, each with the port on
// which v0.11 is spoken, which no other reply tells.
//
// # Concurrency contract
//
// A ClientService is an rpc.Acceptor: it runs on the readers of many sessions at once,
// and keeps no state of its own. What a dialect keeps of calls that are open is for its
// session's reader to add, and for anybody to take; its mutex is a leaf.
// All methods of Directory may be called from any goroutine.
package v011

import (
	"iter"
	"math"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// packing is how the answers of a method travel.
type packing uint8

const (
	packedValue  packing = iota // one result, packed into a chunk
	packedStream                // any number of them
	rawStream                   // chunks as they are: the answers of apps
)

// A ClientService is a service as clients of v0.11 see it. It is the Acceptor of
// their sessions, and immutable.
type ClientService struct {
	version int
	methods []clientMethod // by number
	target  rpc.Acceptor   // of calls that have all their arguments
}

// clientMethod is one method of a ClientService.
type clientMethod struct {
	id       uint64
	name     string
	required int // arguments
	packing  packing
	foreign  bool // its results may hold msgpack that v0.11 cannot read
}

// method finds a method by its number, nil if there is none.
func (s *ClientService) method(id uint64) *clientMethod {
	if id < uint64(len(s.methods)) && s.methods[id].id == id {
		return &s.methods[id]
	}
	for i := range s.methods {
		if s.methods[i].id == id {
			return &s.methods[i]
		}
	}
	return nil
}

// Timers are those of the methods that are served here, by their names in v0.11. Those
// that a service of v0.12 serves are in its own.
func (s *ClientService) Timers() iter.Seq2[string, *timing.Timer] {
	if m, ok := s.target.(*rpc.Mux); ok {
		return m.Timers()
	}
	return func(func(string, *timing.Timer) bool) {}
}

// Accept takes a call of a v0.11 client. It implements rpc.Acceptor.
func (s *ClientService) Accept(b *rpc.Batch, ses *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	m := s.method(f.Type)
	if m == nil {
		ses.Violation(b, channel, errMethod)
		return nil
	}
	r := msgpack.NewReader(f.Args)
	if n := r.Array(); n < m.required {
		ses.Violation(b, channel, tooFew(m.required, n))
		return nil
	}
	return s.target.Accept(b, ses, channel, f)
}

// Unwanted passes on that a client is gone. It implements rpc.AnswerAcceptor.
func (s *ClientService) Unwanted(b *rpc.Batch, ses *rpc.Session, revoked []rpc.Revoked) {
	unwanted(s.target, b, ses, revoked)
}

// unwanted tells an Acceptor that takes note of it.
func unwanted(a rpc.Acceptor, b *rpc.Batch, s *rpc.Session, revoked []rpc.Revoked) {
	if a, ok := a.(rpc.AnswerAcceptor); ok {
		a.Unwanted(b, s, revoked)
	}
}

// appendMethods appends {number: name}.
func (s *ClientService) appendMethods(dst []byte) []byte {
	dst = msgpack.AppendMap(dst, len(s.methods))
	for i := range s.methods {
		dst = msgpack.AppendUint(dst, s.methods[i].id)
		dst = msgpack.AppendString(dst, s.methods[i].name)
	}
	return dst
}

// Recognise makes every peer one of v0.11: for listeners that only v0.11 clients
// know. It is for rpc.SessionOptions.
func (s *ClientService) Recognise(l wire.Limits) func([]byte) (rpc.Dialect, error) {
	return func([]byte) (rpc.Dialect, error) { return newClientDialect(s, l), nil }
}

// Either is the Acceptor of sessions on which both generations are spoken, each of
// which has settled on one: old takes the calls of those that speak v0.11.
func Either(old *ClientService, ordinary rpc.Acceptor) rpc.Acceptor {
	e := either{old: old, ordinary: ordinary}
	if whole, ok := ordinary.(rpc.CallAcceptor); ok {
		return &eitherWhole{e, whole}
	}
	return &e
}

type either struct {
	old      *ClientService
	ordinary rpc.Acceptor
}

// eitherWhole is either for an Acceptor that can take requests whole. Those of v0.11
// always are, and come through Accept.
type eitherWhole struct {
	either
	rpc.CallAcceptor
}

func (e *either) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	if _, ok := s.Dialect().(*clientDialect); ok {
		return e.old.Accept(b, s, channel, f)
	}
	return e.ordinary.Accept(b, s, channel, f)
}

// Unwanted implements rpc.AnswerAcceptor.
func (e *either) Unwanted(b *rpc.Batch, s *rpc.Session, revoked []rpc.Revoked) {
	if _, ok := s.Dialect().(*clientDialect); ok {
		unwanted(e.old, b, s, revoked)
		return
	}
	unwanted(e.ordinary, b, s, revoked)
}

// Accept tells the two embedded ones apart.
func (e *eitherWhole) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	return e.either.Accept(b, s, channel, f)
}

// newClientService makes the ClientService of a protocol of v0.11, all of whose
// methods answer one value or, if they say so, a stream of them.
func newClientService(p *idl.Protocol, target rpc.Acceptor) *ClientService {
	s := &ClientService{version: p.Version, target: target}
	for i := range p.Messages {
		m := &p.Messages[i]
		if idl.IsControl(m.ID) {
			continue
		}
		c := clientMethod{id: m.ID, name: m.Name, required: m.Required()}
		if m.Reply.Kind == idl.ReplyStream {
			c.packing = packedStream
		}
		s.methods = append(s.methods, c)
	}
	return s
}

// largestMethod is the largest number of a method: the original reads 32 bits.
const largestMethod = math.MaxUint32
