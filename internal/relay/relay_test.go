package relay_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

func TestChunk(t *testing.T) {
	for args, want := range map[string]string{
		"\x91\xa1v":         "\x91\xa1v",
		"\x91\xc4\x01v":     "\x91\xc4\x01v", // bin of the new dialect stays
		"\x92\xa1v\x01":     "\x91\xa1v",     // what is surplus goes
		"\xdc\x00\x01\xa1v": "\x91\xa1v",
		"\x90":              "",
		"\x91\x01":          "",
		"\x91\x91\xa1v":     "",
	} {
		if got := relay.Chunk([]byte(args)); string(got) != want {
			t.Errorf("chunk of %x is %x, want %x", args, got, want)
		}
	}
}

func TestEvent(t *testing.T) {
	for args, want := range map[string]string{"\x91\xa1e": "e", "\x92\xa1e\xa3tag": "e", "\x91\xa0": ""} {
		got, err := relay.DecodeEvent([]byte(args))
		if err != nil || string(got) != want {
			t.Errorf("event of %x is %q, %v", args, got, err)
		}
		if invoke := relay.InvokeArgs([]byte(args), got); !bytes.Equal(invoke, relay.EventArgs(got)) {
			t.Errorf("invoke for %x has %x", args, invoke)
		}
	}
	for _, args := range []string{"\x90", "\x91\x01", "\x91\xc0"} {
		if _, err := relay.DecodeEvent([]byte(args)); !errors.Is(err, &rpc.Error{Category: 7, Code: 2}) {
			t.Errorf("event of %x: %v", args, err)
		}
	}
}

func TestKnownError(t *testing.T) {
	for args, want := range map[string]string{
		"\x92\x92\x2b\x05\xa1m": "m [43, 5]",
		"\x91\x92\x2b\x05":      " [43, 5]",
		"\x92\x92\x63\x05\xa1m": "m [255, 5]", // category 99 is nobody's
		"\x90":                  "no arguments [7, 2]",
		"\x91\xa1x":             "[7, 2]",
	} {
		e, err := rpc.DecodeError(relay.KnownError([]byte(args)))
		if err != nil || !strings.HasSuffix(e.Error(), strings.TrimPrefix(want, " ")) {
			t.Errorf("error %x becomes %v, %v; want %q", args, e, err, want)
		}
	}
}

func TestReadHeaders(t *testing.T) {
	id := string([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	h, err := relay.ReadHeaders([]hpack.Header{{Name: "trace_id", Value: id}, {Name: "span_id", Value: id}, {Name: "parent_id", Value: strings.Repeat("\x00", 8)},
		{Name: relay.StoryHeader}, {Name: "request_timeout", Value: "\x01\x02\x00\x00\x00\x00\x00\x00"}})
	if err != nil || h.Trace.ID != 1 || !h.Story || h.Timeout != 513*time.Millisecond {
		t.Errorf("got %+v, %v", h, err)
	}
	if h, err = relay.ReadHeaders(nil); err != nil || h.Timeout >= 0 || h.Story {
		t.Errorf("of no headers: %+v, %v", h, err)
	}
	h, err = relay.ReadHeaders([]hpack.Header{{Name: "request_timeout", Value: strings.Repeat("\xff", 8)}})
	if err != nil || h.Timeout < 100*365*24*time.Hour || h.Timeout > math.MaxInt64/2 {
		t.Errorf("for ever is %v, %v", h.Timeout, err)
	}
	for _, bad := range []hpack.Header{{Name: "request_timeout", Value: "1"}, {Name: "trace_bit", Value: "2"}} {
		if _, err := relay.ReadHeaders([]hpack.Header{bad}); !errors.Is(err, &rpc.Error{Category: 7, Code: 2}) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestAppendHeaders(t *testing.T) {
	id := strings.Repeat("\x01", 8)
	trace := []hpack.Header{{Name: "trace_id", Value: id}, {Name: "span_id", Value: id}, {Name: "parent_id", Value: id}}
	given := []hpack.Header{{Name: "a", Value: "1"}, trace[2], trace[1], {Name: relay.StoryHeader}, trace[0], {Name: "a", Value: "2"}}
	echo, invoke := relay.AppendHeaders(nil, nil, given, true)
	if want := hpack.AppendLiterals(nil, trace); !bytes.Equal(echo, want) {
		t.Errorf("every frame has %x, want %x", echo, want)
	}
	if want := hpack.AppendLiterals(nil, append(trace, hpack.Header{Name: "a", Value: "1"}, hpack.Header{Name: "a", Value: "2"})); !bytes.Equal(invoke, want) {
		t.Errorf("invoke has %x, want %x", invoke, want)
	}
	if echo, invoke = relay.AppendHeaders(nil, nil, nil, false); len(echo)+len(invoke) > 0 {
		t.Errorf("of no headers: %x, %x", echo, invoke)
	}
}

func TestAppendUntraced(t *testing.T) {
	zero := strings.Repeat("\x00", 8)
	want := []hpack.Header{{Name: "trace_id", Value: zero}, {Name: "span_id", Value: zero}, {Name: "parent_id", Value: zero}}
	for n := range 20 { // the head of an array of 16 is another one
		var hs []hpack.Header
		for i := range n {
			hs = append(hs, hpack.Header{Name: "name", Value: strconv.Itoa(i)})
		}
		_, invoke := relay.AppendHeaders(nil, nil, hs, false)
		got := relay.AppendUntraced([]byte("before"), invoke)
		if want := hpack.AppendLiterals([]byte("before"), append(want[:3:3], hs...)); !bytes.Equal(got, want) {
			t.Errorf("with %d others: %x, want %x", n, got, want)
		}
	}
}

func TestDiscarded(t *testing.T) {
	for err, want := range map[error]string{
		nil:              "slave has been discarded [5, 2]",
		io.EOF:           "slave has been discarded [5, 2]",
		rpc.ErrClosed:    "slave has been discarded [2, 125]",
		io.ErrClosedPipe: "slave has been discarded [2, 125]",
	} {
		if got := relay.Discarded(err).Error(); got != want {
			t.Errorf("%v becomes %q, want %q", err, got, want)
		}
	}
}

// refuser refuses everything.
type refuser struct{}

func (refuser) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	return relay.Refuse(b, s, channel, f, rpc.Errorf(21247, 1, "queue is full"))
}

// Only who asks for the story is told that no worker has seen the request.
func TestRefuse(t *testing.T) {
	p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: refuser{}}})
	trace := rpc.Trace{ID: 1, Span: 2}
	for i, c := range []struct{ sent, want []hpack.Header }{
		{nil, nil},
		{trace.Headers(), trace.Headers()},
		{[]hpack.Header{{Name: "x-cocaine-story"}}, []hpack.Header{{Name: "x-cocaine-refused", Value: "1"}}},
		{append(trace.Headers(), hpack.Header{Name: "x-cocaine-story", Value: "1"}), append(trace.Headers(), hpack.Header{Name: "x-cocaine-refused", Value: "1"})},
	} {
		channel := uint64(i + 1)
		p.SendHeaders(c.sent, channel, 0, "event")
		f := p.Want(channel, 1, []any{21247, 1}, "queue is full")
		if !slices.Equal(f.Headers, c.want) {
			t.Errorf("headers %q are answered with %q, want %q", c.sent, f.Headers, c.want)
		}
	}
}
