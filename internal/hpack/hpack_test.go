package hpack_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decode decodes on a fresh connection.
func decode(t testing.TB, src []byte) ([]hpack.Header, error) {
	t.Helper()
	var table hpack.Table
	return table.Decode(nil, src)
}

func TestStaticTable(t *testing.T) {
	for _, c := range []struct {
		index int
		want  hpack.Header
	}{
		{1, hpack.Header{Name: ":authority"}},
		{2, hpack.Header{Name: ":method", Value: "GET"}},
		{8, hpack.Header{Name: ":status", Value: "200"}},
		{16, hpack.Header{Name: "accept-encoding", Value: "gzip, deflate"}},
		{23, hpack.Header{Name: "authorization"}},
		{61, hpack.Header{Name: "www-authenticate"}},
		{62, hpack.Header{}},
		{79, hpack.Header{}},
		{80, hpack.Header{Name: "trace_id", Value: strings.Repeat("\x00", 8)}},
		{81, hpack.Header{Name: "span_id", Value: strings.Repeat("\x00", 8)}},
		{82, hpack.Header{Name: "parent_id", Value: strings.Repeat("\x00", 8)}},
	} {
		hs, err := decode(t, []byte{0x91, byte(c.index)})
		if err != nil || len(hs) != 1 || hs[0] != c.want {
			t.Errorf("index %d: %q, %v, want %q", c.index, hs, err, c.want)
		}
	}
}

func TestDecodeForms(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"absent", "", `[]`},
		{"empty", "90", `[]`},
		{"empty array16", "dc0000", `[]`},
		{"literal", "91 93c2a161a162", `[{"a" "b"}]`},
		{"literal, new dialect", "91 93c2c40161d90162", `[{"a" "b"}]`},
		{"indexed name", "91 93c217a3616263", `[{"authorization" "abc"}]`},
		{"index of any width", "91 ce00000002", `[{":method" "GET"}]`},
		{"index with a signed tag", "91 d002", `[{":method" "GET"}]`},
		{"not stored, order kept", "92 93c2a161a162 93c2a163a164", `[{"a" "b"} {"c" "d"}]`},
		{"stored, newest first", "94 93c3a161a162 93c3a163a164 53 54", `[{"a" "b"} {"c" "d"} {"c" "d"} {"a" "b"}]`},
		{"name of a stored header", "92 93c3a161a162 93c253a163", `[{"a" "b"} {"a" "c"}]`},
		{"stored by a stored name", "93 93c3a161a162 93c353a163 53", `[{"a" "b"} {"a" "c"} {"a" "c"}]`},
	} {
		hs, err := decode(t, unhex(t, c.src))
		if got := fmt.Sprintf("%q", hs); got != c.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ name, src string }{
		{"not an array", "80"},
		{"nil", "c0"},
		{"index 0", "9100"},
		{"first dynamic index of an empty table", "9153"},
		{"far index", "91cd270f"},
		{"largest index", "91cfffffffffffffffff"},
		{"negative index", "91ff"},
		{"one past the dynamic table", "92 93c3a161a162 54"},
		{"name at index 0", "9193c200a162"},
		{"name past the table", "9193c253a162"},
		{"no fields", "9190"},
		{"two fields", "9192c2a161"},
		{"four fields", "9194c2a161a162a163"},
		{"store is an integer", "919301a161a162"},
		{"name is a float", "9193c2cb0000000000000000a162"},
		{"value is an integer", "9193c2a16101"},
		{"value is nil", "9193c2a161c0"},
		{"header is text", "91a161"},
		{"header is a map", "9180"},
		{"cut", "9193c2a161"},
		{"bytes after the array", "9000"},
		{"ext", "91d40100"},
	} {
		if hs, err := decode(t, unhex(t, c.src)); !errors.Is(err, hpack.ErrHeaders) {
			t.Errorf("%s: %q, %v", c.name, hs, err)
		}
	}
}

func TestDecodeLimit(t *testing.T) {
	many := msgpack.AppendArray(nil, hpack.MaxHeaders+1)
	for range hpack.MaxHeaders + 1 {
		many = append(many, 2)
	}
	if hs, err := decode(t, many); !errors.Is(err, hpack.ErrHeaders) || len(hs) != 0 {
		t.Errorf("above the limit: %d headers, %v", len(hs), err)
	}
	fewer := append(msgpack.AppendArray(nil, hpack.MaxHeaders), many[3:len(many)-1]...)
	if hs, err := decode(t, fewer); err != nil || len(hs) != hpack.MaxHeaders {
		t.Errorf("at the limit: %d headers, %v", len(hs), err)
	}
}

func TestDecodeAppends(t *testing.T) {
	var table hpack.Table
	before := []hpack.Header{{Name: "kept", Value: "1"}}
	hs, err := table.Decode(before, unhex(t, "9102"))
	if err != nil || len(hs) != 2 || hs[0] != before[0] {
		t.Errorf("%q, %v", hs, err)
	}
}

// TestDecodeCopies: the connection's buffer is used again while headers live on, in the table at least.
func TestDecodeCopies(t *testing.T) {
	src := unhex(t, "91 93c3a46e616d65a576616c7565")
	var table hpack.Table
	hs, err := table.Decode(nil, src)
	clear(src)
	if want := (hpack.Header{Name: "name", Value: "value"}); err != nil || hs[0] != want {
		t.Errorf("%q, %v", hs, err)
	}
	if again, err := table.Decode(nil, unhex(t, "9153")); err != nil || again[0] != hs[0] {
		t.Errorf("stored %q, %v", again, err)
	}
}

// stored appends a header array that stores one pair of the given cost.
func stored(name string, cost int) []byte {
	b := msgpack.AppendBool([]byte{0x91, 0x93}, true)
	return msgpack.AppendString(msgpack.AppendString(b, name), strings.Repeat("v", cost-32-len(name)))
}

func TestTableEviction(t *testing.T) {
	var table hpack.Table
	store := func(name string, cost int) {
		t.Helper()
		hs, err := table.Decode(nil, stored(name, cost))
		if err != nil || len(hs) != 1 || hs[0].Name != name {
			t.Fatalf("%s: %q, %v", name, hs, err)
		}
	}
	names := func() (list []string) {
		for i := range table.Len() {
			hs, err := table.Decode(nil, msgpack.AppendUint([]byte{0x91}, uint64(83+i)))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, hs[0].Name)
		}
		return list
	}
	expect := func(want ...string) {
		t.Helper()
		if got := names(); !slices.Equal(got, want) {
			t.Errorf("table holds %q, want %q", got, want)
		}
	}
	store("a", 2048)
	store("b", 2048)
	expect("b", "a") // full to the byte
	store("c", 33)
	expect("c", "b")
	store("d", 4096)
	expect("d") // as large as the table
	store("e", 100)
	expect("e")
	store("f", 4097)
	expect() // larger: the table is empty, the header is delivered
	store("g", 33)
	expect("g")
}

func TestTableWraps(t *testing.T) {
	var table hpack.Table
	for i := range 1000 {
		if _, err := table.Decode(nil, stored(fmt.Sprintf("%03d", i), 35)); err != nil {
			t.Fatal(err)
		}
		hs, err := table.Decode(nil, unhex(t, "9153"))
		if err != nil || hs[0].Name != fmt.Sprintf("%03d", i) {
			t.Fatalf("newest after %d: %q, %v", i, hs, err)
		}
	}
	if want := 4096 / 35; table.Len() != want {
		t.Errorf("%d entries, want %d", table.Len(), want)
	}
	hs, err := table.Decode(nil, msgpack.AppendUint([]byte{0x91}, uint64(83+4096/35-1)))
	if want := fmt.Sprintf("%03d", 1000-4096/35); err != nil || hs[0].Name != want {
		t.Errorf("oldest %q, %v, want %s", hs, err, want)
	}
}

func TestTableOfEmptyHeaders(t *testing.T) {
	var table hpack.Table
	for range 200 {
		if _, err := table.Decode(nil, unhex(t, "9193c3a0a0")); err != nil {
			t.Fatal(err)
		}
	}
	if table.Len() != 128 {
		t.Errorf("%d entries of 32 bytes in 4096", table.Len())
	}
}

func TestAppendLiterals(t *testing.T) {
	zero := strings.Repeat("\x00", 8)
	trace := []hpack.Header{{Name: hpack.TraceID, Value: zero}, {Name: hpack.SpanID, Value: zero}, {Name: hpack.ParentID, Value: zero}}
	const want = "9393c2a874726163655f6964a8000000000000000093c2a77370616e5f6964a8000000000000000093c2a9706172656e745f6964a80000000000000000"
	b := hpack.AppendLiterals(nil, trace)
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if hs, err := decode(t, b); err != nil || !slices.Equal(hs, trace) {
		t.Errorf("read back as %q, %v", hs, err)
	}
	if got := hex.EncodeToString(hpack.AppendLiterals(nil, nil)); got != "90" {
		t.Errorf("no headers: %s", got)
	}
}

func TestLookup(t *testing.T) {
	hs := []hpack.Header{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "a", Value: "3"}}
	if v, ok := hpack.Lookup(hs, "a"); v != "1" || !ok {
		t.Errorf("a: %q, %v", v, ok)
	}
	if v, ok := hpack.Lookup(hs, "A"); ok {
		t.Errorf("names are case-sensitive, but A is %q", v)
	}
}

// TestEncoder: what a client that uses the tables writes.
func TestEncoder(t *testing.T) {
	var e hpack.Encoder
	for _, c := range []struct {
		hs   []hpack.Header
		want string
	}{
		{[]hpack.Header{{Name: ":method", Value: "GET"}}, "9102"},
		{[]hpack.Header{{Name: "trace_id", Value: "12345678"}}, "9193c350a83132333435363738"},
		{[]hpack.Header{{Name: "trace_id", Value: "12345678"}}, "9153"},
		{[]hpack.Header{{Name: "x", Value: "y"}}, "9193c3a178a179"},
		{[]hpack.Header{{Name: "trace_id", Value: "12345678"}, {Name: "x", Value: "z"}}, "925493c353a17a"},
	} {
		if got := hex.EncodeToString(e.Append(nil, c.hs)); got != c.want {
			t.Errorf("%q: %s, want %s", c.hs, got, c.want)
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	var table hpack.Table
	dst := make([]hpack.Header, 0, 8)
	for name, src := range map[string][]byte{
		"absent":   nil,
		"empty":    {0x90},
		"untraced": traceHeaders(0),
		"indices":  {0x93, 80, 81, 82},
	} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := table.Decode(dst[:0], src); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func traceHeaders(id byte) []byte {
	v := string([]byte{id, 0, 0, 0, 0, 0, 0, 0})
	return hpack.AppendLiterals(nil, []hpack.Header{{Name: hpack.TraceID, Value: v}, {Name: hpack.SpanID, Value: v}, {Name: hpack.ParentID, Value: v}})
}

func BenchmarkDecode(b *testing.B) {
	for name, src := range map[string][]byte{"empty": {0x90}, "untraced": traceHeaders(0), "traced": traceHeaders(7)} {
		b.Run(name, func(b *testing.B) {
			var table hpack.Table
			dst := make([]hpack.Header, 0, 8)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := table.Decode(dst[:0], src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
