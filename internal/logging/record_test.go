package logging

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRecordRoundTrip(t *testing.T) {
	at := time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.UTC)
	for name, r := range map[string]Record{
		"zero":    {Time: time.Unix(0, 0)},
		"plain":   {Time: at, Severity: Error, Source: "app/hello", Worker: "0f8b", Message: "it\nbroke \x00\xff"},
		"old":     {Time: time.Unix(-1, -1)},
		"attrs":   {Time: at, Attrs: []Attr{{"text", "v"}, {"int", int64(-5)}, {"uint", uint64(math.MaxUint64)}, {"float", 2.5}, {"yes", true}, {"no", false}, {"", ""}}},
		"longest": {Time: at, Message: strings.Repeat("m", MaxMessage)},
	} {
		got, err := parseRecord(appendRecord(nil, r))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !got.Time.Equal(r.Time) {
			t.Errorf("%s: time %v comes back as %v", name, r.Time, got.Time)
		}
		got.Time = r.Time
		if !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v comes back as %+v", name, r, got)
		}
	}
}

func TestRecordIsCut(t *testing.T) {
	r := Record{
		Time: time.Unix(1, 0), Severity: 99,
		Source:  strings.Repeat("s", 1000),
		Message: strings.Repeat("я", MaxMessage),
		Attrs:   []Attr{{strings.Repeat("n", 1000), strings.Repeat("v", 10000)}, {"int", 7}, {"odd", []int{1, 2}}, {"nil", nil}},
	}
	for range 100 {
		r.Attrs = append(r.Attrs, Attr{"more", strings.Repeat("v", 10000)})
	}
	frame := newFrame(r)
	if len(frame)-frameHeader > maxFrame {
		t.Errorf("frame of %d bytes", len(frame))
	}
	got, err := parseRecord(frame[frameHeader:])
	if err != nil {
		t.Fatal(err)
	}
	if got.Severity != Error || len(got.Attrs) != MaxAttrs || len(got.Message) > MaxMessage || !strings.HasSuffix(got.Message, "я...") {
		t.Errorf("severity %d, %d attributes, message of %d bytes that ends in %q", got.Severity, len(got.Attrs), len(got.Message), got.Message[len(got.Message)-6:])
	}
	want := []Attr{{"int", int64(7)}, {"odd", "[1 2]"}, {"nil", "<nil>"}}
	if !reflect.DeepEqual(got.Attrs[1:4], want) {
		t.Errorf("attributes %+v, want %+v", got.Attrs[1:4], want)
	}
}

func TestSplitFrame(t *testing.T) {
	frame := newFrame(Record{Time: time.Unix(1, 0), Message: "hello"})
	seal(frame, 42)
	number, b, n, err := splitFrame(append(bytes.Clone(frame), "next"...))
	if err != nil || number != 42 || n != len(frame) || !bytes.Equal(b, frame[frameHeader:]) {
		t.Errorf("split gives %d, %q, %d, %v", number, b, n, err)
	}
	for i := range frame {
		if _, _, _, err := splitFrame(frame[:i]); err != errShort {
			t.Errorf("the first %d bytes: %v", i, err)
		}
		bad := bytes.Clone(frame)
		bad[i] ^= 0x10
		if _, _, _, err := splitFrame(bad); err == nil {
			t.Errorf("a flipped bit in byte %d is not noticed", i)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, Record{Time: time.Unix(1, 0), Source: "s", Message: "m", Attrs: []Attr{{"a", "b"}, {"c", 1.5}, {"d", true}}}))
	f.Add(appendRecord(nil, Record{Time: time.Unix(-1, 0), Attrs: []Attr{{"a", int64(-1)}, {"b", uint64(1)}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		again, err := parseRecord(appendRecord(nil, r))
		if err != nil {
			t.Fatal(err)
		}
		if x, y := appendRecord(nil, r), appendRecord(nil, again); !bytes.Equal(x, y) {
			t.Errorf("%x is encoded as %x and then as %x", b, x, y)
		}
	})
}

func FuzzFrame(f *testing.F) {
	frame := newFrame(Record{Time: time.Unix(1, 0), Message: "hello"})
	seal(frame, 1)
	f.Add(frame)
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, record, n, err := splitFrame(b)
		if err == nil && (n > len(b) || n != len(record)+frameHeader) {
			t.Errorf("a frame of %d bytes with a record of %d in %d", n, len(record), len(b))
		}
	})
}

func TestQueueDropsTheOldest(t *testing.T) {
	q := queue{limit: 10}
	for i, want := range []bool{true, false, false, false, false} {
		if first := q.push(bytes.Repeat([]byte{byte(i)}, 4)); first != want {
			t.Errorf("push %d: first is %v", i, first)
		}
	}
	items, dropped := q.take()
	if len(items) != 2 || items[0][0] != 3 || dropped != 3 {
		t.Errorf("take gives %v and %d dropped", items, dropped)
	}
	if items, dropped := q.take(); len(items) != 0 || dropped != 0 || q.pending() {
		t.Errorf("second take gives %v and %d dropped", items, dropped)
	}
	q.push(make([]byte, 100)) // larger than the queue, and alone in it
	if items, dropped := q.take(); len(items) != 1 || dropped != 0 {
		t.Errorf("take gives %d items and %d dropped", len(items), dropped)
	}
}

func TestDirOfApp(t *testing.T) {
	seen := make(map[string]string)
	for _, app := range []string{"", "%", "hello", "Hello", ".", "..", "a/b", "a\x00b", "../../etc", "a b", "a+b", "%2E", "приложение", strings.Repeat("x", maxName)} {
		dir := dirOfApp(app)
		if dir == "" || dir == "." || dir == ".." || strings.ContainsAny(dir, "/\x00") {
			t.Errorf("app %q lies in %q", app, dir)
		}
		if other, ok := seen[dir]; ok {
			t.Errorf("apps %q and %q both lie in %q", app, other, dir)
		}
		seen[dir] = app
		if back, ok := appOfDir(dir); !ok || back != app {
			t.Errorf("%q, of app %q, is read as %q, %v", dir, app, back, ok)
		}
	}
	for _, dir := range []string{"lost+found", "a.b", "%zz", "a b"} {
		if app, ok := appOfDir(dir); ok && dirOfApp(app) != dir {
			t.Errorf("%q is taken for the directory of %q", dir, app)
		}
	}
}
