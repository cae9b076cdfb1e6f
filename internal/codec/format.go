package codec

import (
	"encoding/json"
	"fmt"
	"mime"
	"strings"
)

// A Format is a way of writing one value as bytes.
type Format uint8

// The formats. The zero Format is Msgpack.
const (
	Msgpack Format = iota // application/msgpack
	JSON                  // application/json, by encoding/json
	Bytes                 // application/octet-stream: byte slices and strings as they are
)

// ContentTypeHeader is the header of an invocation that names the format of its
// chunks, those of the answer included.
const ContentTypeHeader = "content-type"

// ParseContentType returns the format that a content-type header asks for. An
// empty one asks for Msgpack. Parameters are ignored.
func ParseContentType(s string) (Format, error) {
	switch s { // the forms that need no parsing
	case "", "application/msgpack":
		return Msgpack, nil
	case "application/json":
		return JSON, nil
	case "application/octet-stream":
		return Bytes, nil
	}
	media, _, err := mime.ParseMediaType(s)
	if err != nil {
		return 0, fmt.Errorf("cannot use content type %q: %w", s, err)
	}
	switch {
	case media == "application/msgpack", media == "application/x-msgpack", media == "application/vnd.msgpack":
		return Msgpack, nil
	case media == "application/json", strings.HasSuffix(media, "+json"):
		return JSON, nil
	case media == "application/octet-stream":
		return Bytes, nil
	}
	return 0, fmt.Errorf("cannot use content type %q: it is none of application/msgpack, application/json, application/octet-stream", s)
}

// ContentType is the name of the format in a content-type header.
func (f Format) ContentType() string {
	switch f {
	case JSON:
		return "application/json"
	case Bytes:
		return "application/octet-stream"
	}
	return "application/msgpack"
}

// String is the last word of the content type.
func (f Format) String() string {
	return strings.TrimPrefix(f.ContentType(), "application/")
}

// Append appends the encoding of v. On error dst is returned as it was.
func (f Format) Append(dst []byte, v any) ([]byte, error) {
	switch f {
	case JSON:
		b, err := json.Marshal(v)
		if err != nil {
			return dst, fmt.Errorf("cannot encode %T: %w", v, err)
		}
		return append(dst, b...), nil
	case Bytes:
		return appendBytes(dst, v)
	}
	return appendMsgpack(dst, v)
}

// Decode decodes b, all of it, into v, a non-nil pointer.
func (f Format) Decode(b []byte, v any) error {
	switch f {
	case JSON:
		if err := json.Unmarshal(b, v); err != nil {
			return fmt.Errorf("cannot decode %T: %w", v, err)
		}
		return nil
	case Bytes:
		return decodeBytes(b, v)
	}
	return decodeMsgpack(b, v)
}

func appendBytes(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return append(dst, v...), nil
	case *[]byte:
		return append(dst, *v...), nil
	case string:
		return append(dst, v...), nil
	case *string:
		return append(dst, *v...), nil
	}
	return dst, fmt.Errorf("cannot encode %T: %s carries only []byte and string", v, Bytes)
}

func decodeBytes(b []byte, v any) error {
	switch v := v.(type) {
	case *[]byte:
		*v = append([]byte(nil), b...)
	case *string:
		*v = string(b)
	case *any:
		*v = append([]byte(nil), b...)
	default:
		return fmt.Errorf("cannot decode %T: %s carries only []byte and string", v, Bytes)
	}
	return nil
}
