package cocaine

import "github.com/cocaine/cocaine-go/internal/codec"

// Raw is one msgpack value that has not been decoded:
//
//	type Raw []byte
//	func (r Raw) Decode(v any) error // into v, a non-nil pointer
//
// As an argument it is sent as it is; as the type of a result it keeps the bytes, to be
// decoded later. Encode makes one. An empty one stands for nil.
type Raw = codec.Raw

// Encode gives a value as msgpack.
func Encode(v any) (Raw, error) { return codec.Msgpack.Append(nil, v) }

const contentTypeHeader = codec.ContentTypeHeader

// Content types that a call of an app's event may ask for in
// CallOptions.ContentType. A typed handler answers in kind.
const (
	ContentMsgpack = "application/msgpack"      // the default
	ContentJSON    = "application/json"         // by encoding/json
	ContentBytes   = "application/octet-stream" // []byte and string as they are
)
