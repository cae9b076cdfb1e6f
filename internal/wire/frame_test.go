package wire_test

import (
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// tracedFrame is an empty message with three trace headers, as the original sends every frame.
func tracedFrame() []byte {
	zero := "\x00\x00\x00\x00\x00\x00\x00\x00"
	headers := hpack.AppendLiterals(nil, []hpack.Header{
		{Name: hpack.TraceID, Value: zero}, {Name: hpack.SpanID, Value: zero}, {Name: hpack.ParentID, Value: zero},
	})
	return wire.AppendFrame(nil, wire.Frame{Channel: 1, Headers: headers})
}
