package engine

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// requestHeaders are what an enqueue's headers say to the engine.
type requestHeaders struct {
	trace   rpc.Trace
	timeout time.Duration // negative when the request does not say
	story   bool
}

// readHeaders checks the headers of an enqueue.
func readHeaders(hs []hpack.Header) (requestHeaders, error) {
	h := requestHeaders{timeout: -1}
	var err error
	if h.trace, err = rpc.ParseTrace(hs); err != nil {
		return h, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
	}
	if v, ok := hpack.Lookup(hs, "request_timeout"); ok {
		if len(v) != 8 {
			return h, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs,
				"cannot read request_timeout: have %d bytes, want 8 (milliseconds, little-endian)", len(v))
		}
		ms := binary.LittleEndian.Uint64([]byte(v))
		h.timeout = time.Duration(min(ms, math.MaxInt64/uint64(2*time.Millisecond))) * time.Millisecond
	}
	_, h.story = hpack.Lookup(hs, StoryHeader)
	return h, nil
}

// encodeHeaders encodes the headers of an enqueue for the worker, the trace first,
// and the trace alone for every other frame (docs/PROTOCOL.md, Headers). It uses
// the request's own memory.
func (r *request) encodeHeaders(hs []hpack.Header, traced bool) {
	var room [16]hpack.Header
	out := room[:0]
	r.echo, r.invokeHeaders = r.echo[:0], r.invokeHeaders[:0]
	if traced {
		for _, name := range [...]string{"trace_id", "span_id", "parent_id"} {
			id, _ := hpack.Lookup(hs, name)
			out = append(out, hpack.Header{Name: name, Value: id})
		}
		r.echo = hpack.AppendLiterals(r.echo, out)
	}
	for _, h := range hs {
		if !rpc.IsTraceHeader(h.Name) && h.Name != StoryHeader {
			out = append(out, h)
		}
	}
	if len(out) > 0 {
		r.invokeHeaders = hpack.AppendLiterals(r.invokeHeaders, out)
	}
}

// eventArgs are the arguments of invoke.
func eventArgs(event []byte) []byte {
	return msgpack.AppendBytes(msgpack.AppendArray(nil, 1), event)
}

// Refuse answers an enqueue, the frame f, with an error. What the client still
// sends on the channel is late. It returns what Accept has to return then.
func Refuse(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, e *rpc.Error) rpc.Receiver {
	if e.Category == idl.CategoryDispatch {
		s.Violation(b, channel, e)
		return nil
	}
	trace, _ := rpc.ParseTrace(f.Headers) // a bad one was a violation
	_ = s.Send(b, channel, idl.StreamError, rpc.AppendError(nil, e), trace.Append(nil))
	return nil
}
