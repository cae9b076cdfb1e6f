package cocaine

import (
	"context"
	"math/rand/v2"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Trace ties the parts of one request together, across processes. Every call
// made with a context that carries one becomes a span of its own below it:
//
//	type Trace struct {
//		ID, Span, Parent uint64 // of the request; of this part; of the part that called it
//		High             uint64 // the upper half of an id of 128 bits, as a rule 0
//		Verbose          bool   // lifts the threshold for everything logged on its behalf
//	}
//	func (t Trace) Traceparent() string // as W3C Trace Context has it, "" for no trace
//	func (t Trace) Headers() []Header   // the three that it travels in
//
// Its Traceparent method and ParseTraceparent are the bridge to W3C Trace Context:
// the lower 64 bits of the trace id there are ID here, the parent id is Span. The
// upper 64 bits are High; when they are not zero a traceparent header goes with
// every call beside Cocaine's own, so that the whole id arrives at a worker and at
// whomever that calls.
type Trace = rpc.Trace

// ParseTraceparent reads the value of a W3C traceparent header. The result is the
// sender's span: put it into a context with WithTrace, and calls made with that
// become spans below it. The sampled flag is not kept, and an id whose lower 64
// bits are zero is an error, because Cocaine cannot carry it.
func ParseTraceparent(s string) (Trace, error) { return rpc.ParseTraceparent(s) }

// NewTrace starts a trace with random ids.
func NewTrace() Trace {
	id := newID()
	return Trace{ID: id, Span: id}
}

// newID draws an id that is not zero and fits a signed integer, as the tools that
// show traces want it.
func newID() uint64 { return rand.Uint64N(1<<63-2) + 1 }

type traceKey struct{}

// WithTrace returns a context that carries a trace.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf returns the trace that a context carries, the zero Trace if none. In a
// worker's handler it is that of the request.
func TraceOf(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return t
}

// appendTrace appends the headers of a span below that of the context.
func appendTrace(hs []Header, ctx context.Context) []Header {
	t := TraceOf(ctx)
	if t.ID == 0 {
		return hs
	}
	t.Parent, t.Span = t.Span, newID()
	hs = append(hs, t.Headers()...)
	if t.Verbose {
		hs = append(hs, Header{Name: hpack.TraceBit, Value: "1"})
	}
	if t.High != 0 {
		hs = append(hs, Header{Name: rpc.TraceparentHeader, Value: t.Traceparent()})
	}
	return hs
}
