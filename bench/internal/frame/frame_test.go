package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// traced is the header array the original runtime puts on every frame.
const traced = "93 93c2a874726163655f6964a80000000000000000 93c2a77370616e5f6964a80000000000000000 93c2a9706172656e745f6964a80000000000000000"

func TestNextReadsFrames(t *testing.T) {
	for _, c := range []struct {
		name, hex     string
		channel, typ  uint64
		argsAndHeader string
	}{
		{"enqueue", "94 01 00 91a46563686f 90", 1, 0, "91a46563686f 90"},
		{"without headers", "93 cdfffd cdfffd 90", 65533, 65533, "90"},
		{"shortest", "93 01 00 90", 1, 0, "90"},
		{"close", "94 cc80 02 90 90", 128, 2, "90 90"},
		{"traced value", "94 01 00 90" + traced, 1, 0, "90" + traced},
		{"signed tags", "94 d102bc d001 90 90", 700, 1, "90 90"},
		{"wide channel", "94 cf0000000100000000 00 90 90", 1 << 32, 0, "90 90"},
		{"raw16", "94 ce00010000 00 91da0003616263 90", 65536, 0, "91da0003616263 90"},
		{"new dialect", "94 02 00 92c403616263d903616263 90", 2, 0, "92c403616263d903616263 90"},
		{"all kinds", "94 02 00 98c0c3cb3ff0000000000000ca3f800000d380000000000000008101a178dc000101dd00000000 90", 2, 0,
			"98c0c3cb3ff0000000000000ca3f800000d380000000000000008101a178dc000101dd00000000 90"},
		{"maps", "94 02 00 92de00010102df00000000 90", 2, 0, "92de00010102df00000000 90"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			f, n, err := Next(append(b, 0x94, 0x01)) // the next frame has begun
			if err != nil || n != len(b) {
				t.Fatalf("Next read %d of %d bytes: %v", n, len(b), err)
			}
			if f.Channel != c.channel || f.Type != c.typ || !bytes.Equal(f.Args(), unhex(t, c.argsAndHeader)) {
				t.Errorf("got channel %d, type %d, args and headers %x", f.Channel, f.Type, f.Args())
			}
			for i := range b {
				if _, _, err := Next(b[:i]); !errors.Is(err, ErrShort) {
					t.Errorf("with %d of %d bytes: %v, want ErrShort", i, len(b), err)
				}
			}
			if again := AppendForward(nil, f, f.Channel); len(again) > len(b) || !bytes.HasSuffix(b, again[len(again)-len(f.Rest):]) {
				t.Errorf("forwarded as %x", again)
			}
		})
	}
}

func TestNextRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no array":             "a0 01 02 03 04",
		"two elements":         "92 01 02 03 04",
		"negative channel":     "94 ff 00 90 90",
		"negative wide":        "94 d0ff 00 90 90",
		"channel is text":      "94 a131 00 90 90",
		"args are no array":    "94 01 00 01 90 00",
		"headers are nil":      "94 01 00 90 c0 00",
		"extension":            "94 01 00 91d40178 90",
		"reserved tag":         "94 01 00 91c1 9000",
		"raw longer than all":  "94 01 00 91db7fffffff 90",
		"array longer than it": "94 01 00 91dd7fffffff 90",
	} {
		if f, _, err := Next(unhex(t, text)); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: got %+v, %v", name, f, err)
		}
	}
}

// The original decoder takes 32 containers around a value, the frame included.
func TestNextLimitsDepth(t *testing.T) {
	nested := func(n int) []byte {
		b := []byte{0x94, 0x01, 0x00}
		b = append(b, bytes.Repeat([]byte{0x91}, n)...)
		return append(b, 0xc0, 0x90)
	}
	if _, _, err := Next(nested(31)); err != nil {
		t.Errorf("31 arrays in a frame: %v", err)
	}
	if _, _, err := Next(nested(32)); !errors.Is(err, ErrBroken) {
		t.Errorf("32 arrays in a frame: %v, want ErrBroken", err)
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte{0x94, 0x01, 0x00, 0x91, 0xa1, 'x', 0x90})
	f.Add([]byte{0x93, 0xcd, 0xff, 0xfd, 0x00, 0x90})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, n, err := Next(b)
		if err != nil {
			return
		}
		if n > len(b) || n < 4 {
			t.Fatalf("consumed %d of %d", n, len(b))
		}
		copied := AppendForward(nil, got, got.Channel)
		again, m, err := Next(append(copied, 0)) // one byte more: no frame is the last of its buffer
		if err != nil || m != len(copied) || again.Channel != got.Channel || again.Type != got.Type || !bytes.Equal(again.Args(), got.Args()) {
			t.Fatalf("%x forwarded as %x reads %+v, %v", b[:n], copied, again, err)
		}
		if _, _, err := Next(b[:n-1]); !errors.Is(err, ErrShort) {
			t.Fatalf("a byte less of %x: %v", b[:n], err)
		}
	})
}

func TestTailIsOldDialect(t *testing.T) {
	long := strings.Repeat("x", 40)
	got := AppendTail(nil, 300, Tail(1, Raw("c"), Raw(long), Raw([]byte{1, 2})))
	want := unhex(t, "94 cd012c 01 93 a163 da0028"+hex.EncodeToString([]byte(long))+"a20102 90")
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestAppendUintIsShortest(t *testing.T) {
	for v, want := range map[uint64]string{
		0: "00", 127: "7f", 128: "cc80", 255: "ccff", 256: "cd0100", 65535: "cdffff",
		65536: "ce00010000", 1<<32 - 1: "ceffffffff", 1 << 32: "cf0000000100000000",
	} {
		b := AppendUint(nil, v)
		if !bytes.Equal(b, unhex(t, want)) {
			t.Errorf("%d is %x, want %s", v, b, want)
		}
		if back, rest, err := UintAt(b); back != v || len(rest) != 0 || err != nil {
			t.Errorf("%x reads %d, %v", b, back, err)
		}
	}
}

func TestValuesRead(t *testing.T) {
	for _, text := range []string{"a3616263", "d903616263", "c403616263", "da0003616263", "c50003616263", "db00000003616263", "c600000003616263"} {
		v, rest, err := RawAt(unhex(t, text+"ff"))
		if string(v) != "abc" || len(rest) != 1 || err != nil {
			t.Errorf("%s reads %q, %x, %v", text, v, rest, err)
		}
	}
	for _, text := range []string{"", "a361", "90", "c0", "da00", "db0000"} {
		if v, _, err := RawAt(unhex(t, text)); err == nil {
			t.Errorf("%q reads %q", text, v)
		}
	}
	if n, _, err := ArrayAt(AppendArray(nil, 300)); n != 300 || err != nil {
		t.Errorf("an array of 300 reads %d, %v", n, err)
	}
	if b := AppendMap(nil, 16); !bytes.Equal(b, []byte{0xde, 0, 16}) {
		t.Errorf("a map of 16 is %x", b)
	}
}

func TestErrorAt(t *testing.T) {
	for text, want := range map[string]string{
		"92 92 cd52ff 01 ad7175657565206973 2066756c6c": "queue is full [21247, 1]",
		"91 92 0c 02": "unreadable error [12, 2]",
		"90":          "unreadable error [0, 0]",
		"":            "unreadable error [0, 0]",
	} {
		if got := ErrorAt(unhex(t, text)).Error(); got != want {
			t.Errorf("%s reads %q, want %q", text, got, want)
		}
	}
}
