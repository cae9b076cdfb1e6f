package msgpack

// First bytes of encoded values. The str8 and bin tags are read, never written.
const (
	maxFixint    = 0x7f
	tagFixmap    = 0x80
	tagFixarray  = 0x90
	tagFixraw    = 0xa0
	tagNil       = 0xc0
	tagFalse     = 0xc2
	tagTrue      = 0xc3
	tagBin8      = 0xc4
	tagBin16     = 0xc5
	tagBin32     = 0xc6
	tagFloat32   = 0xca
	tagFloat64   = 0xcb
	tagUint8     = 0xcc
	tagUint16    = 0xcd
	tagUint32    = 0xce
	tagUint64    = 0xcf
	tagInt8      = 0xd0
	tagInt16     = 0xd1
	tagInt32     = 0xd2
	tagInt64     = 0xd3
	tagStr8      = 0xd9
	tagRaw16     = 0xda
	tagRaw32     = 0xdb
	tagArray16   = 0xdc
	tagArray32   = 0xdd
	tagMap16     = 0xde
	tagMap32     = 0xdf
	tagFixintNeg = 0xe0
)

// Kind is the type of an encoded value.
type Kind uint8

// The kinds of values. Integers are told apart by sign, not by tag: a non-negative integer is KindUint whatever its
// width and signedness on the wire.
const (
	KindInvalid Kind = iota // end of input, or a tag the dialect does not have
	KindNil
	KindBool
	KindInt // negative integer
	KindUint
	KindFloat
	KindRaw // text or bytes
	KindArray
	KindMap
)

// String returns the name of the kind as error messages use it.
func (k Kind) String() string {
	switch k {
	case KindNil:
		return "nil"
	case KindBool:
		return "bool"
	case KindInt:
		return "negative integer"
	case KindUint:
		return "unsigned integer"
	case KindFloat:
		return "float"
	case KindRaw:
		return "raw"
	case KindArray:
		return "array"
	case KindMap:
		return "map"
	}
	return "invalid value"
}

// tagKinds maps a first byte to its kind. The four signed integer tags are listed as KindUint; their sign decides.
var tagKinds = buildTagKinds()

func buildTagKinds() (t [256]Kind) {
	fill := func(from, to int, k Kind) {
		for i := from; i <= to; i++ {
			t[i] = k
		}
	}
	fill(0x00, maxFixint, KindUint)
	fill(tagFixmap, tagFixmap|0x0f, KindMap)
	fill(tagFixarray, tagFixarray|0x0f, KindArray)
	fill(tagFixraw, tagFixraw|0x1f, KindRaw)
	t[tagNil] = KindNil
	fill(tagFalse, tagTrue, KindBool)
	fill(tagBin8, tagBin32, KindRaw)
	fill(tagFloat32, tagFloat64, KindFloat)
	fill(tagUint8, tagUint64, KindUint)
	fill(tagInt8, tagInt64, KindUint)
	fill(tagStr8, tagRaw32, KindRaw)
	fill(tagArray16, tagArray32, KindArray)
	fill(tagMap16, tagMap32, KindMap)
	fill(tagFixintNeg, 0xff, KindInt)
	return t
}

// fixedSizes maps a first byte to the whole size of the value, or 0 when the size is written in the bytes after it or
// the value is a container or malformed.
var fixedSizes = buildFixedSizes()

func buildFixedSizes() (t [256]uint8) {
	for i := range t {
		switch {
		case i <= maxFixint, i >= tagFixintNeg, i == tagNil, i == tagFalse, i == tagTrue:
			t[i] = 1
		case i >= tagFixraw && i <= tagFixraw|0x1f:
			t[i] = uint8(1 + i&0x1f)
		case i == tagUint8, i == tagInt8:
			t[i] = 2
		case i == tagUint16, i == tagInt16:
			t[i] = 3
		case i == tagUint32, i == tagInt32, i == tagFloat32:
			t[i] = 5
		case i == tagUint64, i == tagInt64, i == tagFloat64:
			t[i] = 9
		}
	}
	return t
}
