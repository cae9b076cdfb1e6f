package rpc_test

import (
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

func TestTraceparentRoundTrip(t *testing.T) {
	for _, c := range []struct {
		trace rpc.Trace
		text  string
	}{
		{rpc.Trace{ID: 1, Span: 2}, "00-00000000000000000000000000000001-0000000000000002-01"},
		{rpc.Trace{High: 0x4bf92f3577b34da6, ID: 0xa3ce929d0e0e4736, Span: 0x00f067aa0ba902b7}, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		{rpc.Trace{High: 1<<64 - 1, ID: 1<<64 - 1, Span: 1<<64 - 1}, "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01"},
	} {
		if got := c.trace.Traceparent(); got != c.text {
			t.Errorf("%+v gives %q, want %q", c.trace, got, c.text)
		}
		if got, err := rpc.ParseTraceparent(c.text); err != nil || got != c.trace {
			t.Errorf("%s gives %+v, %v, want %+v", c.text, got, err, c.trace)
		}
	}
	if got := (rpc.Trace{}).Traceparent(); got != "" {
		t.Errorf("no trace gives %q", got)
	}
	child := rpc.Trace{ID: 1, Span: 3, Parent: 2, Verbose: true}
	if got, err := rpc.ParseTraceparent(child.Traceparent()); err != nil || got != (rpc.Trace{ID: 1, Span: 3}) {
		t.Errorf("a child gives %+v, %v", got, err)
	}
}

func TestParseTraceparent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
	for _, s := range []string{good, "01" + good[2:], "cc" + good[2:] + "-what-comes-later"} {
		if got, err := rpc.ParseTraceparent(s); err != nil || got.ID != 0xa3ce929d0e0e4736 {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "00", good[:54], good + "-x", good + "0", "ff" + good[2:], "01" + good[2:] + "x",
		strings.ToUpper(good), strings.Replace(good, "-", "_", 1), "0g" + good[2:], good[:53] + "0g",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da60000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
	} {
		if got, err := rpc.ParseTraceparent(s); err == nil {
			t.Errorf("%q was read as %+v", s, got)
		}
	}
}

func TestTraceparentBesideTheTriple(t *testing.T) {
	want := rpc.Trace{High: 7, ID: 8, Span: 9, Parent: 10}
	hs := append(want.Headers(), hpack.Header{Name: rpc.TraceparentHeader, Value: want.Traceparent()})
	if got, err := rpc.ParseTrace(hs); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, v := range []string{"", "nonsense", rpc.Trace{High: 7, ID: 1, Span: 1}.Traceparent()} {
		hs[3].Value = v
		if got, err := rpc.ParseTrace(hs); err != nil || got.High != 0 || got.ID != 8 {
			t.Errorf("with %q: %+v, %v", v, got, err)
		}
	}
	hs[3].Value = want.Traceparent()
	if got, err := rpc.ParseTrace(hs[3:]); err != nil || got != (rpc.Trace{}) {
		t.Errorf("without the triple: %+v, %v", got, err)
	}
}

func FuzzParseTraceparent(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more")
	f.Fuzz(func(t *testing.T, s string) {
		trace, err := rpc.ParseTraceparent(s)
		if err != nil {
			return
		}
		again, err := rpc.ParseTraceparent(trace.Traceparent())
		if err != nil || again != trace {
			t.Fatalf("%q: %+v, then %+v, %v", s, trace, again, err)
		}
	})
}
