package msgpack_test

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

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

func TestAppendInt(t *testing.T) {
	for _, c := range []struct {
		v    int64
		want string
	}{
		{0, "00"}, {1, "01"}, {127, "7f"}, {128, "cc80"}, {255, "ccff"}, {256, "cd0100"}, {65535, "cdffff"},
		{65536, "ce00010000"}, {math.MaxUint32, "ceffffffff"}, {math.MaxUint32 + 1, "cf0000000100000000"},
		{math.MaxInt64, "cf7fffffffffffffff"},
		{-1, "ff"}, {-32, "e0"}, {-33, "d0df"}, {-128, "d080"}, {-129, "d1ff7f"}, {-32768, "d18000"},
		{-32769, "d2ffff7fff"}, {math.MinInt32, "d280000000"}, {math.MinInt32 - 1, "d3ffffffff7fffffff"},
		{math.MinInt64, "d38000000000000000"},
	} {
		if got := hex.EncodeToString(msgpack.AppendInt(nil, c.v)); got != c.want {
			t.Errorf("%d: %s, want %s", c.v, got, c.want)
		}
		r := msgpack.NewReader(msgpack.AppendInt(nil, c.v))
		if got := r.Int(); got != c.v || r.Err() != nil || r.Len() != 0 {
			t.Errorf("%d read back as %d, %v", c.v, got, r.Err())
		}
	}
	if got := hex.EncodeToString(msgpack.AppendUint(nil, math.MaxUint64)); got != "cfffffffffffffffff" {
		t.Errorf("largest: %s", got)
	}
}

func TestAppendHeads(t *testing.T) {
	for _, c := range []struct {
		name, head string
		b          []byte
	}{
		{"fixraw", "a0", msgpack.AppendString(nil, "")},
		{"longest fixraw", "bf", msgpack.AppendBytes(nil, make([]byte, 31))},
		{"raw16, never str8", "da0020", msgpack.AppendString(nil, strings.Repeat("x", 32))},
		{"longest raw16", "daffff", msgpack.AppendBytes(nil, make([]byte, 65535))},
		{"raw32", "db00010000", msgpack.AppendBytes(nil, make([]byte, 65536))},
		{"nil bytes", "a0", msgpack.AppendBytes(nil, nil)},
		{"fixarray", "9f", msgpack.AppendArray(nil, 15)},
		{"array16", "dc0010", msgpack.AppendArray(nil, 16)},
		{"array32", "dd00010000", msgpack.AppendArray(nil, 65536)},
		{"fixmap", "8f", msgpack.AppendMap(nil, 15)},
		{"map16", "de0010", msgpack.AppendMap(nil, 16)},
		{"map32", "df00010000", msgpack.AppendMap(nil, 65536)},
		{"nil", "c0", msgpack.AppendNil(nil)},
		{"false", "c2", msgpack.AppendBool(nil, false)},
		{"true", "c3", msgpack.AppendBool(nil, true)},
		{"float", "cb3ff8000000000000", msgpack.AppendFloat(nil, 1.5)},
	} {
		if got := hex.EncodeToString(c.b[:min(len(c.b), len(c.head)/2)]); got != c.head {
			t.Errorf("%s: %s, want %s", c.name, got, c.head)
		}
	}
}

func TestAppendValue(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "c0"},
		{[]any{int8(-1), int16(-1), int32(-1), int64(-1), -1}, "95ffffffffff"},
		{[]any{uint8(1), uint16(1), uint32(1), uint64(1), uint(1)}, "950101010101"},
		{[]any{float32(0.5), 0.5}, "92cb3fe0000000000000cb3fe0000000000000"},
		{[]string{"a", "b"}, "92a161a162"},
		{map[string]any{"b": []byte{1}, "a": true}, "82a161c3a162a101"},
		{map[string]string{"y": "2", "x": "1"}, "82a178a131a179a132"},
		{map[string]any{"n": 5, "x-cocaine-cluster": "c1"}, "82a16e05b1782d636f6361696e652d636c7573746572a26331"},
	} {
		b, err := msgpack.AppendValue([]byte{0xee}, c.v)
		if err != nil || hex.EncodeToString(b) != "ee"+c.want {
			t.Errorf("%v: %x, %v, want %s", c.v, b, err, c.want)
		}
	}
}

func TestAppendValueRefuses(t *testing.T) {
	cycle := []any{nil}
	cycle[0] = cycle
	for _, c := range []struct {
		v    any
		want error
	}{
		{make(chan int), msgpack.ErrType},
		{[]any{1, struct{}{}}, msgpack.ErrType},
		{map[string]any{"a": map[int]int{}}, msgpack.ErrType},
		{cycle, msgpack.ErrTooDeep},
	} {
		b, err := msgpack.AppendValue([]byte{0xee}, c.v)
		if !errors.Is(err, c.want) || len(b) != 1 {
			t.Errorf("%T: %d bytes, error %v, want %v", c.v, len(b), err, c.want)
		}
	}
}

func nested(depth int) any {
	var v any = []any{}
	for range depth - 1 {
		v = []any{v}
	}
	return v
}

func TestDepth(t *testing.T) {
	b, err := msgpack.AppendValue(nil, nested(msgpack.MaxDepth))
	if err != nil {
		t.Fatalf("deepest value: %v", err)
	}
	if _, err := msgpack.AppendValue(nil, nested(msgpack.MaxDepth+1)); !errors.Is(err, msgpack.ErrTooDeep) {
		t.Errorf("too deep to write: %v", err)
	}
	if rest, err := msgpack.Skip(b, msgpack.MaxDepth); err != nil || len(rest) != 0 {
		t.Errorf("deepest value: %d left, %v", len(rest), err)
	}
	if _, err := msgpack.Skip(b, msgpack.MaxDepth-1); !errors.Is(err, msgpack.ErrTooDeep) {
		t.Errorf("too deep to skip: %v", err)
	}
	deeper := append([]byte{0x91}, b...)
	r := msgpack.NewReader(deeper)
	if v := r.Value(); v != nil || !errors.Is(r.Err(), msgpack.ErrTooDeep) {
		t.Errorf("too deep to read: %v, %v", v, r.Err())
	}
}
