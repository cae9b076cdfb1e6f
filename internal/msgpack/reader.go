package msgpack

import (
	"encoding/binary"
	"math"
)

// Reader is a cursor over a buffer that holds complete values. Each getter consumes one value (Array and Map only
// their header) and returns its zero when the value has another type; from then on Err tells why and every getter
// returns zero without moving. Decoders therefore read field after field and check Err once.
//
// A Reader copies nothing but the result of String. It is used through a pointer by one goroutine, but is itself a
// value, so that it can live on the stack.
type Reader struct {
	b   []byte
	pos int
	err error
}

// NewReader returns a Reader at the start of b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns the first failure: nil, ErrShort or an *Error.
func (r *Reader) Err() error { return r.err }

// Len returns how many bytes are left.
func (r *Reader) Len() int { return len(r.b) - r.pos }

// Offset returns how many bytes were consumed.
func (r *Reader) Offset() int { return r.pos }

// Kind returns the kind of the next value without consuming it; KindInvalid at the end of the input, after a failure
// and for malformed bytes.
func (r *Reader) Kind() Kind {
	if r.err != nil || r.pos >= len(r.b) {
		return KindInvalid
	}
	c := r.b[r.pos]
	if c >= tagInt8 && c <= tagInt64 && r.pos+1 < len(r.b) && r.b[r.pos+1] >= 0x80 {
		return KindInt
	}
	return tagKinds[c]
}

// Array consumes an array header and returns the number of elements. The number is never larger than the bytes left,
// so that a caller may allocate by it.
func (r *Reader) Array() int {
	if r.err == nil && r.pos < len(r.b) {
		if c := r.b[r.pos]; c&0xf0 == tagFixarray && int(c&0x0f) < len(r.b)-r.pos {
			r.pos++
			return int(c & 0x0f)
		}
	}
	return int(r.container(KindArray))
}

// Map consumes a map header and returns the number of pairs. Twice the number is never larger than the bytes left.
func (r *Reader) Map() int { return int(r.container(KindMap) / 2) }

func (r *Reader) container(k Kind) uint64 {
	t, ok := r.token(k)
	if !ok {
		return 0
	}
	if t.Items > uint64(r.Len())-t.Size {
		r.err = ErrShort
		return 0
	}
	r.pos += int(t.Size)
	return t.Items
}

// Uint consumes a non-negative integer of any width and signedness.
func (r *Reader) Uint() uint64 {
	if r.err == nil && r.pos < len(r.b) && r.b[r.pos] <= maxFixint {
		r.pos++
		return uint64(r.b[r.pos-1])
	}
	t, ok := r.integer()
	if !ok {
		return 0
	}
	if t.Kind == KindInt {
		r.fail(ErrRange, "negative")
		return 0
	}
	r.pos += int(t.Size)
	return t.Value
}

// Int consumes an integer of any width and signedness that fits int64.
func (r *Reader) Int() int64 {
	t, ok := r.integer()
	if !ok {
		return 0
	}
	if t.Kind == KindUint && t.Value > math.MaxInt64 {
		r.fail(ErrRange, "above the largest int64")
		return 0
	}
	r.pos += int(t.Size)
	return int64(t.Value)
}

// integer describes the next value without consuming it; Value holds the bits of a negative number too.
func (r *Reader) integer() (Token, bool) {
	t, ok := r.peek()
	if !ok {
		return t, false
	}
	if t.Kind != KindUint && t.Kind != KindInt {
		r.mismatch("integer", t.Kind)
		return t, false
	}
	if r.b[r.pos] >= tagFixintNeg {
		t.Value = uint64(int64(int8(r.b[r.pos])))
	}
	return t, true
}

// Float consumes a float of either width, or an integer: the original converts those where a float is expected.
func (r *Reader) Float() float64 {
	switch r.Kind() {
	case KindUint:
		return float64(r.Uint())
	case KindInt:
		return float64(r.Int())
	}
	t, ok := r.token(KindFloat)
	if !ok {
		return 0
	}
	p := r.b[r.pos+1:]
	r.pos += int(t.Size)
	if t.Size == 5 {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(p)))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(p))
}

// Bool consumes a boolean.
func (r *Reader) Bool() bool {
	t, ok := r.token(KindBool)
	if !ok {
		return false
	}
	r.pos += int(t.Size)
	return r.b[r.pos-1] == tagTrue
}

// Nil consumes a nil.
func (r *Reader) Nil() {
	if t, ok := r.token(KindNil); ok {
		r.pos += int(t.Size)
	}
}

// String consumes a raw and returns a copy of it. The bytes need not be UTF-8.
func (r *Reader) String() string { return string(r.Bytes()) }

// Bytes consumes a raw and returns it without copying: the result aliases the input.
func (r *Reader) Bytes() []byte {
	if r.err == nil && r.pos < len(r.b) {
		if c := r.b[r.pos]; c&0xe0 == tagFixraw && int(c&0x1f) < len(r.b)-r.pos {
			from := r.pos + 1
			r.pos = from + int(c&0x1f)
			return r.b[from:r.pos:r.pos]
		}
	}
	t, ok := r.token(KindRaw)
	if !ok {
		return nil
	}
	head := 1
	if fixedSizes[r.b[r.pos]] == 0 {
		head, _, _ = readLength(r.b[r.pos:])
	}
	from := r.pos + head
	r.pos += int(t.Size)
	return r.b[from:r.pos:r.pos]
}

// Skip consumes one value of any type.
func (r *Reader) Skip() { r.Raw() }

// Raw consumes one value of any type and returns its encoding, which aliases the input.
func (r *Reader) Raw() []byte {
	if r.err != nil {
		return nil
	}
	b := r.b[r.pos:]
	n := Extent(b, MaxDepth)
	if n < 0 {
		_, r.err = explain(r.b, r.pos, MaxDepth)
		return nil
	}
	r.pos += n
	return b[:n:n]
}

// token returns the next value's token when it is complete and of the kind, else fails.
func (r *Reader) token(k Kind) (Token, bool) {
	t, ok := r.peek()
	if ok && t.Kind != k {
		r.mismatch(k.String(), t.Kind)
		return t, false
	}
	return t, ok
}

func (r *Reader) peek() (Token, bool) {
	if r.err != nil {
		return Token{}, false
	}
	t, err := ReadToken(r.b[r.pos:])
	if e, ok := err.(*Error); ok {
		e.Offset = r.pos
	}
	if err == nil && t.Size > uint64(r.Len()) {
		err = ErrShort
	}
	r.err = err
	return t, err == nil
}

func (r *Reader) mismatch(want string, got Kind) {
	r.fail(ErrType, "want "+want+", have "+got.String())
}

func (r *Reader) fail(cause error, detail string) {
	r.err = &Error{Offset: r.pos, Err: cause, Detail: detail}
}
