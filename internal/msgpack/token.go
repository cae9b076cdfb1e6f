package msgpack

import "encoding/binary"

// A Token is the first piece of an encoded value: a whole scalar, or the header of a container.
type Token struct {
	Kind  Kind
	Size  uint64 // bytes of the token: a scalar with its payload, or only the header of a container
	Items uint64 // values that follow a container's header: its elements, or twice the pairs of a map
	Value uint64 // the number, when Kind is KindUint
}

// ReadToken describes the token at the start of b. It does not require the payload of a raw to be there: Size may be
// larger than len(b). When even the header is incomplete it returns ErrShort and Size holds a lower bound of what is
// needed; a byte that starts no value gives an *Error.
//
// It is the building block of decoders that resume in the middle of a value; others use a Reader or Skip.
func ReadToken(b []byte) (Token, error) {
	if len(b) == 0 {
		return Token{Size: 1}, ErrShort
	}
	c := b[0]
	t := Token{Kind: tagKinds[c], Size: uint64(fixedSizes[c])}
	switch t.Kind {
	case KindInvalid:
		return t, malformed(0, c)
	case KindUint:
		return readIntToken(b, t)
	case KindRaw:
		if t.Size != 0 {
			return t, nil
		}
		head, n, ok := readLength(b)
		t.Size = uint64(head) + n
		if !ok {
			return t, ErrShort
		}
	case KindArray, KindMap:
		return readContainerToken(b, t)
	}
	return t, nil
}

func readIntToken(b []byte, t Token) (Token, error) {
	if uint64(len(b)) < t.Size {
		return t, ErrShort
	}
	switch b[0] {
	case tagUint8:
		t.Value = uint64(b[1])
	case tagUint16:
		t.Value = uint64(binary.BigEndian.Uint16(b[1:]))
	case tagUint32:
		t.Value = uint64(binary.BigEndian.Uint32(b[1:]))
	case tagUint64:
		t.Value = binary.BigEndian.Uint64(b[1:])
	case tagInt8, tagInt16, tagInt32, tagInt64:
		v := signed(b)
		t.Value = uint64(v)
		if v < 0 {
			t.Kind = KindInt
		}
	default:
		t.Value = uint64(b[0])
	}
	return t, nil
}

func readContainerToken(b []byte, t Token) (Token, error) {
	c := b[0]
	switch {
	case c < tagFixraw: // fixmap and fixarray, side by side in the tag space
		t.Size, t.Items = 1, uint64(c&0x0f)
	default:
		head, n, ok := readLength(b)
		t.Size, t.Items = uint64(head), n
		if !ok {
			return t, ErrShort
		}
	}
	if t.Kind == KindMap {
		t.Items *= 2
	}
	return t, nil
}

// readLength reads the big-endian length after a raw, array or map tag: the size of the header and the length in it.
func readLength(b []byte) (head int, n uint64, ok bool) {
	switch b[0] {
	case tagStr8, tagBin8:
		if len(b) < 2 {
			return 2, 0, false
		}
		return 2, uint64(b[1]), true
	case tagRaw16, tagBin16, tagArray16, tagMap16:
		if len(b) < 3 {
			return 3, 0, false
		}
		return 3, uint64(binary.BigEndian.Uint16(b[1:])), true
	}
	if len(b) < 5 {
		return 5, 0, false
	}
	return 5, uint64(binary.BigEndian.Uint32(b[1:])), true
}

// signed returns the number after an int8, int16, int32 or int64 tag. The caller has checked the size.
func signed(b []byte) int64 {
	switch b[0] {
	case tagInt8:
		return int64(int8(b[1]))
	case tagInt16:
		return int64(int16(binary.BigEndian.Uint16(b[1:])))
	case tagInt32:
		return int64(int32(binary.BigEndian.Uint32(b[1:])))
	}
	return int64(binary.BigEndian.Uint64(b[1:]))
}
