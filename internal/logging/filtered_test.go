package logging_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// infoAndMore is the filter of the logger default that the conversation was had with.
func infoAndMore() []any { return []any{[]any{"severity", int64(logging.Info)}} }

// filtered serves logging::v2 in memory.
func filtered(t *testing.T, sink logging.Sink, o logging.FilteredOptions) (*logging.FilteredService, *rpctest.Peer) {
	t.Helper()
	s, err := logging.NewFilteredService(sink, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: s.Mux()}})
}

// texts are the messages of records, with their sources.
func texts(rs []logging.Record) string {
	var all []string
	for _, r := range rs {
		all = append(all, r.Source+":"+r.Message)
	}
	return strings.Join(all, " ")
}

func sendHex(t *testing.T, p *rpctest.Peer, s string) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	p.Write(b)
}

// TestFilteredConversation is one with the original: the same requests, byte for byte
// but for ids, the same answers in the same order.
func TestFilteredConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		_, p := filtered(t, &c, logging.FilteredOptions{Default: infoAndMore()})
		sendHex(t, p, "930100 94 02 a56170702f78 aa7632206d657373616765 91 92a16ba176") // emit
		sendHex(t, p, "93020190")                                                       // verbosity
		p.Want(2, idl.Value, 0)
		sendHex(t, p, "9303029101") // set_verbosity
		p.Want(3, idl.Value)
		sendHex(t, p, "930403 94 02 a56170702f78 a876322061636b6564 90") // emit_ack
		p.Want(4, idl.Value, true)
		sendHex(t, p, "930503 94 00 a56170702f78 a87632206465627567 90") // of what is filtered out
		p.Want(5, idl.Value, false)
		sendHex(t, p, "93060491a56d796c6f67") // get mylog
		p.WantIdle()
		sendHex(t, p, "930600 93 02 ad6e616d6564206d657373616765 9192a16101") // emit on it
		p.WantIdle()
		sendHex(t, p, "930601 93 02 ab6e616d65642061636b6564 9192a16101") // emit_ack on it
		p.Want(6, idl.Write, true)
		sendHex(t, p, "93070590") // list_loggers
		p.Want(7, idl.Value, []string{"core", "default"})
		sendHex(t, p, "930806 93 a56d796c6f67 92a8736576657269747903 3c") // set_filter for a minute
		id := p.Recv().Values()[0].(int64)
		if id <= 0 {
			t.Errorf("the id is %d", id)
		}
		sendHex(t, p, "93090890") // list_filters
		v := p.Recv().Values()[0].([]any)
		other := v[0].([]any)[2]
		want := fmt.Sprint([]any{
			[]any{"default", []any{"severity", 1}, other, int64(math.MaxInt64), 0},
			[]any{"mylog", []any{"severity", 3}, id, time.Now().Unix() + 60, 0}})
		if fmt.Sprint(v) != want || other == id || other.(int64) <= 0 {
			t.Errorf("the filters are %v, want %v", v, want)
		}
		p.Send(10, idl.LoggingV2RemoveFilter, id)
		p.Want(10, idl.Value, true)
		p.Send(11, idl.LoggingV2RemoveFilter, id)
		p.Want(11, idl.Value, false)
		if got := texts(c.take()); got != "app/x:v2 message app/x:v2 acked mylog:named message mylog:named acked" {
			t.Errorf("kept are %s", got)
		}
	})
}

// ack emits a record and returns whether it was kept.
func ack(p *rpctest.Peer, channel *uint64, severity int, source string, attrs ...any) bool {
	*channel++
	p.Send(*channel, idl.LoggingV2EmitAck, severity, source, "m", attrs)
	return p.Recv().Values()[0].(bool)
}

func set(t *testing.T, p *rpctest.Peer, channel *uint64, method uint64, name string, ttl int, filter ...any) int64 {
	t.Helper()
	*channel++
	p.Send(*channel, method, name, filter, ttl)
	f := p.Recv()
	if f.Type != idl.Value {
		t.Fatalf("got %v", f)
	}
	return f.Values()[0].(int64)
}

// TestLongestPrefixDecides: the filters of the logger with the longest name that begins
// the source decide, and any of them may accept.
func TestLongestPrefixDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		_, p := filtered(t, &c, logging.FilteredOptions{Default: infoAndMore()})
		var channel uint64
		set(t, p, &channel, idl.LoggingV2SetFilter, "app/", 60, "severity", 3)
		set(t, p, &channel, idl.LoggingV2SetFilter, "app/a", 5, "==", "user", "ann")
		set(t, p, &channel, idl.LoggingV2SetFilter, "app/a", 60, "severity", 2)
		user := []any{"user", "ann"}
		want := func(kept bool, severity int, source string, attrs ...any) {
			t.Helper()
			if got := ack(p, &channel, severity, source, attrs...); got != kept {
				t.Errorf("a record of severity %d of %s with %v: kept %v, want %v", severity, source, attrs, got, kept)
			}
		}
		want(false, 0, "other")
		want(true, 1, "other")
		want(true, 1, "app")
		want(false, 2, "app/b", user)
		want(true, 3, "app/b")
		want(true, 2, "app/a")
		want(true, 2, "app/abc")
		want(false, 1, "app/a")
		want(true, 0, "app/a", user)
		time.Sleep(5 * time.Second)
		want(true, 0, "app/a", user) // until the end of the second
		time.Sleep(time.Second)
		want(false, 0, "app/a", user)
		time.Sleep(time.Minute)
		want(true, 1, "app/a") // nothing is left but default
		channel++
		p.Send(channel, idl.LoggingV2ListLoggers)
		p.Want(channel, idl.Value, []string{"core", "default"})
	})
}

func TestFilterLooksAtRecord(t *testing.T) {
	var c collector
	_, p := filtered(t, &c, logging.FilteredOptions{Default: []any{[]any{"traced"}, []any{"==", "source", "wanted"}}})
	var channel uint64
	if ack(p, &channel, 3, "s") || !ack(p, &channel, 0, "wanted") {
		t.Error("the source is no attribute")
	}
	trace := append(rpc.Trace{ID: 0xabc, Span: 0xdef}.Headers(), hpack.Header{Name: "trace_bit", Value: "1"})
	p.SendHeaders(trace, 10, idl.LoggingV2EmitAck, 0, "s", "m")
	p.Want(10, idl.Value, true)
	p.SendHeaders(trace, 11, idl.LoggingV2Get, "s")
	p.Send(11, idl.NamedLoggerEmitAck, 0, "m") // the trace is that of the channel
	p.Want(11, idl.Write, true)
	for _, r := range c.take()[1:] {
		if len(r.Attrs) != 3 || r.Attrs[0].Value != "0000000000000abc" {
			t.Errorf("got %+v", r)
		}
	}
}

func TestFilteredRefuses(t *testing.T) {
	var c collector
	var stats logging.Stats
	_, p := filtered(t, &c, logging.FilteredOptions{Default: infoAndMore(), Stats: &stats})
	channel := uint64(0)
	want := func(category, code int, method uint64, args ...any) {
		t.Helper()
		channel++
		p.Send(channel, method, args...)
		p.WantError(channel, category, code)
	}
	empty := []any{"empty"}
	for _, args := range [][]any{{}, {1}, {1, "s"}, {"1", "s", "m"}, {-1, "s", "m"}, {1, nil, "m"}, {1, "s", "m", map[string]any{}}} {
		want(idl.CategoryDispatch, idl.DispatchBadArgs, idl.LoggingV2EmitAck, args...)
		channel++
		p.Send(channel, idl.LoggingV2Emit, args...) // has no answer
	}
	want(idl.CategoryDispatch, idl.DispatchBadArgs, idl.LoggingV2SetVerbosity)
	want(idl.CategoryDispatch, idl.DispatchBadArgs, idl.LoggingV2SetVerbosity, -1)
	want(idl.CategoryDispatch, idl.DispatchBadArgs, idl.LoggingV2Get)
	want(idl.CategoryDispatch, idl.DispatchBadArgs, idl.LoggingV2RemoveFilter, "x")
	want(idl.CategoryDispatch, idl.DispatchBadArgs, idl.LoggingV2SetFilter, "a", empty)
	want(idl.CategoryDispatch, idl.DispatchBadArgs, idl.LoggingV2SetFilter, "a", empty, -1)
	want(idl.CategoryDispatch, idl.DispatchBadArgs, idl.LoggingV2SetFilter, 1, empty, 1)
	for _, bad := range []any{nil, "empty", []any{}, []any{"nothing"}, []any{"severity"}, []any{"==", "a", nil}} {
		want(idl.CategoryGeneric, idl.GenericInvalid, idl.LoggingV2SetFilter, "a", bad, 1)
	}
	want(idl.CategoryGeneric, idl.GenericInvalid, idl.LoggingV2SetFilter, "", empty, 1)
	want(idl.CategoryGeneric, idl.GenericInvalid, idl.LoggingV2SetFilter, strings.Repeat("n", 257), empty, 1)
	want(idl.CategoryGeneric, idl.GenericNotSupported, idl.LoggingV2SetClusterFilter, "a", empty, 1)
	for _, args := range [][]any{{}, {-1, "m"}, {1}, {1, "m", "attr"}} {
		channel++
		p.Send(channel, idl.LoggingV2Get, "mylog")
		p.Send(channel, idl.NamedLoggerEmit, args...)
		p.WantError(channel, idl.CategoryDispatch, idl.DispatchBadArgs)
	}
	if got := c.take(); len(got) != 0 || stats.Malformed.Load() != 18 {
		t.Errorf("kept are %v; %d calls were malformed", got, stats.Malformed.Load())
	}
	if _, err := logging.NewFilteredService(&c, logging.FilteredOptions{Default: []any{[]any{"nothing"}}}); err == nil {
		t.Error("a bad filter is taken as default")
	}
}

func TestFiltersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		_, p := filtered(t, &c, logging.FilteredOptions{Default: infoAndMore()})
		var channel uint64
		for i := range logging.MaxFilters - 1 {
			set(t, p, &channel, idl.LoggingV2SetFilter, fmt.Sprint("logger", i), 60, "empty")
		}
		channel++
		p.Send(channel, idl.LoggingV2SetFilter, "x", []any{"empty"}, 60)
		p.WantError(channel, idl.CategoryGeneric, idl.GenericUnavailable)
		time.Sleep(61 * time.Second)
		set(t, p, &channel, idl.LoggingV2SetFilter, "x", math.MaxInt64, "empty") // as good as for ever
		channel++
		p.Send(channel, idl.LoggingV2ListFilters)
		if v := p.Recv().Values()[0].([]any); len(v) != 2 || v[1].([]any)[3] != int64(math.MaxInt64) {
			t.Errorf("the filters are %v", v)
		}
	})
}

// TestFilteredClose: a named logger does not hold up the end.
func TestFilteredClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		s, p := filtered(t, &c, logging.FilteredOptions{Default: infoAndMore()})
		p.Send(1, idl.LoggingV2Get, "mylog")
		p.WantIdle()
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		p.WantError(1, idl.CategoryGeneric, idl.GenericCanceled)
	})
}

// cluster is one that all nodes of a test share.
type cluster struct {
	mu      sync.Mutex
	values  map[string][]byte
	changed chan struct{}
	broken  error
}

func newCluster() *cluster {
	return &cluster{values: map[string][]byte{}, changed: make(chan struct{})}
}

func (c *cluster) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *cluster) Put(_ context.Context, name string, value []byte) error {
	c.mu.Lock()
	err := c.broken
	c.mu.Unlock()
	if err == nil {
		c.change(func() { c.values[name] = value })
	}
	return err
}

func (c *cluster) Remove(_ context.Context, name string) error {
	c.change(func() { delete(c.values, name) })
	return nil
}

func (c *cluster) Follow(ctx context.Context, changed func(map[string][]byte)) error {
	for {
		c.mu.Lock()
		values, wake, err := maps.Clone(c.values), c.changed, c.broken
		c.mu.Unlock()
		if err != nil {
			return err
		}
		changed(values)
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestClusterFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newCluster()
		var c collector
		_, one := filtered(t, &c, logging.FilteredOptions{Default: infoAndMore(), Cluster: shared})
		_, two := filtered(t, &c, logging.FilteredOptions{Default: infoAndMore(), Cluster: shared})
		var a, b uint64
		id := set(t, one, &a, idl.LoggingV2SetClusterFilter, "app/x", 60, "severity", 3)
		synctest.Wait()
		if ack(one, &a, 2, "app/x") || ack(two, &b, 2, "app/x") || !ack(two, &b, 3, "app/x") {
			t.Error("the filter does not hold on both nodes")
		}
		r := msgpack.NewReader(shared.values[fmt.Sprint(id)])
		if got, want := fmt.Sprint(r.Value()), fmt.Sprint(map[string]any{"deadline": time.Now().Unix() + 60, "disposition": 1,
			"filter": []any{"severity", 3}, "id": id, "logger_name": "app/x"}); got != want {
			t.Errorf("the cluster has %s, want %s", got, want)
		}
		b++
		two.Send(b, idl.LoggingV2ListFilters)
		if v := fmt.Sprint(two.Recv().Values()); !strings.Contains(v, fmt.Sprintf("[app/x [severity 3] %d %d 1]", id, time.Now().Unix()+60)) {
			t.Errorf("the other node has %s", v)
		}
		b++
		two.Send(b, idl.LoggingV2RemoveFilter, id) // by the other node
		two.Want(b, idl.Value, true)
		synctest.Wait()
		if !ack(one, &a, 2, "app/x") || len(shared.values) != 0 {
			t.Errorf("the filter still holds; the cluster has %v", shared.values)
		}

		// What is in the cluster and cannot be read harms nobody; what has ended goes.
		set(t, one, &a, idl.LoggingV2SetClusterFilter, "app/y", 1, "severity", 3)
		time.Sleep(3 * time.Second)
		shared.change(func() {
			shared.values["junk"], shared.values["nil"] = []byte("x"), []byte{0xc0}
		})
		synctest.Wait()
		if !ack(two, &b, 2, "app/y") || len(shared.values) != 2 {
			t.Errorf("the cluster has %v", shared.values)
		}

		// Without the cluster nothing is set; when it is back, what it has holds.
		shared.change(func() { shared.broken = errors.New("out of order") })
		a++
		one.Send(a, idl.LoggingV2SetClusterFilter, "app/z", []any{"severity", 3}, 60)
		one.WantError(a, idl.CategoryGeneric, idl.GenericInvalid)
		if !ack(one, &a, 2, "app/z") {
			t.Error("a filter holds that was refused")
		}
		shared.change(func() { shared.broken = nil })
		time.Sleep(2 * time.Second)
		set(t, one, &a, idl.LoggingV2SetClusterFilter, "app/z", 60, "severity", 3)
		synctest.Wait()
		if ack(two, &b, 2, "app/z") {
			t.Error("the filter does not hold after the cluster was lost")
		}
	})
}

// FuzzFilteredCalls: any arguments are answered, if there is an answer.
func FuzzFilteredCalls(f *testing.F) {
	for method, args := range map[uint8][]any{0: {1, "s", "m", []any{[]any{"a", 1}}}, 3: {1, "s", "m"}, 4: {"s"}, 6: {"s", []any{"empty"}, 60}, 7: {1}} {
		b, err := msgpack.AppendValue(nil, args)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(method, b)
	}
	f.Fuzz(func(t *testing.T, method uint8, args []byte) {
		r := msgpack.NewReader(args)
		if rest, err := msgpack.Skip(args, msgpack.MaxDepth-1); err != nil || len(rest) > 0 || r.Kind() != msgpack.KindArray {
			return // no arguments at all: the session's to refuse
		}
		var c collector
		_, p := filtered(t, &c, logging.FilteredOptions{Default: infoAndMore(), Cluster: newCluster()})
		p.Write(wire.AppendFrame(nil, wire.Frame{Channel: 1, Type: uint64(method % 10), Args: args}))
		if method%10 == idl.LoggingV2Get {
			p.Write(wire.AppendFrame(nil, wire.Frame{Channel: 1, Type: idl.NamedLoggerEmitAck, Args: args}))
		}
		p.Send(2, idl.Ping)
		for p.Recv().Channel != 2 {
		}
	})
}
