package frame

import (
	"encoding/binary"
	"fmt"
)

// AppendRaw appends text or bytes in the old dialect, which knows one kind for
// both: fixraw below 32 bytes, raw16, raw32.
func AppendRaw[T ~string | ~[]byte](dst []byte, v T) []byte {
	switch n := len(v); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n <= 0xffff:
		dst = append(dst, 0xda, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, v...)
}

// AppendArray appends the header of an array of n values.
func AppendArray(dst []byte, n int) []byte {
	if n < 16 {
		return append(dst, 0x90|byte(n))
	}
	return append(dst, 0xdc, byte(n>>8), byte(n))
}

// AppendMap appends the header of a map of n pairs.
func AppendMap(dst []byte, n int) []byte {
	if n < 16 {
		return append(dst, 0x80|byte(n))
	}
	return append(dst, 0xde, byte(n>>8), byte(n))
}

// Tail encodes type, args and empty headers: a frame without its channel. Each
// argument is an encoded value.
func Tail(typ uint64, args ...[]byte) []byte {
	b := AppendUint(nil, typ)
	b = AppendArray(b, len(args))
	for _, a := range args {
		b = append(b, a...)
	}
	return append(b, 0x90)
}

// Raw encodes one raw value.
func Raw[T ~string | ~[]byte](v T) []byte { return AppendRaw(nil, v) }

// RawAt reads the raw at the start of b, of either dialect, and what follows it.
func RawAt(b []byte) (v, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, ErrShort
	}
	tag, n, i := b[0], 0, 1
	switch {
	case tag >= 0xa0 && tag < 0xc0:
		n = int(tag & 0x1f)
	case (tag == 0xd9 || tag == 0xc4) && len(b) >= 2:
		n, i = int(b[1]), 2
	case (tag == 0xda || tag == 0xc5) && len(b) >= 3:
		n, i = int(binary.BigEndian.Uint16(b[1:])), 3
	case (tag == 0xdb || tag == 0xc6) && len(b) >= 5:
		n, i = int(binary.BigEndian.Uint32(b[1:])), 5
	default:
		return nil, nil, ErrBroken
	}
	if len(b)-i < n {
		return nil, nil, ErrShort
	}
	return b[i : i+n], b[i+n:], nil
}

// ArrayAt reads the header of the array at the start of b.
func ArrayAt(b []byte) (n int, rest []byte, err error) {
	switch {
	case len(b) == 0:
		return 0, nil, ErrShort
	case b[0]&0xf0 == 0x90:
		return int(b[0] & 0x0f), b[1:], nil
	case b[0] == 0xdc && len(b) >= 3:
		return int(binary.BigEndian.Uint16(b[1:])), b[3:], nil
	}
	return 0, nil, ErrBroken
}

// UintAt reads the non-negative integer at the start of b.
func UintAt(b []byte) (v uint64, rest []byte, err error) {
	v, n, err := uintAt(b, 0)
	if err != nil {
		return 0, nil, err
	}
	return v, b[n:], nil
}

// Error is what a peer answered instead of a result.
type Error struct {
	Category, Code uint64
	Message        string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s [%d, %d]", e.Message, e.Category, e.Code)
}

// ErrorAt reads the args of an error frame: [[category, code], message]. What
// does not read is left out: an error about an error helps nobody.
func ErrorAt(args []byte) *Error {
	e := &Error{Message: "unreadable error"}
	_, b, err := ArrayAt(args)
	if err != nil {
		return e
	}
	if _, b, err = ArrayAt(b); err != nil {
		return e
	}
	if e.Category, b, err = UintAt(b); err != nil {
		return e
	}
	if e.Code, b, err = UintAt(b); err != nil {
		return e
	}
	if text, _, err := RawAt(b); err == nil {
		e.Message = string(text)
	}
	return e
}
