package rpc

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/hpack"
)

// TraceparentHeader is the header of W3C Trace Context. It goes beside the triple
// when the trace began in a system whose ids have 128 bits.
const TraceparentHeader = "traceparent"

// Traceparent gives the trace in the form of W3C Trace Context, version 00:
//
//	00-<High, ID>-<Span>-01
//
// The trace id has 128 bits there: the lower 64 are ID, the upper High. The flag
// says sampled, because whoever carries a trace here records it. The zero Trace
// gives "".
func (t Trace) Traceparent() string {
	if t.ID == 0 {
		return ""
	}
	var b [55]byte
	copy(b[:], "00-")
	hex16(b[3:], t.High)
	hex16(b[19:], t.ID)
	b[35] = '-'
	hex16(b[36:], t.Span)
	copy(b[52:], "-01")
	return string(b[:])
}

func hex16(dst []byte, v uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	hex.Encode(dst, b[:])
}

// ParseTraceparent reads the value of a traceparent header. The result has no
// Parent: its Span is the sender's span, and what is called in the course of the
// request becomes a span below that. The flags are not kept; whether a request is
// logged in full is Verbose's business.
//
// Versions above 00 are read as far as they look like it, as the standard asks.
// An id whose lower 64 bits are zero cannot be carried and is an error.
func ParseTraceparent(s string) (Trace, error) {
	fail := func(why string) (Trace, error) {
		return Trace{}, fmt.Errorf("cannot read traceparent %.80q: %s", s, why)
	}
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return fail("want VERSION-TRACE-SPAN-FLAGS of 2, 32, 16 and 2 hexadecimal digits")
	}
	var version, flags [1]byte
	var trace [16]byte
	var span [8]byte
	for _, f := range []struct {
		dst  []byte
		text string
	}{{version[:], s[:2]}, {trace[:], s[3:35]}, {span[:], s[36:52]}, {flags[:], s[53:55]}} {
		if !lowerHex(f.text) {
			return fail("want lower case hexadecimal digits")
		}
		if _, err := hex.Decode(f.dst, []byte(f.text)); err != nil {
			return fail(err.Error())
		}
	}
	switch {
	case version[0] == 0xff:
		return fail("there is no version ff")
	case version[0] == 0 && len(s) != 55, len(s) > 55 && s[55] != '-':
		return fail("something follows the flags")
	}
	t := Trace{
		High: binary.BigEndian.Uint64(trace[:8]), ID: binary.BigEndian.Uint64(trace[8:]),
		Span: binary.BigEndian.Uint64(span[:]),
	}
	if t.ID == 0 {
		return fail("the lower half of the trace id is zero")
	}
	if t.Span == 0 {
		return fail("the span id is zero")
	}
	return t, nil
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// high gives the upper half of the trace id that the headers tell beside the
// triple. One that is about another trace is no concern of this one.
func high(hs []hpack.Header, id uint64) uint64 {
	v, ok := hpack.Lookup(hs, TraceparentHeader)
	if !ok {
		return 0
	}
	if t, err := ParseTraceparent(v); err == nil && t.ID == id {
		return t.High
	}
	return 0
}
