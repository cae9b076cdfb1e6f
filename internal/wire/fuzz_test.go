package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cocaine/cocaine-go/internal/wire"
)

func seed(f *testing.F, add func(b []byte)) {
	for _, v := range loadVectors(f) {
		add(v.bytes)
	}
	for i, c := range loadCaptures(f) {
		if i%20 == 0 {
			add(c.bytes)
		}
	}
}

// FuzzScanner: what comes out of a stream does not depend on how it is cut, never exceeds the limits, and what was
// parsed can be written and parsed again.
func FuzzScanner(f *testing.F) {
	seed(f, func(b []byte) { f.Add(b, uint32(1)) })
	f.Fuzz(func(t *testing.T, stream []byte, cuts uint32) {
		l := wire.Limits{MaxFrame: 1 << 12, MaxDepth: 8}
		whole, wholeErr := scanPieces(stream, l, func() int { return len(stream) })
		state := cuts | 1
		pieces, piecesErr := scanPieces(stream, l, func() int {
			state = state*1664525 + 1013904223
			return int(state >> 28)
		})
		if fmt.Sprint(whole, wholeErr) != fmt.Sprint(pieces, piecesErr) {
			t.Fatalf("whole:  %v, %v\npieces: %v, %v", whole, wholeErr, pieces, piecesErr)
		}
		checkRoundTrip(t, stream, l)
	})
}

func checkRoundTrip(t *testing.T, stream []byte, l wire.Limits) {
	f, n, err := wire.Parse(stream, l)
	if err != nil {
		if n != 0 {
			t.Fatalf("%d bytes consumed with error %v", n, err)
		}
		return
	}
	if n > l.MaxFrame || n > len(stream) {
		t.Fatalf("frame of %d bytes", n)
	}
	again, m, err := wire.Parse(wire.AppendFrame(nil, f), wire.Limits{})
	if err != nil {
		t.Fatalf("written frame does not parse: %v", err)
	}
	if f.Headers == nil {
		f.Headers = []byte{0x90}
	}
	if describe(f, m) != describe(again, m) {
		t.Fatalf("%v became %v", f, again)
	}
}

// FuzzScannerNeed: Need never promises more than the frame takes, and always more than there is.
func FuzzScannerNeed(f *testing.F) {
	seed(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, stream []byte) {
		l := wire.Limits{MaxFrame: 1 << 12}
		_, size, err := wire.Parse(stream, l)
		s := wire.NewScanner(l)
		for end := range stream {
			_, n, cutErr := s.Next(stream[:end])
			if !errors.Is(cutErr, wire.ErrShort) {
				return
			}
			if n != 0 || s.Need() <= end || s.Need() > l.MaxFrame {
				t.Fatalf("%d bytes: consumed %d, need %d", end, n, s.Need())
			}
			if err == nil && s.Need() > size {
				t.Fatalf("%d bytes: need %d of a frame of %d", end, s.Need(), size)
			}
		}
	})
}

// FuzzDump: showing never fails on what parses, whatever is in it.
func FuzzDump(f *testing.F) {
	seed(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, stream []byte) {
		err := wire.Dump(io.Discard, stream, wire.Style{MaxBytes: 8, MaxItems: 2})
		if frames, scanErr := scanPieces(stream, wire.Limits{}, func() int { return len(stream) }); err == nil && scanErr != nil {
			t.Fatalf("Dump took %d frames and what fails with %v", len(frames), scanErr)
		}
		var line bytes.Buffer
		if fr, _, err := wire.Parse(stream, wire.Limits{}); err == nil {
			fmt.Fprint(&line, fr)
			if bytes.ContainsAny(line.Bytes(), "\n\r\x1b") {
				t.Fatalf("control characters in %q", &line)
			}
		}
	})
}
