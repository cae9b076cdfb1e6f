package cocaine

import "github.com/cocaine/cocaine-go/internal/codec"

// Raw is one msgpack value that has not been decoded, a []byte. As an argument it is sent
// as it is; as the type of a result it keeps the bytes. Its Decode method decodes
// it later.
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
