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
	invoke  []byte        // all headers, encoded for the worker
	echo    []byte        // the trace, encoded for every frame; empty when untraced
	timeout time.Duration // negative when the request does not say
	story   bool
}

// readHeaders checks and encodes the headers of an enqueue. They all travel on to
// the worker, the trace first (docs/PROTOCOL.md, Headers).
func readHeaders(hs []hpack.Header) (requestHeaders, error) {
	h := requestHeaders{timeout: -1}
	trace, err := rpc.ParseTrace(hs)
	if err != nil {
		return h, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
	}
	h.echo = trace.Append(nil)
	if v, ok := hpack.Lookup(hs, "request_timeout"); ok {
		if len(v) != 8 {
			return h, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs,
				"cannot read request_timeout: have %d bytes, want 8 (milliseconds, little-endian)", len(v))
		}
		ms := binary.LittleEndian.Uint64([]byte(v))
		h.timeout = time.Duration(min(ms, math.MaxInt64/uint64(2*time.Millisecond))) * time.Millisecond
	}
	_, h.story = hpack.Lookup(hs, StoryHeader)
	out := trace.Headers()
	for _, x := range hs {
		if !rpc.IsTraceHeader(x.Name) && x.Name != StoryHeader {
			out = append(out, x)
		}
	}
	if len(out) > 0 {
		h.invoke = hpack.AppendLiterals(nil, out)
	}
	return h, nil
}

// eventArgs are the arguments of invoke.
func eventArgs(event []byte) []byte {
	return msgpack.AppendBytes(msgpack.AppendArray(nil, 1), event)
}

// Refuse answers an enqueue, the frame f, with an error; what the client still
// sends on the channel is swallowed.
func Refuse(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, e *rpc.Error) rpc.Receiver {
	if e.Category == idl.CategoryDispatch {
		s.Violation(b, channel, e)
		return sink
	}
	trace, _ := rpc.ParseTrace(f.Headers) // a bad one was a violation
	_ = s.Send(b, channel, idl.StreamError, rpc.AppendError(nil, e), trace.Append(nil))
	return sink
}

// sink swallows what a client still sends on a request that was refused.
var sink rpc.Receiver = refused{}

type refused struct{}

func (refused) Receive(_ *rpc.Batch, f *rpc.Frame) bool { return f.Type != idl.Write }
func (refused) Lost(*rpc.Batch, error)                  {}
