package codec

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	ugorji "github.com/ugorji/go/codec"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// MaxDepth is how many containers may be nested in one value. The frame around
// it has a limit of its own.
const MaxDepth = 128

var errTrailing = errors.New("bytes follow the value")

// AppendArgs appends an array of values: the arguments of a message.
func AppendArgs(dst []byte, args ...any) ([]byte, error) {
	out := msgpack.AppendArray(dst, len(args))
	for i, arg := range args {
		var err error
		if out, err = appendMsgpack(out, arg); err != nil {
			return dst, fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	return out, nil
}

// appendMsgpack writes what needs no reflection itself and leaves the rest to
// the encoder.
func appendMsgpack(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case Raw:
		return appendRaw(dst, v)
	case *Raw:
		return appendRaw(dst, *v)
	case *any:
		if v != nil {
			return appendMsgpack(dst, *v)
		}
	case *string:
		if v != nil {
			return msgpack.AppendString(dst, *v), nil
		}
	case *[]byte:
		if v != nil {
			return msgpack.AppendBytes(dst, *v), nil
		}
	}
	if plain(v) {
		if out, err := msgpack.AppendValue(dst, v); err == nil {
			return out, nil
		}
	}
	if err := encodable(v); err != nil {
		return dst, err
	}
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	return e.append(dst, v)
}

// plain reports whether msgpack.AppendValue knows the type; what is inside a list
// or a map it may still not know.
func plain(v any) bool {
	switch v.(type) {
	case nil, bool, string, []byte, float32, float64,
		int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64,
		[]any, []string, map[string]any, map[string]string:
		return true
	}
	return false
}

func appendRaw(dst []byte, r Raw) ([]byte, error) {
	if len(r) == 0 {
		return msgpack.AppendNil(dst), nil
	}
	if err := r.check(); err != nil {
		return dst, fmt.Errorf("cannot encode %T: %w", r, err)
	}
	return append(dst, r...), nil
}

func decodeMsgpack(b []byte, v any) error {
	rest, err := msgpack.Skip(b, MaxDepth)
	switch {
	case err != nil:
		return fmt.Errorf("cannot decode %T: %w", v, err)
	case len(rest) > 0:
		return fmt.Errorf("cannot decode %T: %w: %d of %d", v, errTrailing, len(rest), len(b))
	}
	if done, err := decodeKnown(b, v); done {
		if err != nil {
			return fmt.Errorf("cannot decode %T: %w", v, err)
		}
		return nil
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	return d.decode(b, v)
}

// decodeKnown decodes into the targets that need no reflection. It reports false
// when it has left the work to the decoder.
func decodeKnown(b []byte, v any) (done bool, err error) {
	r := msgpack.NewReader(b)
	kind := r.Kind()
	number := kind == msgpack.KindInt || kind == msgpack.KindUint
	switch v := v.(type) {
	case *Raw:
		*v = append((*v)[:0:0], b...)
	case *any:
		*v, err = dynamic(&r)
		return true, err
	case *string:
		if kind != msgpack.KindRaw {
			return false, nil
		}
		*v = r.String()
	case *[]byte:
		if kind != msgpack.KindRaw {
			return false, nil
		}
		*v = append([]byte{}, r.Bytes()...)
	case *bool:
		if kind != msgpack.KindBool {
			return false, nil
		}
		*v = r.Bool()
	case *int:
		if !number {
			return false, nil
		}
		*v = int(r.Int())
	case *int64:
		if !number {
			return false, nil
		}
		*v = r.Int()
	case *uint64:
		if !number {
			return false, nil
		}
		*v = r.Uint()
	default:
		return false, nil
	}
	return true, r.Err()
}

// newHandle makes the rules both coders go by.
func newHandle() *ugorji.MsgpackHandle {
	h := new(ugorji.MsgpackHandle)
	h.WriteExt = false // the old dialect
	h.PositiveIntUnsigned = true
	h.NilCollectionToZeroLength = true // a service that wants an array does not take nil
	h.Raw = true
	h.RawToString = true
	h.SignedInteger = true
	h.MapType = reflect.TypeFor[map[string]any]()
	h.CheckCircularRef = true // a value that contains itself must not end the process
	h.MaxDepth = MaxDepth + 1
	h.MaxInitLen = 1 << 10 // elements made on the word of a count
	return h
}

// handle is read only after its first use.
var handle = newHandle()

// encoder and decoder keep the machinery of a coding for the next one.
type encoder struct {
	enc *ugorji.Encoder
	out []byte
}

type decoder struct{ dec *ugorji.Decoder }

var (
	encoders = sync.Pool{New: func() any { return &encoder{enc: ugorji.NewEncoderBytes(nil, handle)} }}
	decoders = sync.Pool{New: func() any { return &decoder{dec: ugorji.NewDecoderBytes(nil, handle)} }}
)

// append encodes into the free space behind dst where that is large enough.
func (e *encoder) append(dst []byte, v any) ([]byte, error) {
	e.out = dst[len(dst):]
	e.enc.ResetBytes(&e.out)
	err := e.enc.Encode(v)
	out := e.out
	e.out = nil
	if err != nil {
		return dst, fmt.Errorf("cannot encode %T: %w", v, err)
	}
	return append(dst, out...), nil
}

func (d *decoder) decode(b []byte, v any) error {
	d.dec.ResetBytes(b)
	err := d.dec.Decode(v)
	d.dec.ResetBytes(nil) // or the pool would keep the input alive
	if err != nil {
		return fmt.Errorf("cannot decode %T: %w", v, err)
	}
	return nil
}
