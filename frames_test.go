package cocaine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/standin"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// stage makes a service known that the test itself plays, frame by frame. accept
// waits for the next connection to it.
func stage(t *testing.T, r *standin.Runtime, name string, p *idl.Protocol) (accept func() *rpctest.Peer) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	r.Publish(name, p, ln.Addr().String())
	return func() *rpctest.Peer {
		t.Helper()
		if err := ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return rpctest.Play(t, conn)
	}
}

// result of a call that runs beside the test.
type result[T any] struct {
	v   T
	err error
}

// beside runs f in a goroutine.
func beside[T any](f func() (T, error)) <-chan result[T] {
	c := make(chan result[T], 1)
	go func() {
		v, err := f()
		c <- result[T]{v, err}
	}()
	return c
}

// Channels count from 1 on each connection, and their frames have four elements.
func TestSessionIDs(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "node", idl.NodeService)
	svc := newClient(t, r).Service("node")
	for range 2 {
		var peer *rpctest.Peer
		for channel := uint64(1); channel <= 3; channel++ {
			got := beside(func() ([]string, error) { return cocaine.Get[[]string](patient(t), svc, "list") })
			if peer == nil {
				peer = accept()
			}
			f := peer.Want(channel, idl.NodeList)
			if len(f.Headers) != 0 {
				t.Errorf("channel %d has headers %q", channel, f.Headers)
			}
			peer.Send(channel, idl.Value, []any{"a"})
			if a := await(t, got, "the answer"); a.err != nil || !slices.Equal(a.v, []string{"a"}) {
				t.Fatalf("got %q, %v", a.v, a.err)
			}
		}
		svc.Disconnect()
		peer.WantClosed()
	}
}

// A late answer of a call that was given up is not taken for that of the next.
func TestSequentialAfterTimeout(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "node", idl.NodeService)
	svc := newClient(t, r).Service("node")
	ctx, cancel := context.WithCancel(patient(t))
	first := beside(func() ([]string, error) { return cocaine.Get[[]string](ctx, svc, "list") })
	peer := accept()
	peer.Want(1, idl.NodeList)
	cancel()
	if a := await(t, first, "the first call"); !errors.Is(a.err, context.Canceled) {
		t.Fatalf("got %q, %v", a.v, a.err)
	}
	peer.Want(2, idl.Revoke, 1, []any{idl.CategorySocket, 125})
	second := beside(func() ([]string, error) { return cocaine.Get[[]string](patient(t), svc, "list") })
	peer.Want(3, idl.NodeList)
	peer.Send(1, idl.Value, []any{"late"})
	peer.Send(2, idl.Value)
	peer.Send(3, idl.Value, []any{"right"})
	if a := await(t, second, "the second call"); a.err != nil || a.v[0] != "right" {
		t.Errorf("got %q, %v", a.v, a.err)
	}
}

// Chunks that come after the deadline of the call are dropped, and the connection
// goes on.
func TestLateChunkDropped(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "app", idl.App)
	svc := newClient(t, r).Service("app")
	ctx, cancel := context.WithCancel(patient(t))
	opened := beside(func() (*cocaine.Stream, error) { return svc.Call(ctx, "enqueue", "e") })
	peer := accept()
	peer.Want(1, 0, "e")
	st := await(t, opened, "the call").v
	peer.Send(1, idl.Write, "in time")
	if m, err := st.Recv(patient(t)); err != nil || string(m.Bytes()) != "in time" {
		t.Fatalf("got %q, %v", m.Bytes(), err)
	}
	cancel()
	peer.Want(1, idl.StreamError, []any{idl.CategorySocket, 125}, "Operation canceled")
	peer.Send(1, idl.Write, "late")
	peer.Send(1, idl.Close)
	for range 2 {
		if m, err := st.Recv(patient(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %q, %v", m.Bytes(), err)
		}
	}
	next := beside(func() (string, error) { return cocaine.Invoke[string](patient(t), cocaine.AppOf(svc), "e", "x") })
	peer.Want(2, 0, "e")
	peer.Want(2, idl.Write, "\xa1x")
	peer.Want(2, idl.Close)
	peer.Send(2, idl.Write, "\xa1y")
	peer.Send(2, idl.Close)
	if a := await(t, next, "the next call"); a.err != nil || a.v != "y" {
		t.Errorf("got %q, %v", a.v, a.err)
	}
}

// Frames that are none of a client's business are dropped, those that are wrong
// cost their own call; the innocent ones get their answers.
func TestMalformedFrames(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "node", idl.NodeService)
	svc := newClient(t, r).Service("node")
	list := func() <-chan result[[]string] {
		return beside(func() ([]string, error) { return cocaine.Get[[]string](patient(t), svc, "list") })
	}
	innocent := list()
	peer := accept()
	peer.Want(1, idl.NodeList)

	peer.Send(77, idl.Value, []any{"nobody's"}) // a channel that was never opened
	peer.Send(0, idl.Value)                     // no channel at all
	twice := list()
	peer.Want(2, idl.NodeList)
	peer.Send(2, idl.Value, []any{"once"})
	peer.Send(2, idl.Value, []any{"twice"})
	peer.Send(2, idl.Error, []any{1, 1}, "an end after the end")
	if a := await(t, twice, "the call answered twice"); a.err != nil || a.v[0] != "once" {
		t.Errorf("got %q, %v", a.v, a.err)
	}
	for i, c := range []struct {
		typ  uint64
		args []any
		want error
	}{
		{7, nil, &cocaine.Error{Category: idl.CategoryDispatch, Code: idl.DispatchUnbound}}, // no such message
		{idl.Value, []any{map[string]any{"a": 1}}, cocaine.ErrBadAnswer},
		{idl.Value, []any{5}, cocaine.ErrBadAnswer},
		{idl.Value, []any{[]any{"a", 5}}, nil}, // numbers are taken as text or refused, but not fatal
		{idl.Error, nil, &cocaine.Error{Category: idl.CategoryDispatch, Code: idl.DispatchBadArgs}},
		{idl.Error, []any{"not a pair"}, &cocaine.Error{Category: idl.CategoryDispatch, Code: idl.DispatchBadArgs}},
		{idl.Error, []any{[]any{43, 7}}, &cocaine.Error{Category: 43, Code: 7}},               // the text may be missing
		{idl.Error, []any{[]any{43, 7}, nil, "extra"}, &cocaine.Error{Category: 43, Code: 7}}, // or be nil
	} {
		got, channel := list(), uint64(i+3)
		peer.Want(channel, idl.NodeList)
		peer.Send(channel, c.typ, c.args...)
		if a := await(t, got, "the call"); c.want != nil && !errors.Is(a.err, c.want) {
			t.Errorf("message %d %v: got %q, %v, want %v", c.typ, c.args, a.v, a.err, c.want)
		}
	}
	peer.Send(1, idl.Value, []any{"right"})
	if a := await(t, innocent, "the innocent call"); a.err != nil || a.v[0] != "right" {
		t.Errorf("got %q, %v", a.v, a.err)
	}
}

// A payload of one value is that value, one of several a list, one of none nothing.
func TestPayloadUnwrap(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "cache", idl.Cache)
	svc := newClient(t, r).Service("cache")
	var peer *rpctest.Peer
	for i, c := range []struct {
		sent []any
		want any
	}{
		{[]any{"one"}, "one"},
		{[]any{true, "blob"}, []any{true, "blob"}},
		{[]any{[]any{"list"}}, []any{"list"}},
		{[]any{nil}, nil},
		{nil, nil},
	} {
		got := beside(func() (any, error) { return cocaine.Get[any](patient(t), svc, "get", "k") })
		if peer == nil {
			peer = accept()
		}
		peer.Want(uint64(i+1), 0, "k")
		peer.Send(uint64(i+1), idl.Value, c.sent...)
		if a := await(t, got, "the answer"); a.err != nil || !equal(a.v, c.want) {
			t.Errorf("%v is %v, %v, want %v", c.sent, a.v, a.err, c.want)
		}
	}
}

func equal(a, b any) bool {
	x, errX := cocaine.Encode(a)
	y, errY := cocaine.Encode(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// What a service may send follows its graph; after the last message nothing comes
// any more.
func TestRxTree(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "app", idl.App)
	svc := newClient(t, r).Service("app")
	opened := beside(func() (*cocaine.Stream, error) { return svc.Call(patient(t), "enqueue", "e") })
	peer := accept()
	peer.Want(1, 0, "e")
	st := await(t, opened, "the call").v
	defer st.Close()
	peer.Send(1, idl.Write, "a")
	peer.Send(1, idl.Close)
	peer.Send(1, idl.Write, "too late")
	if m, err := st.Recv(patient(t)); err != nil || m.Name != "write" || string(m.Bytes()) != "a" {
		t.Fatalf("got %q %q, %v", m.Name, m.Bytes(), err)
	}
	for range 2 {
		if _, err := st.Recv(patient(t)); err != io.EOF {
			t.Fatalf("got %v", err)
		}
	}
	opened = beside(func() (*cocaine.Stream, error) { return svc.Call(patient(t), "enqueue", "e") })
	peer.Want(2, 0, "e")
	bad := await(t, opened, "the call").v
	defer bad.Close()
	peer.Send(2, 9)
	unbound := &cocaine.Error{Category: idl.CategoryDispatch, Code: idl.DispatchUnbound}
	if _, err := bad.Recv(patient(t)); !errors.Is(err, unbound) {
		t.Errorf("a message that is not in the graph: %v", err)
	}
}

// What the caller may send follows the graph as well.
func TestTxTree(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "app", idl.App)
	svc := newClient(t, r).Service("app")
	opened := beside(func() (*cocaine.Stream, error) { return svc.Call(patient(t), "enqueue", "e") })
	peer := accept()
	peer.Want(1, 0, "e")
	st := await(t, opened, "the call").v
	defer st.Close()
	ctx := patient(t)
	if err := st.SendMessage(ctx, "no such message"); !errors.Is(err, cocaine.ErrNoMessage) {
		t.Errorf("got %v", err)
	}
	if err := st.SendMessage(ctx, "write", "a"); err != nil {
		t.Error(err)
	}
	if err := st.SendMessage(ctx, "close"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"write": st.SendMessage(ctx, "write", "b"), "close": st.SendMessage(ctx, "close"), "Send": st.Send(ctx, "b"), "Fail": st.Fail(ctx, io.EOF),
	} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s after the last message: %v", what, err)
		}
	}
	peer.Want(1, idl.Write, "a")
	peer.Want(1, idl.Close)
	peer.Send(1, idl.Close)
	if _, err := st.Recv(ctx); err != io.EOF {
		t.Errorf("got %v", err)
	}
}

// spoiled makes a client whose connections have faults.
func spoiled(t *testing.T, r *standin.Runtime, s faultnet.Script) *cocaine.Client {
	return newClient(t, r, func(o *cocaine.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return faultnet.Wrap(conn, s), nil
		}
	})
}

func TestByteAtATime(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList("a", "b"))
	one := []faultnet.Fault{faultnet.Pieces(1)}
	client := spoiled(t, r, faultnet.Script{Read: one, Write: one})
	for range 3 {
		if apps, err := client.Node().List(patient(t)); err != nil || !slices.Equal(apps, []string{"a", "b"}) {
			t.Fatalf("got %q, %v", apps, err)
		}
	}
}

// A connection that breaks under a write fails the calls that are on it, all of
// them, and tells why.
func TestResetWhileWriting(t *testing.T) {
	r := standin.New(t)
	mux, begun, _ := hanging()
	r.Serve("node", mux)
	client := spoiled(t, r, faultnet.Script{Write: []faultnet.Fault{faultnet.ResetAt(200)}})
	svc := client.Service("node")
	pending := beside(func() (any, error) { return nil, cocaine.Exec(patient(t), svc, "list") })
	await(t, begun, "the call")
	for {
		select {
		case a := <-pending:
			if !errors.Is(a.err, cocaine.ErrDisconnected) {
				t.Errorf("the pending call got %v", a.err)
			}
			return
		case <-begun:
		default:
			st, err := svc.Call(patient(t), "list")
			if err == nil {
				st.Close()
			}
		}
	}
}

func TestFrameLimit(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
	m.Unary("read", func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value(make([]byte, 1<<20)), nil })
	r.Serve("storage", m)
	s := newClient(t, r, func(o *cocaine.Options) { o.MaxFrame = 64 << 10 }).Storage()
	_, err := s.Read(patient(t), "c", "k")
	if !errors.Is(err, cocaine.ErrTooLarge) || !errors.Is(err, cocaine.ErrDisconnected) || !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("a large answer: %v", err)
	}
	if err := s.Write(patient(t), "c", "k", make([]byte, 64<<10)); !errors.Is(err, cocaine.ErrTooLarge) || errors.Is(err, cocaine.ErrDisconnected) {
		t.Errorf("a large argument: %v", err)
	}
}
