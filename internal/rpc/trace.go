package rpc

import (
	"encoding/binary"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/hpack"
)

// A Trace is the triple that ties the parts of one request together
// (docs/PROTOCOL.md, Tracing). The zero Trace means none.
type Trace struct {
	ID, Span, Parent uint64
	// High is the upper half of a trace id of 128 bits, 0 for a trace that began
	// in Cocaine. It is no part of the triple (see Traceparent).
	High uint64
	// Verbose lifts the severity threshold for everything logged on behalf of
	// the request.
	Verbose bool
}

// ParseTrace reads the trace of a channel's first frame. Fewer than three of the
// id headers mean no trace.
func ParseTrace(hs []hpack.Header) (Trace, error) {
	var t Trace
	if len(hs) == 0 {
		return t, nil
	}
	if bit, ok := hpack.Lookup(hs, "trace_bit"); ok {
		switch bit {
		case "0":
		case "1":
			t.Verbose = true
		default:
			return Trace{}, fmt.Errorf("cannot read trace: trace_bit is %q, want 0 or 1", bit)
		}
	}
	id, ok1 := hpack.Lookup(hs, "trace_id")
	span, ok2 := hpack.Lookup(hs, "span_id")
	parent, ok3 := hpack.Lookup(hs, "parent_id")
	if !ok1 || !ok2 || !ok3 {
		return t, nil
	}
	for _, v := range []string{id, span, parent} {
		if len(v) != 8 {
			return Trace{}, fmt.Errorf("cannot read trace: id has %d bytes, want 8", len(v))
		}
	}
	t.ID = binary.LittleEndian.Uint64([]byte(id))
	t.Span = binary.LittleEndian.Uint64([]byte(span))
	t.Parent = binary.LittleEndian.Uint64([]byte(parent))
	t.High = high(hs, t.ID)
	if t.ID == 0 && (t.Span != 0 || t.Parent != 0) || t.ID != 0 && t.Span == 0 {
		return Trace{}, fmt.Errorf("cannot read trace: ids %x/%x/%x do not make a trace", t.ID, t.Span, t.Parent)
	}
	return t, nil
}

// Headers gives the triple as headers, nil for no trace.
func (t Trace) Headers() []hpack.Header {
	if t.ID == 0 {
		return nil
	}
	return []hpack.Header{
		{Name: "trace_id", Value: le64(t.ID)},
		{Name: "span_id", Value: le64(t.Span)},
		{Name: "parent_id", Value: le64(t.Parent)},
	}
}

// Append appends the triple as an encoded header array to dst; for no trace it
// appends nothing.
func (t Trace) Append(dst []byte) []byte {
	if t.ID == 0 {
		return dst
	}
	return hpack.AppendLiterals(dst, t.Headers())
}

func le64(v uint64) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return string(b[:])
}

// IsTraceHeader reports whether a header belongs to the triple.
func IsTraceHeader(name string) bool {
	return name == "trace_id" || name == "span_id" || name == "parent_id"
}
