package wire_test

import (
	"fmt"
	"testing"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// chunk is a write of n bytes: the frame that a busy runtime forwards.
func chunk(channel uint64, n int) []byte {
	args := msgpack.AppendBytes(msgpack.AppendArray(nil, 1), make([]byte, n))
	return wire.AppendFrame(nil, wire.Frame{Channel: channel, Args: args})
}

func BenchmarkScannerNext(b *testing.B) {
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"chunk16", chunk(5, 16)},
		{"chunk128", chunk(5, 128)},
		{"chunk128/channel=100000", chunk(100000, 128)},
		{"close", wire.AppendFrame(nil, wire.Frame{Channel: 5, Type: 2})},
		{"traced", tracedFrame()},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := wire.NewScanner(wire.Limits{})
			b.ReportAllocs()
			for b.Loop() {
				if _, n, _ := s.Next(c.frame); n != len(c.frame) {
					b.Fatal("not one frame")
				}
			}
		})
	}
}

// BenchmarkScannerPieces shows that a frame in pieces costs what its bytes cost.
func BenchmarkScannerPieces(b *testing.B) {
	frame := manyItems(10000)
	for _, piece := range []int{len(frame), 4096, 512, 64} {
		b.Run(fmt.Sprintf("piece=%d", piece), func(b *testing.B) {
			s := wire.NewScanner(wire.Limits{})
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				for end := 0; end < len(frame); {
					end = min(end+piece, len(frame))
					s.Next(frame[:end])
				}
			}
		})
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	f, _, err := wire.Parse(chunk(5, 128), wire.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.AppendFrame(buf[:0], f)
	}
}

// manyItems is a frame with n small strings: the worst shape for a scanner.
func manyItems(n int) []byte {
	args := msgpack.AppendArray(nil, n)
	for range n {
		args = msgpack.AppendString(args, "item")
	}
	return wire.AppendFrame(nil, wire.Frame{Channel: 1, Args: args})
}
