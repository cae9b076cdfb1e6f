package clientgen_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"reflect"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/clientgen/testdata/coordination"
	"github.com/cocaine/cocaine-go/internal/clientgen/testdata/foreign"
	"github.com/cocaine/cocaine-go/internal/clientgen/testdata/hello"
	"github.com/cocaine/cocaine-go/internal/clientgen/testdata/locator"
	"github.com/cocaine/cocaine-go/internal/clientgen/testdata/logging"
	"github.com/cocaine/cocaine-go/internal/clientgen/testdata/metrics"
	"github.com/cocaine/cocaine-go/internal/clientgen/testdata/storage"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// calls are the arguments that a service was called with, in order.
type calls struct {
	mu   sync.Mutex
	list []string
	come chan struct{}
}

func (c *calls) note(method string, args []byte) {
	v := append(cocaine.Raw(nil), args...)
	var list []any
	if err := v.Decode(&list); err != nil {
		list = []any{err}
	}
	c.mu.Lock()
	c.list = append(c.list, fmt.Sprint(method, list))
	c.mu.Unlock()
	c.come <- struct{}{}
}

// want waits for the next call.
func (c *calls) want(t *testing.T, call string) {
	t.Helper()
	select {
	case <-c.come:
	case <-patient(t).Done():
		t.Fatalf("%s was not called", call)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list[0] != call {
		t.Errorf("called %s, want %s", c.list[0], call)
	}
	c.list = c.list[1:]
}

// scripted is a client of a service that answers each method with fixed values: one
// that streams with as many messages of one value.
func scripted(t *testing.T, name string, p *idl.Protocol, values map[string][]any) (*cocaine.Client, *calls) {
	got := &calls{come: make(chan struct{}, 100)}
	m := rpc.NewMux(p, rpc.MuxOptions{})
	for method, v := range values {
		switch {
		case len(p.Method(method).Reply.Node.Messages) == 0:
			m.Mute(method, func(_ context.Context, c *rpc.Call) error { got.note(method, c.Args); return nil })
		case p.Method(method).Reply.Node.Messages[0].Name == "value":
			m.Unary(method, func(_ context.Context, c *rpc.Call) ([]byte, error) {
				got.note(method, c.Args)
				return standin.Value(v...), nil
			})
		default:
			m.Stream(method, func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
				got.note(method, c.Args)
				for _, each := range v {
					if err := s.Send(ctx, idl.Write, standin.Value(each)); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	r := standin.New(t)
	r.Serve(name, m)
	if name == "locator" {
		l := standin.Listen(t, m)
		client, err := cocaine.New(cocaine.Options{Locators: []string{l.Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return client, got
	}
	return connect(t, r), got
}

// What is generated for a known service compiles and calls it.
func TestCallStorage(t *testing.T) {
	client, got := scripted(t, "storage", idl.Storage, map[string][]any{
		"read": {[]byte("blob")}, "write": nil, "remove": nil, "find": {[]string{"k1", "k2"}},
	})
	s, ctx := storage.NewStorage(client), patient(t)
	if blob, err := s.Read(ctx, "c", "k"); err != nil || !bytes.Equal(blob, []byte("blob")) {
		t.Errorf("read: %q, %v", blob, err)
	}
	got.want(t, "read[c k]")
	if err := s.Write(ctx, "c", "k", []byte("b")); err != nil {
		t.Error(err)
	}
	got.want(t, "write[c k b []]")
	if err := s.Write(ctx, "c", "k", []byte("b"), "t1", "t2"); err != nil {
		t.Error(err)
	}
	got.want(t, "write[c k b [t1 t2]]")
	if err := s.Remove(ctx, "c", "k"); err != nil {
		t.Error(err)
	}
	got.want(t, "remove[c k]")
	if keys, err := s.Find(ctx, "c", []string{"t"}); err != nil || !reflect.DeepEqual(keys, []string{"k1", "k2"}) {
		t.Errorf("find: %q, %v", keys, err)
	}
	got.want(t, "find[c [t]]")
}

func TestCallUnicorn(t *testing.T) {
	client, got := scripted(t, "coordination", idl.Unicorn, map[string][]any{
		"put": {true, []any{"v", 4}}, "get": {[]any{nil, -1}}, "subscribe": {[]any{"a", 0}, []any{"b", 1}},
		"children_subscribe": {},
	})
	u, ctx := coordination.NewTree(client), patient(t)
	put, err := u.Put(ctx, "/a", map[string]int{"n": 1}, 3)
	if err != nil || !put.OK || put.Current.Version != 4 || string(put.Current.Value) != "\xa1v" {
		t.Errorf("put: %+v, %v", put, err)
	}
	got.want(t, "put[/a map[n:1] 3]")
	if v, err := u.Get(ctx, "/a"); err != nil || v.Version != -1 {
		t.Errorf("get: %+v, %v", v, err)
	}
	got.want(t, "get[/a]")
	var versions []int64
	for v, err := range u.Subscribe(ctx, "/a") {
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, v.Version)
	}
	if !reflect.DeepEqual(versions, []int64{0, 1}) {
		t.Errorf("subscribe: %v", versions)
	}
	got.want(t, "subscribe[/a]")
	for _, err := range u.ChildrenSubscribe(ctx, "/a") {
		t.Errorf("a message without any: %v", err)
	}
}

func TestCallLocator(t *testing.T) {
	client, got := scripted(t, "locator", idl.Locator, map[string][]any{
		"resolve": {[]any{[]any{"10.0.0.1", 5}}, 1, map[string]any{}},
		"cluster": {map[string]any{"u": []any{"::1", 7}}}, "publish": nil,
	})
	l, ctx := locator.NewLocator(client), patient(t)
	want := []locator.LocatorEndpoint{{Address: "10.0.0.1", Port: 5}}
	for _, seed := range [][]string{nil, {"user"}} {
		if r, err := l.Resolve(ctx, "app", seed...); err != nil || r.Version != 1 || !reflect.DeepEqual(r.Endpoints, want) {
			t.Errorf("resolve: %+v, %v", r, err)
		}
	}
	got.want(t, "resolve[app]")
	got.want(t, "resolve[app user]")
	if nodes, err := l.Cluster(ctx); err != nil || nodes["u"].Port != 7 {
		t.Errorf("cluster: %+v, %v", nodes, err)
	}
	got.want(t, "cluster[]")
	if err := l.Publish(ctx, "db", want); err != nil {
		t.Error(err)
	}
	got.want(t, "publish[db [[10.0.0.1 5]]]")
	st, err := l.PublishStream(ctx, "db", want, []any{1, cocaine.Raw{0x80}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	got.want(t, "publish[db [[10.0.0.1 5]] [1 map[]]]")
	if m, err := st.Recv(ctx); err != nil || m.Name != "value" {
		t.Errorf("publish: %+v, %v", m, err)
	}
}

func TestCallLoggingAndMetrics(t *testing.T) {
	client, got := scripted(t, "logging", idl.Logging, map[string][]any{"emit": nil, "verbosity": {2}})
	l, ctx := logging.NewLogging(client), patient(t)
	if err := l.Emit(ctx, 1, "src", "text", logging.LoggingAttr{Name: "k", Value: 5}); err != nil {
		t.Error(err)
	}
	got.want(t, "emit[1 src text [[k 5]]]")
	if v, err := l.Verbosity(ctx); err != nil || v != 2 {
		t.Errorf("verbosity: %v, %v", v, err)
	}
	client, got = scripted(t, "metrics", idl.Metrics, map[string][]any{"fetch": {map[string]any{"load": 3}}})
	m, err := metrics.NewMetrics(client).Fetch(ctx, "json")
	var load struct {
		Load int `json:"load"`
	}
	if err == nil {
		err = m.Decode(&load)
	}
	if err != nil || load.Load != 3 {
		t.Errorf("fetch: %+v, %v", load, err)
	}
	got.want(t, "fetch[json]")
}

func TestCallApp(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.App, rpc.MuxOptions{})
	m.Stream("enqueue", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		for {
			m, err := s.Recv(ctx)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := s.Send(ctx, idl.Write, m.Args); err != nil {
				return err
			}
		}
	})
	r.Serve("hello-app", m)
	h, ctx := hello.NewHello(connect(t, r)).With(cocaine.CallOptions{}), patient(t)
	raw, err := h.Greet(ctx, []string{"Ann"})
	var echoed []string
	if err == nil {
		err = raw.Decode(&echoed)
	}
	if err != nil || len(echoed) != 1 || echoed[0] != "Ann" {
		t.Errorf("greet: %q, %v", echoed, err)
	}
	st, err := h.Enqueue(ctx, "greet", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.CloseSend(ctx); err != nil {
		t.Fatal(err)
	}
	if chunk, err := st.Recv(ctx); err != nil || string(chunk) != "x" {
		t.Errorf("enqueue: %q, %v", chunk, err)
	}
}

// A service that no table knows takes any arguments and gives values to decode.
func TestCallForeign(t *testing.T) {
	client, got := scripted(t, "no\nsuch", foreignProtocol(), map[string][]any{
		"get-item": {"one", 2}, "type": {"a", "b"}, "\n*/ func init() {} //": nil, "hold": {"held"},
	})
	f, ctx := foreign.NewForeign(client), patient(t)
	v, err := f.GetItem(ctx, 1, "x")
	var item struct { // two values, by position
		Name  string
		Count int
	}
	if err == nil {
		err = v.Decode(&item)
	}
	if err != nil || item.Name != "one" || item.Count != 2 {
		t.Errorf("get-item: %+v, %v", item, err)
	}
	got.want(t, "get-item[1 x]")
	n := 0
	for v, err := range f.Type(ctx) {
		if err != nil || len(v) != 2 {
			t.Errorf("type: %x, %v", v, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("type: %d values", n)
	}
	got.want(t, "type[]")
	if err := f.FuncInit(ctx, true); err != nil {
		t.Error(err)
	}
	got.want(t, "\n*/ func init() {} //[true]")
	st, err := f.HoldStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if m, err := st.Recv(ctx); err != nil || string(m.Bytes()) != "held" {
		t.Errorf("hold: %q, %v", m.Bytes(), err)
	}
}
