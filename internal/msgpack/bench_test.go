package msgpack_test

import (
	"testing"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func BenchmarkExtent(b *testing.B) {
	args := msgpack.AppendArray(nil, 100)
	for i := range 100 {
		args = msgpack.AppendInt(args, int64(i*i))
	}
	b.SetBytes(int64(len(args)))
	b.ReportAllocs()
	for b.Loop() {
		if msgpack.Extent(args, msgpack.MaxDepth) != len(args) {
			b.Fatal("wrong extent")
		}
	}
}

func BenchmarkReader(b *testing.B) {
	args := msgpack.AppendString(msgpack.AppendString(msgpack.AppendArray(nil, 3), "collection"), "key")
	args = msgpack.AppendBytes(args, make([]byte, 128))
	b.ReportAllocs()
	for b.Loop() {
		r := msgpack.NewReader(args)
		r.Array()
		r.Bytes()
		r.Bytes()
		r.Bytes()
		if r.Err() != nil {
			b.Fatal(r.Err())
		}
	}
}
