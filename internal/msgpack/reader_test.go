package msgpack_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// TestReaderDialects: the same value in every encoding that may come.
func TestReaderDialects(t *testing.T) {
	for _, c := range []struct {
		hex  string
		kind msgpack.Kind
		want any
	}{
		{"c0", msgpack.KindNil, nil},
		{"c2", msgpack.KindBool, false},
		{"c3", msgpack.KindBool, true},
		{"05", msgpack.KindUint, int64(5)},
		{"cc05", msgpack.KindUint, int64(5)},
		{"cd0005", msgpack.KindUint, int64(5)},
		{"ce00000005", msgpack.KindUint, int64(5)},
		{"cf0000000000000005", msgpack.KindUint, int64(5)},
		{"d005", msgpack.KindUint, int64(5)},
		{"d10005", msgpack.KindUint, int64(5)},
		{"d200000005", msgpack.KindUint, int64(5)},
		{"d30000000000000005", msgpack.KindUint, int64(5)},
		{"cfffffffffffffffff", msgpack.KindUint, uint64(math.MaxUint64)},
		{"fb", msgpack.KindInt, int64(-5)},
		{"d0fb", msgpack.KindInt, int64(-5)},
		{"d1fffb", msgpack.KindInt, int64(-5)},
		{"d2fffffffb", msgpack.KindInt, int64(-5)},
		{"d3fffffffffffffffb", msgpack.KindInt, int64(-5)},
		{"ca3fc00000", msgpack.KindFloat, 1.5},
		{"cb3ff8000000000000", msgpack.KindFloat, 1.5},
		{"a178", msgpack.KindRaw, "x"},
		{"d90178", msgpack.KindRaw, "x"},
		{"da000178", msgpack.KindRaw, "x"},
		{"db0000000178", msgpack.KindRaw, "x"},
		{"c40178", msgpack.KindRaw, "x"},
		{"c5000178", msgpack.KindRaw, "x"},
		{"c60000000178", msgpack.KindRaw, "x"},
		{"9105", msgpack.KindArray, []any{int64(5)}},
		{"dc000105", msgpack.KindArray, []any{int64(5)}},
		{"dd0000000105", msgpack.KindArray, []any{int64(5)}},
		{"81a17805", msgpack.KindMap, map[string]any{"x": int64(5)}},
		{"de0001a17805", msgpack.KindMap, map[string]any{"x": int64(5)}},
		{"df00000001d9017805", msgpack.KindMap, map[string]any{"x": int64(5)}},
	} {
		b := unhex(t, c.hex)
		r := msgpack.NewReader(b)
		if k := r.Kind(); k != c.kind {
			t.Errorf("%s: kind %v, want %v", c.hex, k, c.kind)
		}
		if v := r.Value(); !reflect.DeepEqual(v, c.want) || r.Err() != nil || r.Len() != 0 {
			t.Errorf("%s: %#v, %v, %d left, want %#v", c.hex, v, r.Err(), r.Len(), c.want)
		}
		if rest, err := msgpack.Skip(b, 32); err != nil || len(rest) != 0 {
			t.Errorf("%s: skipped to %d left, %v", c.hex, len(rest), err)
		}
		for end := range b {
			r := msgpack.NewReader(b[:end])
			if v := r.Value(); v != nil || !errors.Is(r.Err(), msgpack.ErrShort) {
				t.Errorf("%s cut to %d: %v, %v", c.hex, end, v, r.Err())
			}
			if _, err := msgpack.Skip(b[:end], 32); err != msgpack.ErrShort {
				t.Errorf("%s cut to %d skipped: %v, want ErrShort itself", c.hex, end, err)
			}
		}
	}
}

func TestReaderMalformed(t *testing.T) {
	for _, tag := range []byte{0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8} {
		b := append([]byte{0x92, 0x01, tag}, make([]byte, 32)...)
		r := msgpack.NewReader(b)
		v := r.Value()
		var e *msgpack.Error
		if v != nil || !errors.Is(r.Err(), msgpack.ErrMalformed) || !errors.As(r.Err(), &e) || e.Offset != 2 {
			t.Errorf("tag %#x: %v, %v", tag, v, r.Err())
		}
		if _, err := msgpack.Skip(b, 32); !errors.As(err, &e) || e.Offset != 2 {
			t.Errorf("tag %#x skipped: %v", tag, err)
		}
		r = msgpack.NewReader(b[2:])
		if k := r.Kind(); k != msgpack.KindInvalid {
			t.Errorf("tag %#x is %v", tag, k)
		}
	}
}

// getters by name, with the result as text.
var getters = map[string]func(r *msgpack.Reader) string{
	"Nil":    func(r *msgpack.Reader) string { r.Nil(); return "" },
	"Bool":   func(r *msgpack.Reader) string { return fmt.Sprint(r.Bool()) },
	"Int":    func(r *msgpack.Reader) string { return fmt.Sprint(r.Int()) },
	"Uint":   func(r *msgpack.Reader) string { return fmt.Sprint(r.Uint()) },
	"Float":  func(r *msgpack.Reader) string { return fmt.Sprint(r.Float()) },
	"String": func(r *msgpack.Reader) string { return r.String() },
	"Bytes":  func(r *msgpack.Reader) string { return string(r.Bytes()) },
	"Array":  func(r *msgpack.Reader) string { return fmt.Sprint(r.Array()) },
	"Map":    func(r *msgpack.Reader) string { return fmt.Sprint(r.Map()) },
}

// TestReaderStrict: a value is what its getters say and nothing else; a failure consumes nothing and sticks.
func TestReaderStrict(t *testing.T) {
	for _, c := range []struct {
		hex string
		ok  map[string]string
	}{
		{"c0", map[string]string{"Nil": ""}},
		{"c3", map[string]string{"Bool": "true"}},
		{"05", map[string]string{"Int": "5", "Uint": "5", "Float": "5"}},
		{"d005", map[string]string{"Int": "5", "Uint": "5", "Float": "5"}},
		{"fb", map[string]string{"Int": "-5", "Float": "-5"}},
		{"d0fb", map[string]string{"Int": "-5", "Float": "-5"}},
		{"cf8000000000000000", map[string]string{"Uint": "9223372036854775808", "Float": "9.223372036854776e+18"}},
		{"cb3ff8000000000000", map[string]string{"Float": "1.5"}},
		{"a178", map[string]string{"String": "x", "Bytes": "x"}},
		{"9101", map[string]string{"Array": "1"}},
		{"810102", map[string]string{"Map": "1"}},
	} {
		for name, get := range getters {
			r := msgpack.NewReader(unhex(t, c.hex))
			got := get(&r)
			want, ok := c.ok[name]
			switch {
			case ok && (got != want || r.Err() != nil):
				t.Errorf("%s of %s: %q, %v, want %q", name, c.hex, got, r.Err(), want)
			case !ok && !errors.Is(r.Err(), msgpack.ErrType) && !errors.Is(r.Err(), msgpack.ErrRange):
				t.Errorf("%s of %s: %q, %v", name, c.hex, got, r.Err())
			case !ok && r.Offset() != 0:
				t.Errorf("%s of %s moved to %d", name, c.hex, r.Offset())
			}
		}
	}
}

func TestReaderSticky(t *testing.T) {
	r := msgpack.NewReader(unhex(t, "05a178c3"))
	r.Bool()
	first := r.Err()
	if first == nil {
		t.Fatal("an integer is no bool")
	}
	for name, get := range getters {
		if got := get(&r); got != "" && got != "0" && got != "false" {
			t.Errorf("%s after a failure: %q", name, got)
		}
	}
	if r.Raw() != nil || r.Value() != nil || r.Kind() != msgpack.KindInvalid || r.Err() != first || r.Offset() != 0 {
		t.Errorf("the failure did not stick: %v at %d", r.Err(), r.Offset())
	}
	if want := "unexpected msgpack type at byte 0: want bool, have unsigned integer"; first.Error() != want {
		t.Errorf("text %q, want %q", first, want)
	}
}

// TestReaderFalseCounts: callers allocate by the result of Array and Map.
func TestReaderFalseCounts(t *testing.T) {
	for _, hex := range []string{"91", "9f01", "dc000401", "ddffffffff00000000", "81", "8101", "df7fffffff0102"} {
		r := msgpack.NewReader(unhex(t, hex))
		if n := r.Array(); n != 0 || r.Err() == nil {
			t.Errorf("%s: array of %d, %v", hex, n, r.Err())
		}
		r = msgpack.NewReader(unhex(t, hex))
		if n := r.Map(); n != 0 || r.Err() == nil {
			t.Errorf("%s: map of %d, %v", hex, n, r.Err())
		}
	}
}

func TestReaderRaw(t *testing.T) {
	b := unhex(t, "93 9101 c0 d90161")
	r := msgpack.NewReader(b)
	r.Array()
	if got := fmt.Sprintf("%x", r.Raw()); got != "9101" {
		t.Errorf("raw %s", got)
	}
	r.Skip()
	last := r.Raw()
	if fmt.Sprintf("%x", last) != "d90161" || &last[0] != &b[4] || cap(last) != 3 {
		t.Errorf("raw %x, cap %d", last, cap(last))
	}
	if r.Skip(); r.Err() != msgpack.ErrShort {
		t.Errorf("at the end: %v", r.Err())
	}
}

func TestReaderBytesAlias(t *testing.T) {
	for _, hex := range []string{"a178ff", "d90178ff", "c6 00000001 78 ff"} {
		b := unhex(t, hex)
		r := msgpack.NewReader(b)
		if p := r.Bytes(); &p[0] != &b[len(b)-2] || cap(p) != 1 {
			t.Errorf("%s: does not alias, or may be appended to over what follows", hex)
		}
	}
}

func TestValueMapKeys(t *testing.T) {
	r := msgpack.NewReader(unhex(t, "810102"))
	if v := r.Value(); v != nil || !errors.Is(r.Err(), msgpack.ErrType) {
		t.Errorf("integer key: %v, %v", v, r.Err())
	}
	r = msgpack.NewReader(unhex(t, "82a16101a16102"))
	if v := r.Value(); !reflect.DeepEqual(v, map[string]any{"a": int64(2)}) {
		t.Errorf("key given twice: %v, %v", v, r.Err())
	}
}

// TestSkipFalseCounts: a claim of four billion costs nothing.
func TestSkipFalseCounts(t *testing.T) {
	for _, hex := range []string{"ddffffffff", "dfffffffff01", "dbffffffff6162", "c6ffffffff", "dd40000000dd40000000"} {
		b := unhex(t, hex)
		if n := testing.AllocsPerRun(10, func() { msgpack.Extent(b, 32) }); n != 0 {
			t.Errorf("%s: %v allocations", hex, n)
		}
		if _, err := msgpack.Skip(b, 32); err != msgpack.ErrShort {
			t.Errorf("%s: %v", hex, err)
		}
	}
}

func TestSkipStopsAfterOneValue(t *testing.T) {
	rest, err := msgpack.Skip(unhex(t, "92 01 9102 c3"), 32)
	if err != nil || fmt.Sprintf("%x", rest) != "c3" {
		t.Errorf("left %x, %v", rest, err)
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	b := unhex(t, "97 05 fb c3 cb3ff8000000000000 d90568656c6c6f 81a16101 c0")
	n := testing.AllocsPerRun(100, func() {
		r := msgpack.NewReader(b)
		r.Array()
		r.Uint()
		r.Int()
		r.Bool()
		r.Float()
		r.Bytes()
		r.Skip()
		r.Nil()
		if r.Err() != nil || r.Len() != 0 {
			t.Fatal(r.Err())
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReadToken(t *testing.T) {
	for _, c := range []struct {
		hex  string
		want msgpack.Token
		err  error
	}{
		{"", msgpack.Token{Size: 1}, msgpack.ErrShort},
		{"cd01", msgpack.Token{Kind: msgpack.KindUint, Size: 3}, msgpack.ErrShort},
		{"cd0102", msgpack.Token{Kind: msgpack.KindUint, Size: 3, Value: 258}, nil},
		{"da00", msgpack.Token{Kind: msgpack.KindRaw, Size: 3}, msgpack.ErrShort},
		{"da0100", msgpack.Token{Kind: msgpack.KindRaw, Size: 259}, nil},
		{"dbffffffff", msgpack.Token{Kind: msgpack.KindRaw, Size: 5 + math.MaxUint32}, nil},
		{"dfffffffff", msgpack.Token{Kind: msgpack.KindMap, Size: 5, Items: 2 * math.MaxUint32}, nil},
		{"93", msgpack.Token{Kind: msgpack.KindArray, Size: 1, Items: 3}, nil},
	} {
		got, err := msgpack.ReadToken(unhex(t, c.hex))
		if got != c.want || err != c.err {
			t.Errorf("%s: %+v, %v, want %+v, %v", c.hex, got, err, c.want, c.err)
		}
	}
}
