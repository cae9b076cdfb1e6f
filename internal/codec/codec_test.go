package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

type inner struct {
	N int `json:"n"`
}

type record struct {
	Name  string         `json:"name"`
	Blob  []byte         `codec:"blob"`
	Tags  []string       `json:"tags,omitempty"`
	Inner *inner         `json:"inner"`
	Extra map[string]any `json:"extra,omitempty"`
	Raw   Raw            `json:"raw"`
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMsgpackEncoding(t *testing.T) {
	long := strings.Repeat("x", 40)
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"nil", nil, "c0"},
		{"true", true, "c3"},
		{"small", 7, "07"},
		{"unsigned tag", 200, "cc c8"},
		{"negative", -33, "d0 df"},
		{"large", uint64(math.MaxUint64), "cf ffffffffffffffff"},
		{"string", "ab", "a2 6162"},
		{"bytes are raw", []byte("ab"), "a2 6162"},
		{"no str8", long, "da 0028" + hex.EncodeToString([]byte(long))},
		{"no bin8", []byte(long), "da 0028" + hex.EncodeToString([]byte(long))},
		{"no bin8 in a struct", struct{ B []byte }{[]byte(long)}, "81 a1 42 da 0028" + hex.EncodeToString([]byte(long))},
		{"nil slice", []string(nil), "90"},
		{"nil slice in a struct", struct{ L []int }{}, "81 a1 4c 90"},
		{"nil map in a struct", struct{ M map[string]int }{}, "81 a1 4d 80"},
		{"nil bytes in a struct", struct{ B []byte }{}, "81 a1 42 a0"},
		{"nil pointer", (*inner)(nil), "c0"},
		{"nil string pointer", (*string)(nil), "c0"},
		{"json tag", inner{5}, "81 a1 6e 05"},
		{"pointer", &inner{5}, "81 a1 6e 05"},
		{"list of structs", []inner{{1}, {2}}, "92 81 a1 6e 01 81 a1 6e 02"},
		{"raw", Raw{0x93, 1, 2, 3}, "93 01 02 03"},
		{"empty raw", Raw(nil), "c0"},
		{"raw in a struct", struct{ R Raw }{Raw{0x91, 1}}, "81 a1 52 91 01"},
		{"empty raw in a struct", struct{ R Raw }{Raw{}}, "81 a1 52 c0"},
		{"unknown inside a list", []any{inner{1}, Raw{2}}, "92 81 a1 6e 01 02"},
		{"time", struct{ T time.Time }{time.Unix(5, 0)}, "81 a1 54 a4 00000005"},
		{"dynamic", map[string]any{"b": []any{1, nil}, "a": "x"}, "82 a1 61 a1 78 a1 62 92 01 c0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			prefix := []byte("prefix")
			got, err := Msgpack.Append(prefix, c.v)
			if err != nil {
				t.Fatal(err)
			}
			if want := append(prefix, unhex(t, c.want)...); !bytes.Equal(got, want) {
				t.Fatalf("got  %x\nwant %x", got, want)
			}
		})
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	dst := append(make([]byte, 0, 4096), "head"...)
	dst, err := Msgpack.Append(dst, inner{1})
	if err != nil {
		t.Fatal(err)
	}
	dst, err = Msgpack.Append(dst, record{Name: strings.Repeat("y", 5000)}) // outgrows the space behind
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(dst, unhex(t, "68656164 81a16e01")) {
		t.Fatalf("prefix was damaged: %x", dst[:16])
	}
	if _, err := msgpack.Skip(dst[8:], 32); err != nil {
		t.Fatal(err)
	}
}

func TestAppendArgs(t *testing.T) {
	got, err := AppendArgs(nil, "app", 1, []string{"t"})
	if err != nil {
		t.Fatal(err)
	}
	if want := unhex(t, "93 a3617070 01 91a174"); !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x", got, want)
	}
	if got, err := AppendArgs(nil); err != nil || !bytes.Equal(got, []byte{0x90}) {
		t.Fatalf("no arguments: %x, %v", got, err)
	}
	got, err = AppendArgs([]byte("x"), 1, Raw("not msgpack"))
	if !errors.Is(err, errRaw) || !strings.Contains(err.Error(), "argument 2") || string(got) != "x" {
		t.Fatalf("bad raw: %q, %v", got, err)
	}
}

func TestBadRawIsRefused(t *testing.T) {
	for _, v := range []any{Raw{0x93, 1}, Raw{1, 2}, Raw{0xc1}, []Raw{{0x93}}, struct{ R Raw }{Raw{1, 2}}} {
		if b, err := Msgpack.Append(nil, v); err == nil || len(b) != 0 {
			t.Errorf("%#v was encoded: %x", v, b)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	in := record{Name: "Ann", Blob: []byte{0, 255}, Tags: []string{"a"}, Inner: &inner{-1},
		Extra: map[string]any{"k": int64(3), "s": "t", "l": []any{true}}, Raw: Raw{0x81, 0xa1, 'a', 1}}
	b, err := Msgpack.Append(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	var out record
	if err := Msgpack.Decode(b, &out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, out) {
		t.Fatalf("got  %+v\nwant %+v", out, in)
	}
	clear(b)
	if !reflect.DeepEqual(in, out) {
		t.Fatal("what was decoded aliases the input")
	}
}

func TestDecodeBothDialects(t *testing.T) {
	for _, raw := range []string{"a2 6162", "d9 02 6162", "da 0002 6162", "db 00000002 6162", "c4 02 6162", "c5 0002 6162", "c6 00000002 6162"} {
		b := unhex(t, raw)
		var s string
		if err := Msgpack.Decode(b, &s); err != nil || s != "ab" {
			t.Errorf("%s into a string: %q, %v", raw, s, err)
		}
		var p []byte
		if err := Msgpack.Decode(b, &p); err != nil || string(p) != "ab" {
			t.Errorf("%s into bytes: %q, %v", raw, p, err)
		}
		var v any
		if err := Msgpack.Decode(b, &v); err != nil || v != "ab" {
			t.Errorf("%s into any: %#v, %v", raw, v, err)
		}
		var in struct {
			S string
			B []byte
		}
		field := append(append(unhex(t, "82 a1 53"), b...), append(unhex(t, "c4 01 42"), b...)...)
		if err := Msgpack.Decode(field, &in); err != nil || in.S != "ab" || string(in.B) != "ab" {
			t.Errorf("%s into fields: %+v, %v", raw, in, err)
		}
	}
}

func TestDecodeTargets(t *testing.T) {
	type pair struct {
		Ok   bool
		Text string
	}
	for _, c := range []struct {
		in   string
		into any
		want any
	}{
		{"c0", new(string), ""},
		{"c0", ptr(5), 0},
		{"c0", ptr(any("x")), nil},
		{"cc c8", new(any), int64(200)},
		{"05", new(any), int64(5)},
		{"ff", new(any), int64(-1)},
		{"cf ffffffffffffffff", new(any), uint64(math.MaxUint64)},
		{"cf ffffffffffffffff", new(uint64), uint64(math.MaxUint64)},
		{"05", new(int8), int8(5)},
		{"05", new(float64), 5.0},
		{"cb 3ff8000000000000", new(any), 1.5},
		{"92 c3 a161", new(pair), pair{true, "a"}},
		{"82 a26f6b c3 a454657874 a161", new(struct {
			Ok   bool `codec:"ok"`
			Text string
		}), struct {
			Ok   bool `codec:"ok"`
			Text string
		}{true, "a"}},
		{"83 05 01 c3 02 a161 03", new(any), map[string]any{"5": int64(1), "true": int64(2), "a": int64(3)}},
		{"81 a161 92 01 02", new(map[string]any), map[string]any{"a": []any{int64(1), int64(2)}}},
		{"81 05 a161", new(map[int]string), map[int]string{5: "a"}},
		{"92 01 02", new(Raw), Raw{0x92, 1, 2}},
		{"91 92 01 02", new([]Raw), []Raw{{0x92, 1, 2}}},
		{"a0", new([]byte), []byte{}},
	} {
		if err := Msgpack.Decode(unhex(t, c.in), c.into); err != nil {
			t.Errorf("%s into %T: %v", c.in, c.into, err)
			continue
		}
		if got := reflect.ValueOf(c.into).Elem().Interface(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s into %T: got %#v, want %#v", c.in, c.into, got, c.want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat("91", MaxDepth+1) + "c0"
	for _, c := range []struct {
		name, in string
		into     any
		is       error
	}{
		{"empty", "", new(any), msgpack.ErrShort},
		{"short", "a5 61", new(string), msgpack.ErrShort},
		{"claimed array", "dd ffffffff 01", new([]record), msgpack.ErrShort},
		{"claimed map", "df ffffffff 01", new(map[string]string), msgpack.ErrShort},
		{"claimed raw", "db ffffffff 01", new([]byte), msgpack.ErrShort},
		{"trailing", "01 02", new(int), errTrailing},
		{"ext", "d4 01 02", new(any), msgpack.ErrMalformed},
		{"too deep", deep, new(any), msgpack.ErrTooDeep},
		{"key is a list", "81 90 01", new(any), msgpack.ErrType},
		{"int from text", "a161", new(int), nil},
		{"text from int", "05", new(string), nil},
		{"overflow", "cf ffffffffffffffff", new(int64), msgpack.ErrRange},
		{"overflow", "cf ffffffffffffffff", new(int), msgpack.ErrRange},
		{"negative", "ff", new(uint64), msgpack.ErrRange},
		{"narrow", "cd 0100", new(uint8), nil},
		{"struct from text", "a161", new(record), nil},
	} {
		err := Msgpack.Decode(unhex(t, c.in), c.into)
		if err == nil || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %s into %T: %v", c.name, c.in, c.into, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), "cannot decode *") {
			t.Errorf("%s: error reads %q", c.name, err)
		}
	}
}

func TestCyclicValueIsRefused(t *testing.T) {
	type node struct{ Next *node }
	n := new(node)
	n.Next = n
	if b, err := Msgpack.Append([]byte("x"), n); err == nil || string(b) != "x" {
		t.Fatalf("got %x, %v", b, err)
	}
}

func TestRawDecode(t *testing.T) {
	var n int
	if err := (Raw{7}).Decode(&n); err != nil || n != 7 {
		t.Fatalf("got %d, %v", n, err)
	}
	if err := Raw(nil).Decode(&n); err != nil || n != 0 {
		t.Fatalf("an empty raw is nil: got %d, %v", n, err)
	}
}

func TestContentTypes(t *testing.T) {
	for in, want := range map[string]Format{
		"":                                Msgpack,
		"application/msgpack":             Msgpack,
		"application/x-msgpack":           Msgpack,
		"application/json":                JSON,
		"Application/JSON; charset=utf-8": JSON,
		"application/problem+json":        JSON,
		"application/octet-stream":        Bytes,
	} {
		if got, err := ParseContentType(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"text/plain", "json", "application/", ";;"} {
		if f, err := ParseContentType(in); err == nil {
			t.Errorf("%q was taken for %v", in, f)
		}
	}
	for _, f := range []Format{Msgpack, JSON, Bytes} {
		if got, err := ParseContentType(f.ContentType()); err != nil || got != f {
			t.Errorf("%v names itself %q, read as %v, %v", f, f.ContentType(), got, err)
		}
	}
}

func TestJSON(t *testing.T) {
	b, err := JSON.Append([]byte("> "), inner{3})
	if err != nil || string(b) != `> {"n":3}` {
		t.Fatalf("got %q, %v", b, err)
	}
	var in inner
	if err := JSON.Decode(b[2:], &in); err != nil || in.N != 3 {
		t.Fatalf("got %+v, %v", in, err)
	}
	if err := JSON.Decode([]byte(`{"n":3} x`), &in); err == nil {
		t.Error("trailing text was taken")
	}
	if b, err := JSON.Append([]byte("> "), func() {}); err == nil || string(b) != "> " {
		t.Errorf("a function was encoded: %q", b)
	}
}

func TestBytes(t *testing.T) {
	b, err := Bytes.Append(nil, "abc")
	if err != nil || string(b) != "abc" {
		t.Fatalf("got %q, %v", b, err)
	}
	var p []byte
	var s string
	var v any
	for _, into := range []any{&p, &s, &v} {
		if err := Bytes.Decode(b, into); err != nil {
			t.Fatal(err)
		}
	}
	if string(p) != "abc" || s != "abc" || string(v.([]byte)) != "abc" {
		t.Fatalf("got %q %q %q", p, s, v)
	}
	b[0] = 'x'
	if string(p) != "abc" {
		t.Fatal("the result aliases the input")
	}
	if _, err := Bytes.Append(nil, 5); err == nil {
		t.Error("a number was encoded")
	}
	if err := Bytes.Decode(b, &inner{}); err == nil {
		t.Error("a struct was decoded")
	}
}

// The paths every request takes: encoding into a buffer that is large enough
// costs nothing, decoding only what the result keeps.
func TestAllocations(t *testing.T) {
	type greet struct {
		Name string `json:"name"`
	}
	g := &greet{"Ann"}
	var v any = g
	buf := make([]byte, 0, 256)
	encoded, err := Msgpack.Append(nil, g)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want float64
		f    func()
	}{
		{"encode a struct", 0, func() { _, _ = Msgpack.Append(buf, v) }},
		{"decode a struct", 1, func() { _ = Msgpack.Decode(encoded, v) }},
	} {
		if got := testing.AllocsPerRun(200, c.f); got > c.want && !raceEnabled {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.want)
		}
	}
}

// Whatever the bytes: no panic, no more memory than they warrant, and what was
// decoded dynamically can be encoded and decoded again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"c0", "a2 6162", "82 a16101 c40162 02", "dd ffffffff 01", "83 05 01 c3 02 a161 03", "92 c3 a161", "d9 02 6162"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{new(record), new([]record), new(map[string]any), new(map[int]Raw), new([]string), new(string), new(int8), new(time.Time)} {
			_ = Msgpack.Decode(b, into)
		}
		var v, again any
		if Msgpack.Decode(b, &v) != nil {
			return
		}
		out, err := Msgpack.Append(nil, v)
		if err != nil {
			t.Fatalf("cannot encode what was decoded: %#v: %v", v, err)
		}
		if err := Msgpack.Decode(out, &again); err != nil || !equal(v, again) {
			t.Fatalf("%#v became %#v: %v", v, again, err)
		}
	})
}

// equal is reflect.DeepEqual but for NaN, which equals itself here.
func equal(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if !equal(a[k], b[k]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}
