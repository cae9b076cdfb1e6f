package codec

import (
	"errors"

	ugorji "github.com/ugorji/go/codec"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Raw is one msgpack value that has not been decoded. Encoding copies it as it
// is; decoding into it copies the bytes of the value. An empty Raw stands for nil;
// only a nil one that is a field of a struct is written like any other nil slice.
type Raw []byte

var errRaw = errors.New("raw bytes are not one msgpack value")

// Decode decodes the value into v, a non-nil pointer.
func (r Raw) Decode(v any) error {
	if len(r) == 0 {
		return Msgpack.Decode(nilValue, v)
	}
	return Msgpack.Decode(r, v)
}

// check refuses bytes that would break the framing around them.
func (r Raw) check() error {
	if msgpack.Extent(r, MaxDepth) != len(r) {
		return errRaw
	}
	return nil
}

// CodecEncodeSelf is called by the encoder for a Raw inside another value.
func (r Raw) CodecEncodeSelf(e *ugorji.Encoder) {
	if len(r) == 0 {
		e.MustEncode(nil)
		return
	}
	if err := r.check(); err != nil {
		panic(err) // the encoder's way of failing; it recovers
	}
	e.MustEncode(ugorji.Raw(r))
}

// CodecDecodeSelf is called by the decoder for a Raw inside another value.
func (r *Raw) CodecDecodeSelf(d *ugorji.Decoder) {
	var raw ugorji.Raw
	d.MustDecode(&raw)
	*r = Raw(raw)
}

var nilValue = msgpack.AppendNil(nil)
