package wire_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

func frameOf(t *testing.T, channel, typ uint64, args ...any) wire.Frame {
	t.Helper()
	b, err := msgpack.AppendValue(nil, args)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Frame{Channel: channel, Type: typ, Args: b}
}

func TestFrameString(t *testing.T) {
	for _, c := range []struct {
		frame wire.Frame
		want  string
	}{
		{wire.Frame{Channel: 3, Type: 2}, "3 (2) []"},
		{frameOf(t, 1, 0, "app", "event"), `1 (0) ["app", "event"]`},
		{frameOf(t, 1, 0, "two\nlines\x1b[0m"), `1 (0) [h'74776f0a6c696e65731b5b306d']`},
		{frameOf(t, 1, 0, "two\nlines"), `1 (0) ["two\nlines"]`},
		{frameOf(t, 1, 0, "naïve 漢"), `1 (0) ["naïve 漢"]`},
		{frameOf(t, 1, 0, []byte{0, 255}), `1 (0) [h'00ff']`},
		{frameOf(t, 1, 0, strings.Repeat("x", 65)), `1 (0) ["` + strings.Repeat("x", 64) + `"… 65 bytes]`},
		{frameOf(t, 1, 0, strings.Repeat("x", 63)+"漢"), `1 (0) ["` + strings.Repeat("x", 63) + `"… 66 bytes]`},
		{frameOf(t, 1, 0, make([]byte, 66)), `1 (0) [h'` + strings.Repeat("00", 64) + `'… 66 bytes]`},
		{frameOf(t, 1, 0, 1.0, 2.5, 1e100, nil, true, -7), `1 (0) [1.0, 2.5, 1e+100, nil, true, -7]`},
		{frameOf(t, 1, 0, make([]any, 34)), `1 (0) [[` + strings.Repeat("nil, ", 32) + `… 2 more]]`},
		{wire.Frame{Channel: 1, Args: []byte{0x91}}, `1 (0) undecodable h'91'`},
		{wire.Frame{Channel: 1, Headers: []byte{0x91, 0x53}}, `1 (0) [] [83]`},
		{wire.Frame{Channel: 1, Headers: []byte{0x91, 0x93, 0xc2, 0xa2, 'a', '\n', 0xa1, 'v'}}, `1 (0) [] {"a\n": "v"}`},
	} {
		if got := c.frame.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestStyleCutsMaps(t *testing.T) {
	f := frameOf(t, 1, 0, map[string]any{"a": 1, "b": 2, "c": 3}, "after")
	if got, want := string(wire.Style{MaxItems: 2}.AppendFrame(nil, f)), `1 (0) [{"a": 1, "b": 2, … 1 more}, "after"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStyleNames(t *testing.T) {
	s := wire.Style{Name: func(channel, typ uint64) string {
		if channel == 12 && typ == 0 {
			return "enqueue"
		}
		return ""
	}}
	if got, want := string(s.AppendFrame(nil, frameOf(t, 12, 0, "event"))), `12 enqueue(0) ["event"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(s.AppendFrame(nil, frameOf(t, 12, 2))), `12 (2) []`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFrameLogValue(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	f, _, err := wire.Parse(tracedFrame(), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("got", "frame", f)
	want := `level=INFO msg=got frame.channel=1 frame.type=0 frame.args=[] ` +
		`frame.headers="{trace_id: 0000000000000000, span_id: 0000000000000000, parent_id: 0000000000000000}"` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", &out, want)
	}
}

func TestDump(t *testing.T) {
	stream := append(chunk(1, 1), chunk(2, 2)...)
	var out bytes.Buffer
	err := wire.Dump(&out, append(stream, 0x94, 0x01), wire.Style{})
	if !errors.Is(err, wire.ErrShort) {
		t.Errorf("error %v, want ErrShort", err)
	}
	want := "       0  1 (0) [h'00']\n       7  2 (0) [h'0000']\n      15  h'9401'\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestDumpWriteError(t *testing.T) {
	if err := wire.Dump(brokenWriter{}, chunk(1, 1), wire.Style{}); err == nil || err.Error() != "disk full" {
		t.Errorf("error %v", err)
	}
}
