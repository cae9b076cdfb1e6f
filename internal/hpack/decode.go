package hpack

import (
	"errors"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// MaxHeaders is how many headers one frame may carry. A stored header is named by one byte, so that without a bound a
// frame of megabytes would become gigabytes.
const MaxHeaders = 1024

// ErrHeaders is wrapped by every decoding failure. It is fatal for the connection: the tables of the two sides differ
// from now on.
var ErrHeaders = errors.New("undecodable headers")

// Decode appends to dst the headers of src, a whole msgpack array, and stores those that ask for it. An absent array
// (nil src: a frame of three elements) has no headers. The result shares nothing with src.
func (t *Table) Decode(dst []Header, src []byte) ([]Header, error) {
	if len(src) == 0 || len(src) == 1 && src[0] == emptyArray {
		return dst, nil
	}
	r := msgpack.NewReader(src)
	n := r.Array()
	if n > MaxHeaders {
		return dst, fmt.Errorf("%w: %d of them, the limit is %d", ErrHeaders, n, MaxHeaders)
	}
	for i := range n {
		h, err := t.decodeOne(&r)
		if err == nil {
			err = r.Err()
		}
		if err != nil {
			return dst, fmt.Errorf("%w: header %d: %w", ErrHeaders, i, err)
		}
		dst = append(dst, h)
	}
	if err := r.Err(); err != nil {
		return dst, fmt.Errorf("%w: %w", ErrHeaders, err)
	}
	if r.Len() > 0 {
		return dst, fmt.Errorf("%w: %d bytes after the array", ErrHeaders, r.Len())
	}
	return dst, nil
}

const emptyArray = 0x90

func (t *Table) decodeOne(r *msgpack.Reader) (Header, error) {
	if r.Kind() != msgpack.KindArray {
		return t.decodeIndex(r)
	}
	if n := r.Array(); n != 3 && r.Err() == nil {
		return Header{}, fmt.Errorf("%d elements, want 3", n)
	}
	store := r.Bool()
	h, err := t.decodeName(r)
	if err != nil {
		return Header{}, err
	}
	h.Value = internValue(r.Bytes())
	if r.Err() == nil && store {
		t.add(h)
	}
	return h, nil
}

func (t *Table) decodeName(r *msgpack.Reader) (Header, error) {
	if r.Kind() == msgpack.KindRaw {
		return Header{Name: internName(r.Bytes())}, nil
	}
	return t.decodeIndex(r)
}

func (t *Table) decodeIndex(r *msgpack.Reader) (Header, error) {
	index := r.Uint()
	if r.Err() != nil {
		return Header{}, r.Err()
	}
	h, ok := t.lookup(index)
	if !ok {
		return Header{}, fmt.Errorf("no table entry %d", index)
	}
	return h, nil
}

// internName returns the bytes as a string, without allocating for the names on every traced frame.
func internName(b []byte) string {
	switch string(b) {
	case TraceID:
		return TraceID
	case SpanID:
		return SpanID
	case ParentID:
		return ParentID
	case TraceBit:
		return TraceBit
	case Authorization:
		return Authorization
	case RequestTimeout:
		return RequestTimeout
	}
	return string(b)
}

// internValue does the same for the values of an absent trace.
func internValue(b []byte) string {
	switch string(b) {
	case zeroID:
		return zeroID
	case "0":
		return "0"
	case "1":
		return "1"
	}
	return string(b)
}
