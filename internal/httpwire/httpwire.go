package httpwire

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// A Field is one line of a header.
type Field struct{ Name, Value string }

// A Request is the first chunk that a proxy sends.
type Request struct {
	Method  string
	URI     string // path and query
	Version string // "1.1", "1.0" or with HTTP/ before it
	Fields  []Field
	Body    []byte // all of it, or its beginning
}

// A Head is the first chunk that a worker answers with.
type Head struct {
	Status int
	Fields []Field
}

// AppendRequest appends the packed request.
func AppendRequest(dst []byte, r *Request) []byte {
	dst = msgpack.AppendArray(dst, 5)
	dst = msgpack.AppendString(dst, r.Method)
	dst = msgpack.AppendString(dst, r.URI)
	dst = msgpack.AppendString(dst, r.Version)
	dst = appendFields(dst, r.Fields)
	return msgpack.AppendBytes(dst, r.Body)
}

// ParseRequest reads a packed request. Its Body aliases b. Elements after the fifth
// are ignored.
func ParseRequest(b []byte) (Request, error) {
	q, err := parseRequest(b)
	if err != nil {
		return Request{}, fmt.Errorf("cannot read HTTP request: %w", err)
	}
	return q, nil
}

func parseRequest(b []byte) (q Request, err error) {
	r, extra, err := newReader(b, 5, 4)
	if err != nil {
		return q, err
	}
	q = Request{Method: r.string(), URI: r.string(), Version: r.string()}
	if q.Fields, err = r.fields(); err != nil {
		return q, err
	}
	q.Body = r.Bytes()
	return q, r.end(extra)
}

// AppendHead appends the packed head of a response.
func AppendHead(dst []byte, h *Head) []byte {
	dst = msgpack.AppendArray(dst, 2)
	dst = msgpack.AppendInt(dst, int64(h.Status))
	return appendFields(dst, h.Fields)
}

// ParseHead reads the packed head of a response. Elements after the second are
// ignored. A status that no HTTP response can have, outside 100 to 999, is an error.
func ParseHead(b []byte) (Head, error) {
	h, err := parseHead(b)
	if err != nil {
		return Head{}, fmt.Errorf("cannot read head of HTTP response: %w", err)
	}
	return h, nil
}

func parseHead(b []byte) (h Head, err error) {
	r, extra, err := newReader(b, 2, 2)
	if err != nil {
		return h, err
	}
	status := r.Int()
	if r.Err() == nil && (status < 100 || status > 999) {
		return h, fmt.Errorf("status %d is out of range", status)
	}
	h.Status = int(status)
	if h.Fields, err = r.fields(); err != nil {
		return h, err
	}
	return h, r.end(extra)
}

// ProtoVersion is the header by which a worker asks for the version of this
// contract that its response keeps to. It is none of the client's business.
const ProtoVersion = "X-Cocaine-Http-Proto-Version"

// EmptyEnds reports whether an empty chunk ends the body, so that the worker may go
// on after its client was answered: version 1.1. In version 1.0, the default, the
// end of the stream does. A response of another version is an error.
func (h *Head) EmptyEnds() (bool, error) {
	for _, f := range h.Fields {
		if http.CanonicalHeaderKey(f.Name) != ProtoVersion {
			continue
		}
		switch f.Value {
		case "1.0":
			return false, nil
		case "1.1":
			return true, nil
		}
		return false, fmt.Errorf("cannot read HTTP response: version %q of the contract is unknown", f.Value)
	}
	return false, nil
}

// AppendHeader appends the fields of a header: the names sorted, since a map has no
// order, and the values of each in theirs.
func AppendHeader(dst []Field, h http.Header) []Field {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = slices.Grow(dst, len(h))
	for _, name := range names {
		for _, v := range h[name] {
			dst = append(dst, Field{name, v})
		}
	}
	return dst
}

func appendFields(dst []byte, fields []Field) []byte {
	dst = msgpack.AppendArray(dst, len(fields))
	for _, f := range fields {
		dst = msgpack.AppendArray(dst, 2)
		dst = msgpack.AppendString(dst, f.Name)
		dst = msgpack.AppendString(dst, f.Value)
	}
	return dst
}

// A reader makes texts parts of one string, which costs one allocation for all.
type reader struct {
	msgpack.Reader
	text string // a copy of the input up to where the texts end
}

// newReader reads the head of an array of at least want elements, and gives how many
// more it has. The texts are in the first of them.
func newReader(b []byte, want, first int) (r reader, extra int, err error) {
	r.Reader = msgpack.NewReader(b)
	n := r.Array()
	ahead := r.Reader
	for range min(n, first) {
		ahead.Skip()
	}
	switch {
	case ahead.Err() != nil:
		return r, 0, ahead.Err()
	case n < want:
		return r, 0, fmt.Errorf("%d elements, want %d", n, want)
	}
	r.text = string(b[:ahead.Offset()])
	return r, n - want, nil
}

// string reads a raw.
func (r *reader) string() string {
	n := len(r.Bytes())
	return r.text[r.Offset()-n : r.Offset()]
}

// value reads the value of a header. Workers in languages without types send numbers
// where text belongs, as the length of the body for one: they are taken for their
// digits.
func (r *reader) value() string {
	switch r.Kind() {
	case msgpack.KindInt:
		return strconv.FormatInt(r.Int(), 10)
	case msgpack.KindUint:
		return strconv.FormatUint(r.Uint(), 10)
	}
	return r.string()
}

// fields reads pairs.
func (r *reader) fields() ([]Field, error) {
	n := r.Array()
	if n == 0 {
		return nil, r.Err()
	}
	fields := make([]Field, 0, min(n, 64)) // more only as they really come
	for range n {
		if pair := r.Array(); pair != 2 && r.Err() == nil {
			return nil, fmt.Errorf("a header has %d elements, want a name and a value", pair)
		}
		f := Field{Name: r.string(), Value: r.value()}
		if err := r.Err(); err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// end skips the elements that are not known and sees that nothing follows.
func (r *reader) end(extra int) error {
	for range extra {
		r.Skip()
	}
	if r.Err() == nil && r.Len() > 0 {
		return fmt.Errorf("%d bytes after the end", r.Len())
	}
	return r.Err()
}
