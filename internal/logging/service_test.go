package logging_test

import (
	"context"
	"encoding/hex"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// play connects to the service over TCP.
func play(t *testing.T, sink logging.Sink, o logging.ServiceOptions) *rpctest.Peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(rpc.ServerOptions{})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(context.Background(), ln, logging.Service(sink, o)); err != nil {
			t.Error(err)
		}
	})
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := rpctest.Play(t, conn)
	t.Cleanup(func() {
		p.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
		serving.Wait()
	})
	return p
}

// settle waits until the service has handled all that was sent: calls are handled
// in order, and verbosity is answered.
func settle(p *rpctest.Peer, channel uint64, verbosity int) {
	p.Send(channel, idl.LoggingVerbosity)
	p.Want(channel, idl.Value, verbosity)
}

func TestService(t *testing.T) {
	var c collector
	var stats logging.Stats
	p := play(t, &c, logging.ServiceOptions{Verbosity: logging.Info, Stats: &stats})
	p.Send(1, idl.LoggingEmit, logging.Warning, "app/hello", "careful")
	p.Send(2, idl.LoggingEmit, logging.Debug, "app/hello", "not wanted")
	p.Send(3, idl.LoggingEmit, logging.Error, "proxy", "broken", []any{
		[]any{"text", "v"}, []any{"double", 2.5}, []any{"int", -3}, []any{"uint", 4}, []any{"yes", true}, []any{"no", false},
	}, "one argument more")
	p.Send(4, idl.LoggingEmit, 17, "s", "severity is clamped")
	p.Send(5, idl.LoggingEmit, -17, "s", "not wanted")
	settle(p, 6, logging.Info)
	got := c.take()
	for i := range got {
		if time.Since(got[i].Time) > time.Minute {
			t.Errorf("record %d is of %v", i, got[i].Time)
		}
		got[i].Time = time.Time{}
	}
	want := []logging.Record{
		{Severity: logging.Warning, Source: "app/hello", App: "hello", Message: "careful"},
		{Severity: logging.Error, Source: "proxy", Message: "broken", Attrs: []logging.Attr{
			{Name: "text", Value: "v"}, {Name: "double", Value: 2.5}, {Name: "int", Value: int64(-3)},
			{Name: "uint", Value: uint64(4)}, {Name: "yes", Value: true}, {Name: "no", Value: false},
		}},
		{Severity: logging.Error, Source: "s", Message: "severity is clamped"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if e, f, m := stats.Emitted.Load(), stats.Filtered.Load(), stats.Malformed.Load(); e != 3 || f != 2 || m != 0 {
		t.Errorf("counted %d emitted, %d filtered, %d malformed", e, f, m)
	}
}

// TestServiceBytes pins a request in each generation of msgpack, with an attribute
// that is longer than 31 bytes, and the answer of verbosity.
func TestServiceBytes(t *testing.T) {
	long := strings.Repeat("x", 40)
	old := "930100 94 01 a3617070 a2686f 91 92 a16b da0028" + hex.EncodeToString([]byte(long))
	recent := "940200 94 01 d903617070 c4026869 91 92 a16b d928" + hex.EncodeToString([]byte(long)) + "90"
	var c collector
	p := play(t, &c, logging.ServiceOptions{})
	for _, s := range []string{old, recent, "93030190"} {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		p.Write(b)
	}
	answer := make([]byte, 6)
	p.Conn().SetReadDeadline(time.Now().Add(patience))
	for n := 0; n < len(answer); {
		m, err := p.Conn().Read(answer[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	if got := hex.EncodeToString(answer); got != "940300910090" {
		t.Errorf("verbosity is answered with %s", got)
	}
	got := c.take()
	if len(got) != 2 || got[0].Attrs[0].Value != long || got[1].Attrs[0].Value != long || got[1].Source != "app" || got[1].Message != "hi" {
		t.Errorf("got %+v", got)
	}
}

func TestServiceMalformed(t *testing.T) {
	var c collector
	var stats logging.Stats
	p := play(t, &c, logging.ServiceOptions{Stats: &stats})
	channel := uint64(0)
	for _, args := range [][]any{
		{}, {1}, {1, "s"}, {"1", "s", "m"}, {1, nil, "m"}, {1, "s", 5},
		{1, "s", "m", nil}, {1, "s", "m", "attr"}, {1, "s", "m", map[string]any{"a": 1}},
		{1, "s", "m", []any{"a", 1}}, {1, "s", "m", []any{[]any{"a"}}}, {1, "s", "m", []any{[]any{"a", 1, 2}}},
		{1, "s", "m", []any{[]any{"a", nil}}}, {1, "s", "m", []any{[]any{1, "a"}}}, {1, "s", "m", []any{[]any{"a", []any{}}}},
	} {
		channel++
		p.Send(channel, idl.LoggingEmit, args...)
	}
	settle(p, channel+1, logging.Debug) // the connection is still there
	if got := c.take(); len(got) != 0 {
		t.Errorf("malformed calls emit %+v", got)
	}
	if n := stats.Malformed.Load(); n != channel {
		t.Errorf("%d calls are counted as malformed, want %d", n, channel)
	}
	// Declared, but not served.
	p.Send(channel+2, idl.LoggingSetVerbosity, 3)
	p.WantError(channel+2, idl.CategoryDispatch, idl.DispatchUnbound)
	settle(p, channel+3, logging.Debug)
}

func TestServiceTrace(t *testing.T) {
	var c collector
	p := play(t, &c, logging.ServiceOptions{Verbosity: logging.Error})
	trace := rpc.Trace{ID: 0xabc, Span: 0xdef}.Headers()
	p.SendHeaders(append(trace, hpack.Header{Name: "trace_bit", Value: "1"}), 1, idl.LoggingEmit, 0, "s", "verbose")
	p.SendHeaders(trace, 2, idl.LoggingEmit, 0, "s", "not wanted")
	settle(p, 3, logging.Error)
	got := c.take()
	want := []logging.Attr{{Name: "trace_id", Value: "0000000000000abc"}, {Name: "span_id", Value: "0000000000000def"}, {Name: "parent_id", Value: "0000000000000000"}}
	if len(got) != 1 || !reflect.DeepEqual(got[0].Attrs, want) {
		t.Errorf("got %+v", got)
	}
}
