package cocaine

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
)

// A Header is a name and a value that travel with a call, beside its arguments.
// The value may be any bytes.
//
//	type Header struct{ Name, Value string }
type Header = hpack.Header

// Headers are those of one call. Names may repeat.
type Headers []Header

// Get returns the value of the first header with exactly that name, "" if there
// is none.
func (h Headers) Get(name string) string {
	v, _ := hpack.Lookup(h, name)
	return v
}

// enqueueMethod is the method by which apps are called. It is the one that heeds
// deadlines and content types.
const enqueueMethod = "enqueue"

// headers appends those of one call to room, which has none: the handle's own, then
// what the context says.
func (o *CallOptions) headers(room []Header, ctx context.Context, method string) []Header {
	hs := append(room, o.Headers...)
	if method == enqueueMethod {
		if o.ContentType != "" {
			hs = append(hs, Header{Name: contentTypeHeader, Value: o.ContentType})
		}
		if deadline, ok := ctx.Deadline(); ok {
			hs = append(hs, Header{Name: hpack.RequestTimeout, Value: requestTimeout(deadline)})
		}
	}
	return appendTrace(hs, ctx)
}

// requestTimeout writes the time that is left as the runtime reads it: eight
// bytes, little-endian, milliseconds (docs/PROTOCOL.md, Headers). It is rounded
// up, since 0 would be no time at all.
func requestTimeout(deadline time.Time) string {
	left := max(time.Until(deadline), 1)
	ms := uint64((left + time.Millisecond - 1) / time.Millisecond)
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], ms)
	return string(b[:])
}
