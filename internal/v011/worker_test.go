package v011_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/v011"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// The first message on the workers' socket tells the generations apart, by as few
// bytes as possible.
func TestRecogniseWorker(t *testing.T) {
	recognise := v011.RecogniseWorker(v011.WorkerOptions{})
	for opening, old := range map[string]bool{
		"930000":               true,
		"9300":                 true,
		"93cc00":               true,
		"dc000300":             true,
		"dd00000003cd0000":     true,
		"930100":               false, // [1, 0, [uuid]]
		"94":                   false,
		"940000":               false,
		"92":                   false,
		"93a100":               false,
		"93ff":                 false,
		"a3666f6f":             false,
		"c1":                   false,
		"93c1":                 false,
		"93cf0000000000000001": false,
	} {
		b, _ := hex.DecodeString(opening)
		d, err := recognise(b)
		if err != nil || (d != nil) != old {
			t.Errorf("%s: %v, %v; want v0.11 %v", opening, d, err, old)
		}
	}
	for _, opening := range []string{"93", "93cc", "dc", "dc0003", "dd000000", "93cf00000000000000"} {
		b, _ := hex.DecodeString(opening)
		if d, err := recognise(b); d != nil || !errors.Is(err, wire.ErrShort) {
			t.Errorf("%s: %v, %v; want more", opening, d, err)
		}
	}
}

// newWorker is the dialect of a worker that has shaken hands and is ready.
func newWorker(t testing.TB, o v011.WorkerOptions) rpc.Dialect {
	t.Helper()
	d, err := v011.RecogniseWorker(o)([]byte{0x93, 0})
	if err != nil {
		t.Fatal(err)
	}
	if frames, err := feed(d, "\x93\x00\x00\x91\xa1u"); len(frames) > 0 || err != nil {
		t.Fatalf("handshake: %v, %v", frames, err)
	}
	frames, err := feed(d, "\x93\x01\x00\x90")
	if want := []string{`[1, 0, ["u"]]`, `[1, 0, []]`}; err != nil || fmt.Sprint(frames) != fmt.Sprint(want) {
		t.Fatalf("first heartbeat: %v, %v; want %v", frames, err, want)
	}
	return d
}

// feed gives a dialect bytes until it wants more, and returns the frames as text.
func feed(d rpc.Dialect, input string) (frames []string, err error) {
	for len(input) > 0 {
		n, fs, err := d.Next([]byte(input))
		if errors.Is(err, wire.ErrShort) {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		for _, f := range fs {
			r := msgpack.NewReader(f.Args)
			frames = append(frames, fmt.Sprintf("[%d, %d, %s]", f.Channel, f.Type, text(r.Value())))
		}
		input = input[n:]
	}
	return frames, nil
}

// text shows a value.
func text(v any) string {
	switch v := v.(type) {
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = text(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

// Every message, in both directions, as bytes.
func TestWorkerMessages(t *testing.T) {
	d := newWorker(t, v011.WorkerOptions{})
	long := strings.Repeat("x", 300)
	raw := "\xda\x01\x2c" + long
	for _, tt := range []struct{ channel, typ, args, want string }{
		{"\x01", "\x00", "\x90", "\x93\x01\x00\x90"},
		{"\x02", "\x00", "\x91\xa1e", "\x93\x03\x01\x91\xa1e"},
		{"\x02", "\x00", "\x91\xa2\x00\xff", "\x93\x04\x01\x91\xa2\x00\xff"},
		{"\x02", "\x00", "\x91\xd9\x01a", "\x93\x04\x01\x91\xa1a"},
		{"\x02", "\x00", "\x91\xc5\x01\x2c" + long, "\x93\x04\x01\x91" + raw},
		{"\x02", "\x00", "\x91" + raw, "\x93\x04\x01\x91" + raw},
		{"\x02", "\x02", "\x90", "\x93\x06\x01\x90"},
		{"\x02", "\x00", "\x91\xa1a", ""},
		{"\x02", "\x02", "\x90", ""},
		{"\x02", "\x01", "\x92\x92\x2a\x01\xa0", ""},
		{"\x03", "\x02", "\x90", ""}, // nothing was invoked
		{"\x03", "\x00", "\x91\xd9\x01e", "\x93\x03\x02\x91\xa1e"},
		{"\x03", "\x01", "\x92\x92\x2a\xd0\x9c\xa1t", "\x93\x05\x02\x92\xd0\x9c\xa1t\x93\x06\x02\x90"},
		{"\x03", "\x02", "\x90", ""},
		{"\x01", "\x01", "\x92\x0b\xa1t", "\x93\x02\x00\x92\x01\xa1t"},
		{"\x01", "\x01", "\x90", "\x93\x02\x00\x92\x01\xa0"},
		{"\x01", "\x07", "\x90", ""},
		{"\x00", "\x07", "\x90", ""},
	} {
		dst := []byte("before")
		got := string(d.Append(dst, uint64(tt.channel[0]), uint64(tt.typ[0]), []byte(tt.args), []byte{0x90}))
		if got != "before"+tt.want {
			t.Errorf("frame %x %x %x becomes %x, want %x", tt.channel, tt.typ, tt.args, got[len(dst):], tt.want)
		}
	}
	for _, tt := range []struct{ message, want string }{
		{"\x93\x01\x00\x90", "[[1, 0, []]]"},
		{"\x93\x02\x00\x92\x02\xa1t", `[[1, 1, [2, "t"]]]`},
		{"\x93\x04\x01\x91\xa1\xff", `[[2, 0, ["\xff"]]]`},
		{"\x93\x06\x01\x90", "[[2, 2, []]]"},
		{"\x93\x06\x01\x90", "[]"},
		{"\x93\x05\x02\x92\xd0\x9c\xa1t", `[[3, 1, [[42, -100], "t"]]]`},
		{"\x93\x06\x02\x90", "[]"},
		{"\x93\x04\x02\x91\xa1t", "[]"},
		{"\x93\x04\x03\x91\xa1t", "[]"},
		{"\x93\x00\x00\x91\xa1u", "[]"},
		{"\x93\x03\x01\x91\xa1u", "[]"},
		{"\x93\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x90", "[]"},
	} {
		frames, err := feed(d, tt.message)
		if got := "[" + strings.Join(frames, ", ") + "]"; err != nil || got != tt.want {
			t.Errorf("message %x becomes %s, %v; want %s", tt.message, got, err, tt.want)
		}
	}
}

// The first heartbeat is answered first, whatever the engine has to say first.
func TestWorkerIsGreeted(t *testing.T) {
	d := newWorker(t, v011.WorkerOptions{})
	out := d.Append(nil, 2, idl.WorkerInvoke, []byte("\x91\xa1e"), nil)
	out = d.Append(out, 1, idl.WorkerHeartbeat, []byte{0x90}, nil)
	out = d.Append(out, 1, idl.WorkerHeartbeat, []byte{0x90}, nil)
	if want := "\x93\x01\x00\x90\x93\x03\x01\x91\xa1e\x93\x01\x00\x90"; string(out) != want {
		t.Errorf("worker gets %x, want %x", out, want)
	}
}

// A worker that never ends its sessions does not fill the memory of the runtime.
func TestWorkerSessionsLimit(t *testing.T) {
	d := newWorker(t, v011.WorkerOptions{Sessions: 3})
	for channel := uint64(2); channel < 5; channel++ {
		d.Append(nil, channel, idl.WorkerInvoke, []byte("\x91\xa1e"), nil)
		d.Append(nil, channel, idl.Close, []byte{0x90}, nil)
	}
	if _, err := feed(d, "\x93\x01\x00\x90"); err != nil {
		t.Fatal(err)
	}
	d.Append(nil, 5, idl.WorkerInvoke, []byte("\x91\xa1e"), nil)
	if _, err := feed(d, "\x93\x01\x00\x90"); err == nil || !strings.Contains(err.Error(), "4 sessions have no end") {
		t.Errorf("with a session too many: %v", err)
	}
	feed(d, "\x93\x06\x01\x90")
	if _, err := feed(d, "\x93\x01\x00\x90"); err != nil {
		t.Errorf("with one less again: %v", err)
	}
}

// What ends the connection.
func TestWorkerMalformed(t *testing.T) {
	for _, bad := range []string{"\xc1", "\x92\x01\x00", "\x93\xff\x00\x90", "\x93\x01\x00\xa0", "\x93\x04\x01\xdd\xff\xff\xff\xff"} {
		if _, err := feed(newWorker(t, v011.WorkerOptions{}), bad); err == nil {
			t.Errorf("%x is accepted", bad)
		}
	}
	d, _ := v011.RecogniseWorker(v011.WorkerOptions{})([]byte{0x93, 0})
	if _, err := feed(d, "\x93\x00\x00\x91\xa1u\x93\x02\x00\x92\x02\xa8Bad code"); err == nil || !strings.Contains(err.Error(), "Bad code") {
		t.Errorf("a worker that terminates at once: %v", err)
	}
}

// FuzzWorkerDialect lets a worker say anything, cut anywhere, while the runtime goes
// on with its sessions, and looks at what either side is told.
func FuzzWorkerDialect(f *testing.F) {
	f.Add([]byte("\x93\x01\x00\x90\x93\x04\x01\x91\xa1x\x93\x06\x01\x90"), []byte{0, 1, 2, 3, 4})
	f.Add([]byte("\x93\x05\x01\x92\x2a\xa1x\x93\x06\x01\x90\x93\x02\x00\x92\x01\xa1t"), []byte{0, 0, 4, 8, 1})
	f.Add([]byte("\x93\x00\x01\x90"), []byte{9, 3})
	f.Fuzz(func(t *testing.T, input, script []byte) {
		d, _ := v011.RecogniseWorker(v011.WorkerOptions{Limits: wire.Limits{MaxFrame: 1 << 16}})([]byte{0x93, 0})
		input = append([]byte("\x93\x00\x00\x91\xa1u"), input...)
		var out []byte
		var channels uint64 = 1
		ready, at, end := false, 0, 0
		for _, op := range append(script, make([]byte, 8)...) {
			end = min(end+1+int(op), len(input))
			for at < end {
				n, frames, err := d.Next(input[at:end])
				if errors.Is(err, wire.ErrShort) {
					break
				}
				if err != nil {
					return
				}
				if n <= 0 || n > end-at {
					t.Fatalf("took %d of %d bytes", n, end-at)
				}
				at += n
				for _, f := range frames {
					if !ready && (f.Channel != 1 || f.Type != idl.WorkerHandshake) {
						t.Fatalf("frame [%d, %d] before the handshake", f.Channel, f.Type)
					}
					ready = true
					if f.Channel == 0 || f.Channel > channels || f.Channel > 1 && f.Type > idl.Close {
						t.Fatalf("frame [%d, %d] with %d channels", f.Channel, f.Type, channels)
					}
					if rest, err := msgpack.Skip(f.Args, msgpack.MaxDepth); err != nil || len(rest) > 0 {
						t.Fatalf("arguments %x: %v", f.Args, err)
					}
				}
			}
			if !ready {
				continue
			}
			switch channel := uint64(op)%channels + 1; {
			case op%5 == 0:
				channels++
				out = d.Append(out, channels, idl.WorkerInvoke, []byte("\x91\xa1e"), nil)
			case op%5 == 1:
				out = d.Append(out, 1, idl.WorkerHeartbeat, []byte{0x90}, nil)
			case channel == 1:
			case op%5 == 2:
				out = d.Append(out, channel, idl.Write, []byte("\x91\xc4\x01c"), nil)
			case op%5 == 3:
				out = d.Append(out, channel, idl.Close, []byte{0x90}, nil)
			case op%5 == 4:
				out = d.Append(out, channel, idl.StreamError, []byte("\x92\x92\x2a\x05\xa1t"), nil)
			}
		}
		checkSaid(t, out)
	})
}

// checkSaid fails the test unless a worker of v0.11 would stand these messages.
func checkSaid(t *testing.T, out []byte) {
	t.Helper()
	ended := make(map[uint64]bool)
	var last uint64
	swapped := len(out) > 1 && out[1] == 0 // the first message is a heartbeat
	for len(out) > 0 {
		f, n, err := wire.Parse(out, wire.Limits{})
		if err != nil || f.Headers != nil {
			t.Fatalf("worker is told %x: %v", out, err)
		}
		out = out[n:]
		typ, session := f.Channel, f.Type
		if swapped {
			typ, session = session, typ
		}
		switch {
		case (typ == 1 || typ == 2) && session == 0:
		case typ == 3 && session == last+1:
			last = session
		case typ >= 4 && typ <= 6 && session >= 1 && session <= last && !ended[session]:
			ended[session] = typ == 6
		default:
			t.Fatalf("worker is told %d on session %d, the latest of which is %d", typ, session, last)
		}
	}
}

// A chunk and the choke behind it are handed on together, if both are there.
func TestWorkerLastTwo(t *testing.T) {
	var stats rpc.Stats
	d := newWorker(t, v011.WorkerOptions{Stats: &stats})
	const sessions = 300
	for channel := uint64(2); channel < 2+sessions; channel++ {
		d.Append(nil, channel, idl.WorkerInvoke, []byte("\x91\xa1e"), []byte{0x90})
	}
	for _, tt := range []struct {
		session int
		input   string
		frames  int
		read    int // of the input
	}{
		{1, "\x93\x04\x01\x91\xa1x\x93\x06\x01\x90", 2, 10},
		{2, "\x93\x04\x02\x91\xa1x\x93\x06\x02", 1, 6},              // not there yet
		{3, "\x93\x04\x03\x91\xa1x\x93\x06\x04\x90", 1, 6},          // another's
		{5, "\x93\x04\x05\x91\xa1x\x93\x04\x05\x91\xa1y", 1, 6},     // another chunk
		{6, "\x93\x04\x06\x91\xa1x\x93\x06\xcc\x06\x90", 1, 6},      // in another encoding
		{7, "\x93\x04\xcc\x07\x91\xa1x\x93\x06\xcc\x07\x90", 2, 12}, // both in the same
		{200, "\x93\x04\xcc\xc8\x91\xa1x\x93\x06\xcc\xc8\x90", 2, 12},
		{256, "\x93\x04\xcd\x01\x00\x91\xa1x\x93\x06\xcd\x01\x00\x90", 2, 14},
		{8, "\x93\x04\x08\x91\xa1x\x93\x06\x08\x91\x01", 1, 6}, // with an argument
	} {
		n, frames, err := d.Next([]byte(tt.input))
		if err != nil || n != tt.read || len(frames) != tt.frames {
			t.Errorf("session %d: %d bytes, %d frames, %v; want %d and %d", tt.session, n, len(frames), err, tt.read, tt.frames)
			continue
		}
		for i, f := range frames {
			if typ := []uint64{idl.Write, idl.Close}[i]; f.Channel != uint64(tt.session+1) || f.Type != typ {
				t.Errorf("session %d: frame %d is %v", tt.session, i, f)
			}
		}
	}
	late := stats.LateFrames.Load()
	if frames, err := feed(d, "\x93\x04\x01\x91\xa1x\x93\x06\x01\x90"); len(frames) > 0 || err != nil {
		t.Errorf("after its end: %v, %v", frames, err)
	}
	if n := stats.LateFrames.Load() - late; n != 2 {
		t.Errorf("%d late messages, want 2", n)
	}
}

// The last chunk for a worker and the choke, in one step, are what they are in two.
func TestWorkerAppendLast(t *testing.T) {
	d := newWorker(t, v011.WorkerOptions{}).(rpc.LastDialect)
	last := func(channel uint64) string {
		return string(d.AppendLast([]byte("-"), channel, []byte("\x91\xc4\x01x"), []byte{0x90}, []byte{0x90}))
	}
	invoke := func(channel uint64) {
		d.Append(nil, channel, idl.WorkerInvoke, []byte("\x91\xa1e"), []byte{0x90})
	}
	for channel := uint64(2); channel < 5; channel++ {
		invoke(channel)
	}
	if _, err := feed(d, "\x93\x05\x02\x92\x01\xa1x"); err != nil { // session 2 fails
		t.Fatal(err)
	}
	for channel, want := range []string{0: "-", 1: "-", 2: "-\x93\x04\x01\x91\xa1x\x93\x06\x01\x90", 3: "-\x93\x06\x02\x90", 9: "-"} {
		if want == "" {
			continue
		}
		if got := last(uint64(channel)); got != want {
			t.Errorf("channel %d: %q, want %q", channel, got, want)
		}
		if got := last(uint64(channel)); got != "-" {
			t.Errorf("channel %d ends again: %q", channel, got)
		}
	}
}
