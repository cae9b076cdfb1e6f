package msgpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func seed(f *testing.F) {
	for _, hex := range []string{
		"", "c0", "c1", "05", "fb", "d0fb", "cfffffffffffffffff", "ca3fc00000", "cb7ff8000000000000", "a178", "d90178", "c40178",
		"93010090", "dc000105", "81a17805", "df00000001d9017805", "ddffffffff", "92d4017805", "9191919191919191919190",
		"930100dc000ec0c2c37fe0d080d1ff7fcb3ff8000000000000ca3fc00000a161c401ff910181a16bc0cfffffffffffffffff",
		"82a16101a16102", "810102",
	} {
		f.Add(unhex(f, hex))
	}
}

// FuzzSkip: Skip, Extent, Raw and a walk with the getters agree on where a value ends and whether it is one.
func FuzzSkip(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, err := msgpack.Skip(b, msgpack.MaxDepth)
		n := msgpack.Extent(b, msgpack.MaxDepth)
		if (err == nil) != (n >= 0) || err == nil && n != len(b)-len(rest) {
			t.Fatalf("Skip leaves %d of %d, %v; Extent says %d", len(rest), len(b), err, n)
		}
		r := msgpack.NewReader(b)
		if raw := r.Raw(); len(raw) != max(n, 0) || fmt.Sprint(r.Err()) != fmt.Sprint(err) {
			t.Fatalf("Raw takes %d, %v; Extent says %d, %v", len(raw), r.Err(), n, err)
		}
		walked := msgpack.NewReader(b)
		walk(&walked, msgpack.MaxDepth)
		if (walked.Err() == nil) != (err == nil) || err == nil && walked.Offset() != n {
			t.Fatalf("the getters take %d, %v; Skip says %d, %v", walked.Offset(), walked.Err(), n, err)
		}
		if err == nil {
			checkPrefixes(t, b[:n])
		}
	})
}

// walk consumes a value by its kinds.
func walk(r *msgpack.Reader, depth int) {
	switch r.Kind() {
	case msgpack.KindNil:
		r.Nil()
	case msgpack.KindBool:
		r.Bool()
	case msgpack.KindInt:
		r.Int()
	case msgpack.KindUint:
		r.Uint()
	case msgpack.KindFloat:
		r.Float()
	case msgpack.KindRaw:
		_ = r.String()
	case msgpack.KindArray, msgpack.KindMap:
		if depth == 0 {
			r.Bool() // fails
			return
		}
		n := 0
		if r.Kind() == msgpack.KindArray {
			n = r.Array()
		} else {
			n = 2 * r.Map()
		}
		for i := 0; i < n && r.Err() == nil; i++ {
			walk(r, depth-1)
		}
	default:
		r.Skip()
	}
}

// checkPrefixes: every cut of a good value is short, never anything else.
func checkPrefixes(t *testing.T, b []byte) {
	for end := range min(len(b), 64) {
		if _, err := msgpack.Skip(b[:end], msgpack.MaxDepth); !errors.Is(err, msgpack.ErrShort) {
			t.Fatalf("cut to %d: %v", end, err)
		}
	}
}

// FuzzValue: a dynamic value survives being written and read, and is written the same way twice.
func FuzzValue(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := msgpack.NewReader(b)
		v := r.Value()
		if r.Err() != nil {
			if v != nil {
				t.Fatalf("%v with %v", v, r.Err())
			}
			return
		}
		first, err := msgpack.AppendValue(nil, v)
		if err != nil {
			t.Fatalf("%#v does not encode: %v", v, err)
		}
		again := msgpack.NewReader(first)
		w := again.Value()
		if again.Err() != nil || again.Len() != 0 || !same(v, w) {
			t.Fatalf("%#v became %#v, %v", v, w, again.Err())
		}
		if second, _ := msgpack.AppendValue(nil, w); !bytes.Equal(first, second) {
			t.Fatalf("%x, then %x", first, second)
		}
	})
}

// same is reflect.DeepEqual with NaN equal to itself.
func same(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case []any:
		b, ok := b.([]any)
		ok = ok && len(a) == len(b)
		for i := range a {
			ok = ok && same(a[i], b[i])
		}
		return ok
	case map[string]any:
		b, ok := b.(map[string]any)
		ok = ok && len(a) == len(b)
		for k := range a {
			ok = ok && same(a[k], b[k])
		}
		return ok
	}
	return reflect.DeepEqual(a, b)
}
