package cocaine

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// resolution gives the arguments of locator.resolve's answer.
func resolution(p *idl.Protocol, endpoints ...[]any) []byte {
	b := msgpack.AppendArray(nil, 3)
	list := make([]any, len(endpoints))
	for i := range endpoints {
		list[i] = endpoints[i]
	}
	b, err := msgpack.AppendValue(b, list)
	if err != nil {
		panic(err)
	}
	return p.AppendGraph(msgpack.AppendInt(b, int64(p.Version)))
}

func TestParseResolution(t *testing.T) {
	r, err := parseResolution("s", resolution(idl.Storage, []any{"127.0.0.1", 1}, []any{"::1", 65535}))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Endpoints, " "); got != "127.0.0.1:1 [::1]:65535" || r.Version != 1 {
		t.Errorf("got %q, version %d", got, r.Version)
	}
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"empty":           {0x90},
		"two values":      {0x92, 0x90, 1},
		"endpoint is one": {0x93, 0x91, 0x91, 0xa1, 'h', 1, 0x80},
		"port is text":    {0x93, 0x91, 0x92, 0xa1, 'h', 0xa1, '1', 1, 0x80},
		"version is text": {0x93, 0x90, 0xa1, '1', 0x80},
		"graph is a list": {0x93, 0x90, 1, 0x90},
		"short":           resolution(idl.Storage)[:20],
	} {
		if r, err := parseResolution("s", b); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// The shape of a method decides how a call of it ends.
func TestMethodShapes(t *testing.T) {
	shape := func(p *idl.Protocol, name string) *method {
		g, err := idl.ParseGraph(p.AppendGraph(nil))
		if err != nil {
			t.Fatal(err)
		}
		id, tx, rx, ok := g.Method(name)
		if !ok {
			t.Fatalf("%s has no %s", p.Name, name)
		}
		return newMethod(id, idl.GraphEntry{Name: name, Tx: tx, Rx: rx})
	}
	for _, c := range []struct {
		m                     *method
		streams, leaves, once bool
	}{
		{shape(idl.App, "enqueue"), true, false, false},
		{shape(idl.App, "info"), false, false, true},
		{shape(idl.Unicorn, "subscribe"), false, true, false},
		{shape(idl.Unicorn, "get"), false, true, true},
		{shape(idl.Locator, "routing"), false, true, false},
		{shape(idl.Locator, "resolve"), false, false, true},
		{shape(idl.Logging, "emit"), false, false, false},
	} {
		if c.m.streams() != c.streams || c.m.hasLeave != c.leaves || c.m.once() != c.once {
			t.Errorf("%s: streams %v, leaves %v, once %v", c.m.name, c.m.streams(), c.m.hasLeave, c.m.once())
		}
	}
}

func TestLostErrorIsNoEnd(t *testing.T) {
	err := error(&DisconnectedError{Err: io.EOF})
	if errors.Is(err, io.EOF) || !errors.Is(err, ErrDisconnected) || err.Error() != "connection lost" {
		t.Errorf("got %v", err)
	}
	err = &DisconnectedError{Err: io.ErrUnexpectedEOF}
	if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != "connection lost: unexpected EOF" {
		t.Errorf("got %v", err)
	}
}

func FuzzParseResolution(f *testing.F) {
	f.Add(resolution(idl.Storage, []any{"127.0.0.1", 1}))
	f.Add(resolution(idl.Unicorn))
	f.Add([]byte{0x93, 0xdd, 0xff, 0xff, 0xff, 0xff, 1, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseResolution("s", b)
		if err != nil {
			return
		}
		newLink(nil, "", r)
	})
}
