package locator_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// serve makes the locator listen, and returns where.
func serve(t testing.TB, l *locator.Locator, o rpc.ServerOptions) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(o)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(context.Background(), ln, l.Mux(rpc.MuxOptions{})); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		l.Close() // ends the streams, else the server would wait for them
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx) // clients of a failed test may still be there
		serving.Wait()
	})
	return ln.Addr().String()
}

func dial(t testing.TB, addr string) *rpc.Session {
	t.Helper()
	s, err := rpc.Dial(t.Context(), "tcp", addr, rpc.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		s.Wait()
	})
	return s
}

// call opens a channel for a method of the locator.
func call(t testing.TB, s *rpc.Session, method string, args []byte) *rpc.Stream {
	t.Helper()
	m := idl.Locator.Method(method)
	st, err := s.Call(context.Background(), m.ID, args, rpc.CallOptions{Send: m.Next, Recv: m.Reply.Node})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func recv(t testing.TB, st *rpc.Stream) (rpc.Message, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := st.Recv(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("nothing was received")
	}
	return m, err
}

func mustRecv(t testing.TB, st *rpc.Stream) rpc.Message {
	t.Helper()
	m, err := recv(t, st)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wantCode(t testing.TB, err error, category, code int, text string) {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Category != category || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("received %v, want error [%d, %d] about %q", err, category, code, text)
	}
}

func native(name, endpoint string, p *idl.Protocol) locator.Service {
	s := service(name, endpoint)
	s.Version, s.Graph = p.Version, p.AppendGraph(nil)
	return s
}

func one(s string) []byte { return msgpack.AppendString(msgpack.AppendArray(nil, 1), s) }

func two(a, b string) []byte {
	return msgpack.AppendString(msgpack.AppendString(msgpack.AppendArray(nil, 2), a), b)
}

func publishArgs(name string, info ...any) []byte {
	args := []any{name, []any{[]any{"127.0.0.1", 9999}}}
	return must(msgpack.AppendValue(nil, append(args, info...)))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestCapturedResolve(t *testing.T) {
	l := open(t, locator.Options{})
	expose(t, l, native("storage", "127.0.0.1:38427", idl.Storage))
	expose(t, l, native("node", "127.0.0.1:46821", idl.NodeService))
	expose(t, l, native("locator", "127.0.0.1:10063", idl.Locator))
	expose(t, l, native("logging", "127.0.0.1:41379", idl.Logging))
	expose(t, l, native("cap", "127.0.0.1:45251", idl.App))
	conversation(t, serve(t, l, rpc.ServerOptions{}), "resolve.txt", nil)
}

func TestCapturedRouting(t *testing.T) {
	st := &records{}
	l := open(t, locator.Options{Storage: st})
	expose(t, l, native("cap", "127.0.0.1:36709", idl.App))
	conversation(t, serve(t, l, rpc.ServerOptions{}), "routing.txt", map[string]func(){
		"store":  func() { st.store("grp", weights(map[string]uint64{"cap": 10, "storage": 1})) },
		"remove": func() { st.remove("grp") },
	})
}

// announcing is the node of the captures that has a cluster.
func announcing(t *testing.T) *locator.Locator {
	l := open(t, locator.Options{UUID: "ebefc1d3-cfed-4278-85d2-8d987ddf1308", Announce: true})
	expose(t, l, native("storage", "127.0.0.1:41855", idl.Storage))
	expose(t, l, native("node", "127.0.0.1:46629", idl.NodeService))
	expose(t, l, native("locator", "127.0.0.1:10072", idl.Locator))
	expose(t, l, native("logging", "127.0.0.1:46459", idl.Logging))
	return l
}

func TestCapturedConnect(t *testing.T) {
	conversation(t, serve(t, announcing(t), rpc.ServerOptions{}), "connect.txt", nil)
}

func TestCapturedPublish(t *testing.T) {
	conversation(t, serve(t, announcing(t), rpc.ServerOptions{}), "publish.txt", nil)
}

func TestConnectWithoutCluster(t *testing.T) {
	l := open(t, locator.Options{})
	expose(t, l, service("echo", "127.0.0.1:1"))
	st := call(t, dial(t, serve(t, l, rpc.ServerOptions{})), "connect", one("peer"))
	if m, err := recv(t, st); err != io.EOF {
		t.Errorf("received %v, %v, want the end at once", m, err)
	}
}

func TestAnnouncementsCarryExtraAndTrace(t *testing.T) {
	l := open(t, locator.Options{Announce: true, Extra: map[string]any{"n": 5, "x-cocaine-cluster": "c1"}})
	s := dial(t, serve(t, l, rpc.ServerOptions{}))
	trace := rpc.Trace{ID: 7, Span: 8, Parent: 9}
	m := idl.Locator.Method("connect")
	st, err := s.Call(t.Context(), m.ID, one("peer"), rpc.CallOptions{Headers: trace.Headers(), Recv: m.Reply.Node})
	if err != nil {
		t.Fatal(err)
	}
	expose(t, l, service("echo", "127.0.0.1:1"))
	for range 2 { // the snapshot may or may not have the service
		got := mustRecv(t, st)
		if back, err := rpc.ParseTrace(got.Headers); err != nil || back != trace {
			t.Errorf("trace came back as %+v: %v", back, err)
		}
		extra, _ := hpack.Lookup(got.Headers, "x-cocaine-locator-extra")
		// Taken from the original v0.12 runtime.
		if want := "82a16e05b1782d636f6361696e652d636c7573746572a26331"; hex.EncodeToString([]byte(extra)) != want {
			t.Errorf("extra is %x, want %s", extra, want)
		}
		if bytes.Contains(got.Args, []byte("echo")) {
			return
		}
	}
	t.Error("the service was not announced")
}

func TestSilentNames(t *testing.T) {
	l := open(t, locator.Options{Name: "finder", Restrict: []string{"secret"}, Announce: true})
	for _, name := range []string{"finder", "secret", "locator"} {
		expose(t, l, service(name, "127.0.0.1:1"))
	}
	st := call(t, dial(t, serve(t, l, rpc.ServerOptions{})), "connect", one("peer"))
	v := view{}
	v.read(t, mustRecv(t, st))
	if v.String() != "locator" {
		t.Errorf("announced %s, want what is not restricted", v)
	}
	expose(t, l, service("visible", "127.0.0.1:1"))
	v.read(t, mustRecv(t, st))
	if v.String() != "locator visible" {
		t.Errorf("announced %s", v)
	}
	for _, name := range []string{"finder", "secret"} {
		if got := where(l, name, ""); got != "[127.0.0.1:1]" {
			t.Errorf("%s is at %s", name, got)
		}
	}
}

// view is what a peer locator believes to be on the node.
type view map[string]string

func (v view) read(t testing.TB, m rpc.Message) {
	t.Helper()
	r := msgpack.NewReader(m.Args)
	r.Array()
	r.Skip() // the uuid of the node
	for range r.Map() {
		name := r.String()
		r.Array()
		if n := r.Array(); n > 0 {
			v[name] = fmt.Sprintf("%x", r.Raw())
			for range n - 1 {
				r.Skip()
			}
		} else {
			delete(v, name)
		}
		r.Skip()
		r.Skip()
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
}

func (v view) String() string {
	var names []string
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestResolveMistakes(t *testing.T) {
	l := open(t, locator.Options{})
	s := dial(t, serve(t, l, rpc.ServerOptions{}))
	for name, args := range map[string][]byte{
		"no name":       {0x90},
		"number":        {0x91, 1},
		"number seed":   {0x92, 0xa1, 'x', 1},
		"nil seed":      {0x92, 0xa1, 'x', 0xc0},
		"list of names": {0x91, 0x91, 0xa1, 'x'},
	} {
		_, err := recv(t, call(t, s, "resolve", args))
		t.Log(name)
		wantCode(t, err, 7, 2, "resolve")
	}
	long := strings.Repeat("n", 1<<20)
	_, err := recv(t, call(t, s, "resolve", one(long)))
	wantCode(t, err, 10, 1, "service is not available")
	if len(err.Error()) > 1000 {
		t.Errorf("the error repeats a name of a megabyte in %d bytes", len(err.Error()))
	}
	expose(t, l, service("x", "127.0.0.1:1"))
	three := msgpack.AppendString(msgpack.AppendNil(two("x", "")), "more") // extra arguments are ignored
	three[0] = 0x94
	if m := mustRecv(t, call(t, s, "resolve", three)); m.Type != idl.Value {
		t.Errorf("received message %d", m.Type)
	}
}

func TestRefreshMistakes(t *testing.T) {
	st := &records{}
	st.store("bad", []byte{1})
	l := open(t, locator.Options{Storage: st})
	s := dial(t, serve(t, l, rpc.ServerOptions{}))
	_, err := recv(t, call(t, s, "refresh", one("a bare text, as in v0.11")))
	wantCode(t, err, 7, 2, "refresh")
	crowd := msgpack.AppendArray([]byte{0x91}, 1<<16+1)
	for range 1<<16 + 1 {
		crowd = append(crowd, 0xa0)
	}
	_, err = recv(t, call(t, s, "refresh", crowd))
	wantCode(t, err, 7, 2, "refresh")
	_, err = recv(t, call(t, s, "refresh", []byte{0x91, 0x91, 0xa3, 'b', 'a', 'd'}))
	wantCode(t, err, 7, 7, `"bad"`) // as by the original, whose other errors of groups are [10, 2]
	st.store("bad", []byte{0x81, 0xa1, 'x', 0})
	_, err = recv(t, call(t, s, "refresh", []byte{0x91, 0x91, 0xa3, 'b', 'a', 'd'}))
	wantCode(t, err, 10, 2, `"bad"`)
	for _, method := range []string{"connect", "routing"} {
		_, err = recv(t, call(t, s, method, []byte{0x90}))
		wantCode(t, err, 7, 2, method)
		_, err = recv(t, call(t, s, method, one(strings.Repeat("x", 256))))
		wantCode(t, err, 7, 2, method)
	}
}

func TestPublishMistakes(t *testing.T) {
	l := open(t, locator.Options{})
	s := dial(t, serve(t, l, rpc.ServerOptions{}))
	eps := func(eps ...any) []byte { return must(msgpack.AppendValue(nil, []any{"x", eps})) }
	ep := func(host any, port any) any { return []any{host, port} }
	many := make([]any, 65)
	for i := range many {
		many[i] = ep("127.0.0.1", i)
	}
	hi := []byte{0x92, 0x00, 0x81, 0x00, 0x93, 0xa2, 'h', 'i', 0x80, 0x80}
	withInfo := func(info []byte) []byte {
		b := publishArgs("x")
		b[0] = 0x93
		return append(b, info...)
	}
	for _, c := range []struct {
		name           string
		args           []byte
		category, code int
		text           string
	}{
		{"nothing", []byte{0x90}, 7, 2, "publish"},
		{"no endpoints argument", one("x"), 7, 2, "publish"},
		{"host name", eps(ep("localhost", 80)), 7, 2, `"localhost" is no numeric address`},
		{"empty host", eps(ep("", 80)), 7, 2, "no numeric address"},
		{"host and port in one", eps(ep("127.0.0.1:80", 80)), 7, 2, "no numeric address"},
		{"port too high", eps(ep("127.0.0.1", 65536)), 7, 2, "65536 is no port"},
		{"port negative", eps(ep("127.0.0.1", -1)), 7, 2, "publish"},
		{"port as text", eps(ep("127.0.0.1", "80")), 7, 2, "publish"},
		{"endpoint of three", eps([]any{"127.0.0.1", 80, 1}), 7, 2, "3 elements"},
		{"too many endpoints", eps(many...), 7, 2, "65 endpoints"},
		{"no name", publishArgs(""), 12, 22, "no name"},
		{"long name", publishArgs(strings.Repeat("x", 256)), 12, 22, "255"},
		{"version 0 with a graph", withInfo(hi), 10, 3, `"x"`},
		{"nil info", withInfo([]byte{0xc0}), 7, 2, "publish"},
		{"version alone", withInfo([]byte{0x91, 1}), 7, 2, "1 elements"},
		{"version out of range", withInfo([]byte{0x92, 0xce, 0xff, 0xff, 0xff, 0xff, 0x80}), 7, 2, "out of range"},
		{"graph is no map", withInfo([]byte{0x92, 1, 0xa1, 'x'}), 7, 2, "graph"},
		{"graph with text ids", withInfo([]byte{0x92, 1, 0x81, 0xa1, '0', 0x93, 0xa1, 'x', 0x80, 0x80}), 7, 2, "graph"},
	} {
		st := call(t, s, "publish", c.args)
		_, err := recv(t, st)
		t.Log(c.name)
		wantCode(t, err, c.category, c.code, c.text)
	}
	// The connection has survived all of it.
	if m := mustRecv(t, call(t, s, "publish", publishArgs("x"))); m.Type != idl.Value {
		t.Errorf("received message %d", m.Type)
	}
	if got := where(l, "x", ""); got != "[127.0.0.1:9999]" {
		t.Errorf("the published service is at %s", got)
	}
}

// A service without endpoints is one all the same, as for the original.
func TestPublishWithoutEndpoints(t *testing.T) {
	l := open(t, locator.Options{})
	s := dial(t, serve(t, l, rpc.ServerOptions{}))
	args := must(msgpack.AppendValue(nil, []any{"x", []any{}}))
	if m := mustRecv(t, call(t, s, "publish", args)); m.Type != idl.Value {
		t.Fatalf("received message %d", m.Type)
	}
	if got := where(l, "x", ""); got != "[]" {
		t.Errorf("the published service is at %s", got)
	}
	if m := mustRecv(t, call(t, s, "resolve", one("x"))); m.Type != idl.Value || string(m.Args) != "\x93\x90\x00\x80" {
		t.Errorf("resolve is answered with message %d, %x", m.Type, m.Args)
	}
	_, err := recv(t, call(t, s, "publish", args))
	wantCode(t, err, 10, 4, `"x"`)
}

func TestPublishedGraphIsWrittenForOldReaders(t *testing.T) {
	l := open(t, locator.Options{})
	s := dial(t, serve(t, l, rpc.ServerOptions{}))
	args := publishArgs("x")
	args[0] = 0x93
	// Entry 1 before entry 0, names as str8 and bin8, ids wider than needed.
	args = append(args, 0x92, 1, 0xde, 0, 2,
		0xcd, 0, 1, 0x93, 0xd9, 1, 'b', 0x80, 0xc0,
		0xd0, 0, 0xdc, 0, 3, 0xc4, 1, 'a', 0xc0, 0x81, 0, 0x92, 0xa1, 'c', 0x80)
	mustRecv(t, call(t, s, "publish", args))
	got, err := l.Resolve("x", "")
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{0x82, 0, 0x93, 0xa1, 'a', 0xc0, 0x81, 0, 0x92, 0xa1, 'c', 0x80, 1, 0x93, 0xa1, 'b', 0x80, 0xc0}
	if !bytes.Equal(got.Graph, want) {
		t.Errorf("the graph is %x, want %x", got.Graph, want)
	}
}

func TestPublicationEndsWithItsChannel(t *testing.T) {
	l := open(t, locator.Options{Announce: true})
	addr := serve(t, l, rpc.ServerOptions{})
	peer := call(t, dial(t, addr), "connect", one("peer"))
	v := view{}
	v.read(t, mustRecv(t, peer))
	for _, c := range []struct {
		name string
		end  func(s *rpc.Session, st *rpc.Stream)
	}{
		{"discard", func(s *rpc.Session, st *rpc.Stream) {
			if err := st.Send(t.Context(), idl.LocatorDiscard, nil); err != nil {
				t.Error(err)
			}
		}},
		{"revoke", func(s *rpc.Session, st *rpc.Stream) {
			args := must(msgpack.AppendValue(nil, []any{st.ID(), []any{42, 1}}))
			r, err := s.Call(t.Context(), idl.Revoke, args, rpc.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			mustRecv(t, r)
		}},
		{"disconnect", func(s *rpc.Session, st *rpc.Stream) { s.Close() }},
	} {
		s := dial(t, addr)
		st := call(t, s, "publish", publishArgs("x"))
		if m := mustRecv(t, st); m.Type != idl.Value || !bytes.Equal(m.Args, []byte{0x90}) {
			t.Fatalf("%s: received %d %x, want an empty value", c.name, m.Type, m.Args)
		}
		v.read(t, mustRecv(t, peer))
		if v.String() != "x" {
			t.Fatalf("%s: announced %s, want x", c.name, v)
		}
		c.end(s, st)
		v.read(t, mustRecv(t, peer))
		if v.String() != "" {
			t.Fatalf("%s: after it %s is announced", c.name, v)
		}
		if got := where(l, "x", ""); !strings.Contains(got, "not available") {
			t.Errorf("%s: after it x is at %s", c.name, got)
		}
	}
}

func TestMistakeOnPublicationIsAnswered(t *testing.T) {
	l := open(t, locator.Options{})
	p := dialPeer(t, serve(t, l, rpc.ServerOptions{}))
	p.send(append(append([]byte{0x93, 1, idl.LocatorPublish}, publishArgs("x")...), 0x93, 1, 5, 0x90))
	if got, want := p.frameOn(1), []byte{0x94, 1, 0, 0x90, 0x90}; !bytes.Equal(got, want) {
		t.Fatalf("received %x, want %x", got, want)
	}
	wantError(t, "message 5", p.frameOn(1), 1, 7, 5, `"x"`)
	if got := where(l, "x", ""); got != "[127.0.0.1:9999]" {
		t.Errorf("after the mistake the service is at %s", got)
	}
}

// After Close nothing of the locator keeps a connection busy, so that a server
// drains at once although publishers and followers are still there.
func TestClosedLocatorLetsServerDrain(t *testing.T) {
	l := open(t, locator.Options{Announce: true})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(rpc.ServerOptions{})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(context.Background(), ln, l.Mux(rpc.MuxOptions{})); err != nil {
			t.Error(err)
		}
	})
	defer serving.Wait()
	for method, args := range map[string][]byte{"publish": publishArgs("x"), "connect": one("p"), "routing": one("r")} {
		mustRecv(t, call(t, dial(t, ln.Addr().String()), method, args))
	}
	late := dial(t, ln.Addr().String())
	l.Close()
	_, err = recv(t, call(t, late, "publish", publishArgs("late")))
	wantCode(t, err, 12, 22, "closed")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("the server did not drain: %v", err)
	}
}

// One connection may publish as many services as it likes, up to the limit, and
// goes on working.
func TestManyPublicationsOnOneConnection(t *testing.T) {
	l := open(t, locator.Options{})
	s := dial(t, serve(t, l, rpc.ServerOptions{}))
	var streams []*rpc.Stream
	for i := range 1000 {
		streams = append(streams, call(t, s, "publish", publishArgs(fmt.Sprint("s", i))))
	}
	for _, st := range streams {
		mustRecv(t, st)
	}
	if err := streams[999].Send(t.Context(), idl.LocatorDiscard, nil); err != nil {
		t.Fatal(err)
	}
	_, err := recv(t, call(t, s, "resolve", one("s999")))
	wantCode(t, err, 10, 1, "s999")
	mustRecv(t, call(t, s, "resolve", one("s998")))
}

func TestRoutingReplacesSubscription(t *testing.T) {
	st := &records{}
	st.store("app", weights(map[string]uint64{"app_v1": 1}))
	l := open(t, locator.Options{Storage: st})
	addr := serve(t, l, rpc.ServerOptions{})
	first := call(t, dial(t, addr), "routing", one("router"))
	table := mustRecv(t, first).Args
	second := call(t, dial(t, addr), "routing", one("router"))
	if again := mustRecv(t, second).Args; !bytes.Equal(again, table) || !bytes.Contains(table, []byte("app_v1")) {
		t.Errorf("the second subscription received %d bytes, the first %d", len(again), len(table))
	}
	if m, err := recv(t, first); err != io.EOF {
		t.Errorf("the first stream received %v, %v, want its end", m, err)
	}
	other := call(t, dial(t, addr), "routing", one("other"))
	mustRecv(t, other)
	st.store("app", weights(map[string]uint64{"app_v2": 1}))
	if err := l.Refresh(t.Context(), []string{"app"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*rpc.Stream{second, other} {
		if m := mustRecv(t, s); !bytes.Contains(m.Args, []byte("app_v2")) {
			t.Error("the new table is not the refreshed one")
		}
	}
	l.Close()
	for _, s := range []*rpc.Stream{second, other} {
		if m, err := recv(t, s); err != io.EOF {
			t.Errorf("after the locator was closed: %v, %v, want the end", m, err)
		}
	}
}

// A peer that does not read arrives at the present directory when it does, and
// meanwhile neither delays anyone nor lets the news pile up.
func TestSlowPeerArrivesAtThePresent(t *testing.T) {
	l := open(t, locator.Options{Announce: true})
	addr := serve(t, l, rpc.ServerOptions{Session: rpc.SessionOptions{Buffer: 64 << 10}})
	slow := dialPeer(t, addr)
	slow.send(append([]byte{0x93, 1, idl.LocatorConnect}, one("slow")...))
	v := view{}
	v.read(t, rpc.Message{Args: slow.args(1)})

	graph := bytes.Repeat([]byte{0xc0}, 60_000)
	heavy := func(name string, i int) locator.Service {
		s := service(name, fmt.Sprintf("127.0.0.1:%d", i+1))
		s.Graph = append([]byte{0x81, 0, 0x93, 0xa1, 'x', 0x80, 0xda, byte(len(graph) >> 8), byte(len(graph) & 0xff)}, graph...)
		return s
	}
	flap := expose(t, l, heavy("flap", 0))
	const rounds = 500
	for i := range rounds { // 30 MB of news each way
		flap.Remove()
		flap = expose(t, l, heavy("flap", i+1))
		expose(t, l, service(fmt.Sprintf("passing%d", i), "127.0.0.1:1")).Remove()
	}
	expose(t, l, service("end", "127.0.0.1:2"))
	chunks := 0
	for ; v["end"] == ""; chunks++ {
		v.read(t, rpc.Message{Args: slow.args(1)})
	}
	if v.String() != "end flap" {
		t.Errorf("the peer believes in %s", v)
	}
	want := fmt.Sprintf("%x", append(msgpack.AppendString([]byte{0x92}, "127.0.0.1"), msgpack.AppendUint(nil, rounds+1)...))
	if v["flap"] != want {
		t.Errorf("the peer knows endpoint %s of the service, want %s", v["flap"], want)
	}
	if chunks > 2*rounds {
		t.Errorf("the peer was told %d changes of %d", chunks, 4*rounds)
	}
}

// args receives the arguments of the next message of a channel.
func (p *peer) args(channel uint64) []byte {
	p.t.Helper()
	return parse(p.t, p.frameOn(channel)).Args
}

// Everybody at once: names come and go, groups are refreshed, clients resolve
// and follow. In the end every follower has arrived at the same state.
func TestStress(t *testing.T) {
	st := &records{}
	st.store("grp", weights(map[string]uint64{"own0": 1, "own1": 1}))
	l := open(t, locator.Options{Storage: st, Announce: true})
	addr := serve(t, l, rpc.ServerOptions{})
	const rounds = 150
	var work sync.WaitGroup
	for i := range 4 {
		name := fmt.Sprint("own", i)
		work.Go(func() { // the daemon
			for port := range rounds {
				r, err := l.Expose(context.Background(), service(name, fmt.Sprintf("127.0.0.1:%d", port+1)))
				if err != nil {
					t.Error(err)
					return
				}
				if port < rounds-1 {
					r.Remove()
				}
			}
		})
		s := dial(t, addr)
		work.Go(func() { // publishers that want one name
			for range rounds {
				p := call(t, s, "publish", publishArgs("contested"))
				_, err := recv(t, p)
				if err == nil {
					err = p.Send(context.Background(), idl.LocatorDiscard, nil)
				} else if errors.Is(err, &rpc.Error{Category: 10, Code: 4}) {
					err = nil
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		c := dial(t, addr)
		work.Go(func() { // clients
			for range rounds {
				for _, name := range []string{name, "grp", "contested"} {
					if _, err := recv(t, call(t, c, "resolve", two(name, "seed"))); err != nil {
						wantCode(t, err, 10, 1, name)
					}
				}
			}
		})
		f := dial(t, addr)
		work.Go(func() { // followers that come and go
			for n := range rounds / 10 {
				r := call(t, f, "routing", one(fmt.Sprint("r", n%3)))
				if _, err := recv(t, r); err != nil && err != io.EOF {
					t.Error(err)
				}
				if err := r.Send(context.Background(), idl.LocatorDiscard, nil); err != nil {
					t.Error(err)
				}
				if _, err := recv(t, call(t, f, "connect", one(fmt.Sprint("p", n%3)))); err != nil && err != io.EOF {
					t.Error(err)
				}
			}
		})
	}
	work.Go(func() {
		for range rounds / 5 {
			if err := l.Refresh(context.Background(), []string{"grp"}); err != nil {
				t.Error(err)
			}
		}
	})
	peers := make([]*rpc.Stream, 3)
	for i := range peers {
		peers[i] = call(t, dial(t, addr), "connect", one(fmt.Sprint("steady", i)))
	}
	work.Wait()
	// The last discard may still be on its way.
	last := dial(t, addr)
	for {
		p := call(t, last, "publish", publishArgs("contested"))
		if _, err := recv(t, p); err == nil {
			break
		}
	}
	expose(t, l, service("zz-end", "127.0.0.1:1"))
	for _, p := range peers {
		v := view{}
		for v["zz-end"] == "" {
			v.read(t, mustRecv(t, p))
		}
		if want := "contested own0 own1 own2 own3 zz-end"; v.String() != want {
			t.Errorf("a peer arrived at %s, want %s", v, want)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	st := &records{}
	st.store("grp", weights(map[string]uint64{"storage": 1, "node": 1}))
	l := open(b, locator.Options{Storage: st})
	for i := range 1000 {
		expose(b, l, service(fmt.Sprint("app", i), "127.0.0.1:1"))
	}
	expose(b, l, native("storage", "127.0.0.1:38427", idl.Storage))
	expose(b, l, native("node", "127.0.0.1:38427", idl.NodeService))
	addr := serve(b, l, rpc.ServerOptions{})
	for _, c := range []struct {
		name string
		args []byte
	}{
		{"service", one("storage")},
		{"group", two("grp", "user1")},
		{"missing", one("nosuch")},
	} {
		b.Run(c.name, func(b *testing.B) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			// The client allocates nothing, so what is counted is the service's.
			request := append([]byte{0x93, 0xce, 0, 0, 0, 0, idl.LocatorResolve}, c.args...)
			reply := make([]byte, 64<<10)
			channel := uint32(0)
			b.ReportAllocs()
			for b.Loop() {
				channel++
				binary.BigEndian.PutUint32(request[2:], channel)
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Read(reply); err != nil { // one small frame comes in one piece
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzPublish: whatever a client publishes is refused with a code or resolves
// to something that other clients can read.
func FuzzPublish(f *testing.F) {
	l := open(f, locator.Options{})
	s := dial(f, serve(f, l, rpc.ServerOptions{}))
	f.Add(publishArgs("x"))
	f.Add(publishArgs("x", []any{1, map[string]any{}}))
	f.Add(append(publishArgs("x"), 0x92, 1, 0x81, 0, 0x93, 0xa2, 'h', 'i', 0x80, 0xc0))
	f.Fuzz(func(t *testing.T, args []byte) {
		r := msgpack.NewReader(args)
		if r.Kind() != msgpack.KindArray || len(r.Raw()) != len(args) {
			return // not the arguments of a frame
		}
		st := call(t, s, "publish", args)
		if _, err := recv(t, st); err != nil {
			e, ok := errors.AsType[*rpc.Error](err)
			if code := [2]int{e.Category, e.Code}; !ok || code != [2]int{7, 2} && code != [2]int{12, 22} && code != [2]int{10, 3} {
				t.Errorf("publish failed with %v", err)
			}
			return
		}
		r = msgpack.NewReader(args)
		r.Array()
		got, err := l.Resolve(r.String(), "")
		if err != nil || len(got.Endpoints) == 0 {
			t.Fatalf("published service resolves to %v: %v", got.Endpoints, err)
		}
		if got.Graph != nil {
			if g, err := idl.ParseGraph(got.Graph); err != nil || !bytes.Equal(g.Append(nil), got.Graph) {
				t.Errorf("published graph %x: %v", got.Graph, err)
			}
		}
		if err := st.Send(t.Context(), idl.LocatorDiscard, nil); err != nil {
			t.Fatal(err)
		}
		// Its own connection's next call comes after the discard.
		if _, err := recv(t, call(t, s, "resolve", one(got.Name))); err == nil {
			t.Errorf("discarded service %q still resolves", got.Name)
		}
	})
}
