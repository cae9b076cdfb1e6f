package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// scanPieces feeds a stream to a Scanner as a connection does: the buffer grows piece by piece, frames are taken off
// its front. It returns the frames, re-encoded as they were found, and the first error but ErrShort.
func scanPieces(stream []byte, l wire.Limits, piece func() int) (frames []string, err error) {
	s := wire.NewScanner(l)
	for from, end := 0, 0; ; {
		f, n, err := s.Next(stream[from:end])
		switch {
		case err == nil:
			frames = append(frames, describe(f, n))
			from += n
		case !errors.Is(err, wire.ErrShort):
			return frames, err
		case end == len(stream):
			return frames, nil
		default:
			end = min(end+max(piece(), 1), len(stream))
		}
	}
}

func describe(f wire.Frame, n int) string {
	return fmt.Sprintf("%d bytes, channel %d, type %d, args %x, headers %x (%v)", n, f.Channel, f.Type, f.Args, f.Headers, f.Headers != nil)
}

func TestScannerPieces(t *testing.T) {
	for _, v := range loadVectors(t) {
		stream := append(bytes.Clone(v.bytes), chunk(9, 40)...)
		whole, wholeErr := scanPieces(stream, wire.Limits{}, func() int { return len(stream) })
		for size := 1; size <= 5; size++ {
			frames, err := scanPieces(stream, wire.Limits{}, func() int { return size })
			if fmt.Sprint(frames, err) != fmt.Sprint(whole, wholeErr) {
				t.Errorf("%s in pieces of %d:\n got %v, %v\nwant %v, %v", v.name, size, frames, err, whole, wholeErr)
			}
		}
	}
}

func TestScannerMovedBuffer(t *testing.T) {
	frame := chunk(300, 100)
	s := wire.NewScanner(wire.Limits{})
	for end := range frame {
		// A fresh copy each time: the scanner must not keep the buffer.
		if _, _, err := s.Next(bytes.Clone(frame[:end])); err != wire.ErrShort {
			t.Fatalf("after %d bytes: %v, want ErrShort itself", end, err)
		}
	}
	f, n, err := s.Next(frame)
	if err != nil || n != len(frame) || f.Channel != 300 {
		t.Fatalf("whole frame: %v, %d, %v", f, n, err)
	}
	if &f.Args[0] != &frame[5] {
		t.Error("args do not alias the last buffer")
	}
}

func TestScannerNeed(t *testing.T) {
	frame := chunk(5, 1000) // head 3, args 1+3+1000, headers 1
	s := wire.NewScanner(wire.Limits{})
	for _, c := range []struct{ have, need int }{
		{0, 1},
		{1, 5},    // an array of four: a byte each
		{4, 6},    // args of one element
		{7, 1008}, // the length of the raw is known
		{1000, 1008},
		{1008, 0},
	} {
		if _, _, err := s.Next(frame[:c.have]); err != nil && err != wire.ErrShort {
			t.Fatal(err)
		}
		if s.Need() != c.need {
			t.Errorf("after %d bytes: need %d, want %d", c.have, s.Need(), c.need)
		}
	}
}

func TestScannerLimit(t *testing.T) {
	frame := chunk(5, 1000)
	for _, piece := range []int{1, len(frame)} {
		step := func() int { return piece }
		if frames, err := scanPieces(frame, wire.Limits{MaxFrame: len(frame)}, step); err != nil || len(frames) != 1 {
			t.Errorf("frame of the largest size in pieces of %d: %v", piece, err)
		}
		if _, err := scanPieces(frame, wire.Limits{MaxFrame: len(frame) - 1}, step); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("frame above the limit in pieces of %d: %v", piece, err)
		}
		if _, err := scanPieces(frame, wire.Limits{MaxDepth: 1}, step); !errors.Is(err, wire.ErrTooDeep) {
			t.Errorf("args at a depth limit of 1: %v", err)
		}
		if _, err := scanPieces(frame, wire.Limits{MaxDepth: 2}, step); err != nil {
			t.Errorf("args at a depth limit of 2: %v", err)
		}
	}
}

// TestScannerRefusesClaims: the length alone is enough, and the answer costs neither memory nor time.
func TestScannerRefusesClaims(t *testing.T) {
	claims := map[string][]byte{
		"raw":            unhex(t, "93 01 00 91 db ff ff ff ff"),
		"array":          unhex(t, "93 01 00 dd ff ff ff ff"),
		"map":            unhex(t, "93 01 00 91 df ff ff ff ff"),
		"frame":          unhex(t, "dd ff ff ff ff"),
		"nested arrays":  unhex(t, "93 01 00 dd 02 00 00 00 dd 02 00 00 00 dd 02 00 00 00"),
		"fifth element":  unhex(t, "95 01 00 90 90 db ff ff ff ff"),
		"just above":     unhex(t, "93 01 00 91 db 04 00 00 00"),
		"raw in headers": unhex(t, "94 01 00 90 91 93 c2 db ff ff ff ff"),
	}
	for name, b := range claims {
		var err error
		if allocs := testing.AllocsPerRun(10, func() { _, _, err = wire.Parse(b, wire.Limits{}) }); allocs > 5 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
		if !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}

func TestScannerErrorOffset(t *testing.T) {
	_, _, err := wire.Parse(unhex(t, "93 01 00 92 a1 78 c1"), wire.Limits{})
	var e *wire.Error
	if !errors.As(err, &e) || e.Offset != 6 {
		t.Fatalf("error %v, want offset 6", err)
	}
	if want := "cannot parse frame: malformed msgpack at byte 6: tag 0xc1"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
}

// TestScannerLinear: the time for a frame of many items must not depend on how it is cut.
func TestScannerLinear(t *testing.T) {
	frame := manyItems(20000) // 100 KB
	feed := func(piece int) time.Duration {
		best := time.Hour
		for range 3 {
			start := time.Now()
			if frames, err := scanPieces(frame, wire.Limits{}, func() int { return piece }); err != nil || len(frames) != 1 {
				t.Fatalf("%d frames, %v", len(frames), err)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	// A scanner that starts again with each piece would need 50,000 times the work.
	if whole, bytewise := feed(len(frame)), feed(1); bytewise > 1000*whole {
		t.Errorf("in one piece %v, byte by byte %v", whole, bytewise)
	}
}

func TestScannerDoesNotAllocate(t *testing.T) {
	for name, frame := range map[string][]byte{
		"chunk": chunk(5, 128), "wide channel": chunk(1<<20, 128), "traced": tracedFrame(), "many": manyItems(100),
	} {
		s := wire.NewScanner(wire.Limits{})
		if n := testing.AllocsPerRun(100, func() { s.Next(frame) }); n != 0 {
			t.Errorf("%s: %v allocations a frame", name, n)
		}
		half := len(frame) / 2
		s.Next(frame[:half])
		s.Next(frame)
		if n := testing.AllocsPerRun(100, func() { s.Next(frame[:half]); s.Next(frame) }); n != 0 {
			t.Errorf("%s in halves: %v allocations a frame", name, n)
		}
	}
}

func TestScannerGoesOnAfterFrame(t *testing.T) {
	var stream []byte
	for i := range 50 {
		stream = append(stream, chunk(uint64(i+1), i*7)...)
	}
	frames, err := scanPieces(stream, wire.Limits{}, func() int { return 11 })
	if err != nil || len(frames) != 50 {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
}

func TestAppendFrame(t *testing.T) {
	for _, c := range []struct {
		frame wire.Frame
		want  string
	}{
		{wire.Frame{Channel: 1}, "94 01 00 90 90"},
		{wire.Frame{Channel: 128, Type: 65533}, "94 cc 80 cd ff fd 90 90"},
		{wire.Frame{Channel: 1, Type: 2, Args: []byte{0x91, 0xc0}, Headers: []byte{0x91, 0x50}}, "94 01 02 91 c0 91 50"},
	} {
		if got := wire.AppendFrame([]byte{0xee}, c.frame); !bytes.Equal(got[1:], unhex(t, c.want)) || got[0] != 0xee {
			t.Errorf("%v: % x, want %s", c.frame, got, c.want)
		}
	}
	head := wire.AppendHead(nil, 7, 1)
	if whole := append(append(head, 0x90), 0x90); !bytes.Equal(whole, wire.AppendFrame(nil, wire.Frame{Channel: 7, Type: 1})) {
		t.Errorf("head with two arrays is % x", whole)
	}
}

func TestAppendFrameDoesNotAllocate(t *testing.T) {
	f := wire.Frame{Channel: 5, Args: msgpack.AppendBytes([]byte{0x91}, make([]byte, 128))}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buf = wire.AppendFrame(buf[:0], f) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
