package codec

import (
	"bytes"
	"testing"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func TestChunkRoundTrip(t *testing.T) {
	var buf []byte
	for _, n := range []int{0, 1, 31, 32, 255, 256, 65535, 65536, 70000} {
		payload := bytes.Repeat([]byte{'x'}, n)
		args, grown, err := Bytes.EncodeChunk(buf, payload)
		if err != nil {
			t.Fatal(err)
		}
		buf = grown
		want := msgpack.AppendBytes(msgpack.AppendArray(nil, 1), payload)
		if !bytes.Equal(args, want) {
			t.Fatalf("%d bytes: head is %x, want %x", n, args[:6], want[:6])
		}
		if got, err := Chunk(args); err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("%d bytes: read back %d, %v", n, len(got), err)
		}
	}
}

func TestChunkOfAValue(t *testing.T) {
	args, _, err := Msgpack.EncodeChunk(nil, inner{5})
	if err != nil || !bytes.Equal(args, unhex(t, "91 a4 81 a1 6e 05")) {
		t.Fatalf("got %x, %v", args, err)
	}
	if _, _, err := JSON.EncodeChunk(nil, func() {}); err == nil {
		t.Fatal("a function was encoded")
	}
}

func TestChunkRefuses(t *testing.T) {
	for _, in := range []string{"", "90", "91", "91 05", "91 90", "81 01 02", "91 a5 61"} {
		if b, err := Chunk(unhex(t, in)); err == nil {
			t.Errorf("%q gave %x", in, b)
		}
	}
}

func TestChunkAllocations(t *testing.T) {
	var v any = &inner{5}
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(200, func() { _, buf, _ = Msgpack.EncodeChunk(buf, v) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
