package daemon_test

import (
	"fmt"
	"maps"
	"net"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// timerValues are what a timer has beside its count, in the order of their names.
var timerValues = []string{"m01rate", "m05rate", "m15rate", "mean", "p50", "p75", "p90", "p95", "p98", "p99", "stddev"}

func is(text string) dict { return dict{"const": []any{text}} }
func eq(what, text string) dict {
	return dict{"eq": []any{dict{what: []any{}}, is(text)}}
}
func contains(what, text string) dict {
	return dict{"contains": []any{dict{what: []any{}}, is(text)}}
}

// peerOf connects a peer to a service.
func peerOf(t *testing.T, d *daemon.Daemon, service string) *rpctest.Peer {
	t.Helper()
	connect := func(addr string) *rpctest.Peer {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return rpctest.Play(t, conn)
	}
	locator := connect(d.Addr().String())
	locator.Send(1, idl.LocatorResolve, service)
	f := locator.Recv()
	locator.Close()
	r := msgpack.NewReader(f.Args)
	r.Array()
	at, err := idl.ReadEndpoints(&r, 1)
	if f.Type != idl.Value || err != nil {
		t.Fatalf("cannot resolve %s: %v, %v", service, f, err)
	}
	return connect(at[0].String())
}

// TestTimers is a conversation with the metrics service about a storage that was
// called: counts are exact, times are positive and in order.
func TestTimers(t *testing.T) {
	d := start(t, daemon.Options{Config: withServices(t, directory(t), "[services.metrics]\ntype = 'metrics'\n[services.echo]\ntype = 'echo'\n")})
	storage, echo, asks := peerOf(t, d, "storage"), peerOf(t, d, "echo"), peerOf(t, d, "metrics")
	call := func(p *rpctest.Peer, channel uint64, method uint64, args ...any) {
		t.Helper()
		p.Send(channel, method, args...)
		p.Recv()
	}
	for i := range uint64(4) {
		call(storage, i+1, idl.StorageRead, "collection", "nothing") // an error
	}
	call(storage, 5, idl.StorageWrite, "collection", "key", "value", []any{})
	call(storage, 6, idl.StorageRead, "collection")
	call(storage, 7, idl.Ping)
	call(echo, 1, idl.EchoPing, "text")
	call(echo, 2, idl.Ping)

	channel := uint64(0)
	fetch := func(form string, query any) dict {
		t.Helper()
		channel++
		asks.Send(channel, idl.MetricsFetch, form, query)
		f := asks.Recv()
		if f.Channel != channel || f.Type != idl.Value {
			t.Fatalf("answer is %v", f)
		}
		return f.Values()[0].(dict)
	}
	counts := map[string]int64{"read": 5, "write": 1, "remove": 0, "find": 0, "ping": 1, "revoke": 0, "settings": 0, "goaway": 0}

	// By the kind and the beginning of the name, plain: nothing more and nothing less.
	have := fetch("plain", dict{"and": []any{eq("type", "timer"), contains("name", "storage.")}})
	if len(have) != len(counts)*(1+len(timerValues)) {
		t.Errorf("timers of storage have %d values", len(have))
	}
	for method, n := range counts {
		prefix := "storage.timer[" + method + "]."
		if have[prefix+"count"] != n {
			t.Errorf("%scount is %v, want %d", prefix, have[prefix+"count"], n)
		}
		for _, name := range timerValues {
			v, ok := have[prefix+name].(float64)
			if took := strings.HasPrefix(name, "p") || name == "mean"; !ok || took && (v > 0) != (n > 0) || v < 0 {
				t.Errorf("%s%s is %v of %d calls", prefix, name, have[prefix+name], n)
			}
		}
		if have[prefix+"p50"].(float64) > have[prefix+"p99"].(float64) {
			t.Errorf("%s: half of the calls took longer than nearly all", prefix)
		}
	}

	// By the whole name, as a tree, whose leaves are those of one timer.
	tree := fetch("json", eq("name", "storage.timer[write]"))
	leaves := tree["storage"].(dict)["timer[write]"].(dict)
	if len(tree) != 1 || leaves["count"] != int64(1) || len(leaves) != 1+len(timerValues) {
		t.Errorf("the tree of one timer is %v", tree)
	}
	// A method and a control message of one name are one timer.
	if n := fetch("plain", eq("name", "echo.timer[ping]"))["echo.timer[ping].count"]; n != int64(2) {
		t.Errorf("echo was pinged %v times, want 2", n)
	}
	// Its own calls count once they are answered, those that are refused, too.
	asks.Send(channel+1, idl.MetricsFetch, "xml")
	asks.WantError(channel+1, idl.CategoryGeneric, idl.GenericInvalid)
	channel++
	before := channel
	if n := fetch("plain", eq("name", "metrics.timer[fetch]"))["metrics.timer[fetch].count"]; n != int64(before) {
		t.Errorf("metrics were fetched %v times, want %d", n, before)
	}
	// What a query leaves out is not told.
	if m := fetch("", dict{"and": []any{eq("type", "meter"), contains("name", "timer[")}}); len(m) != 0 {
		t.Errorf("timers are told as meters: %v", m)
	}
}

// TestTimersOfAnApp: an app's own service and the socket of its workers are told as
// those of services are.
func TestTimersOfAnApp(t *testing.T) {
	d := start(t, daemon.Options{Config: withServices(t, directory(t), "[services.metrics]\ntype = 'metrics'\n")})
	c := dial(t, d.Addr().String())
	newApp("hello").deploy(t, c)
	for i := range 5 {
		if err := echo(t.Context(), c, "hello", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := cocaine.Exec(t.Context(), c.Service("hello"), "info"); err != nil {
		t.Fatal(err)
	}
	m, err := cocaine.Get[dict](t.Context(), c.Service("metrics"), "fetch", "plain", contains("name", "hello"), true)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"hello.timer[enqueue].count": "5", "hello.timings.count": "5", "hello.timer[info].count": "1",
		"hello.timer[control].count": "0", "hello.timer[ping].count": "0",
		"hello/handshake.connections.accepted": "1", "hello/handshake.connections.rejected": "0", "hello/handshake.connections.open": "1",
		"hello/handshake.meter.summary.count": "1", "hello/handshake.load": "1", "hello/handshake.timer[handshake].count": "0",
		"hello/handshake.timer[ping].count": "0", "hello/handshake.timer[revoke].count": "0"}
	have := make(map[string]string)
	for name := range want {
		have[name] = fmt.Sprint(m[name])
	}
	if !maps.Equal(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
	if mean, ok := m["hello.timer[enqueue].mean"].(float64); !ok || mean <= 0 {
		t.Errorf("a call took %v ms", m["hello.timer[enqueue].mean"])
	}
}
