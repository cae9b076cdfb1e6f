package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// Who is well answers, busy or not; who does not answer is not well, connected or not.
func TestPing(t *testing.T) {
	r := standin.New(t)
	mux, begun, _ := hanging()
	node := r.Serve("node", mux)
	r.Publish("down", idl.NodeService, refusing(t))
	client := newClient(t, r)
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	busy := beside(func() ([]string, error) { return client.Node().List(ctx) })
	await(t, begun, "the call")
	for range 3 {
		if err := client.Service("node").Ping(ctx); err != nil {
			t.Error(err)
		}
	}
	stop()
	await(t, busy, "the end of the call")
	ctx = patient(t)
	for name, want := range map[string]error{"wat": cocaine.ErrServiceNotFound, "down": syscall.ECONNREFUSED} {
		err := client.Service(name).Ping(ctx)
		if _, ok := errors.AsType[*cocaine.CallError](err); !ok || !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	node.Stop()
	r.Publish("node", idl.NodeService, refusing(t))
	if err := client.Service("node").Ping(ctx); err == nil {
		t.Error("a service that has stopped is well")
	}
	if err := (*cocaine.Service)(nil).Ping(ctx); !errors.Is(err, cocaine.ErrBadArgument) {
		t.Errorf("got %v", err)
	}
}

// A service that takes the connection and says nothing is not well.
func TestPingOfTheSilent(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "node", idl.NodeService)
	svc := newClient(t, r).Service("node")
	ctx, cancel := context.WithCancel(patient(t))
	got := beside(func() (any, error) { return nil, svc.Ping(ctx) })
	peer := accept()
	peer.Want(1, idl.Ping)
	cancel()
	if a := await(t, got, "the end of it"); !errors.Is(a.err, context.Canceled) {
		t.Errorf("got %v", a.err)
	}
	peer.Want(2, idl.Revoke, 1, []any{2, 125})
	got = beside(func() (any, error) { return nil, svc.Ping(patient(t)) })
	peer.Want(3, idl.Ping)
	peer.Send(3, idl.Value)
	if a := await(t, got, "the end of it"); a.err != nil {
		t.Errorf("got %v", a.err)
	}
}

// A method of that name is not called.
func TestPingIsNoMethod(t *testing.T) {
	r := standin.New(t)
	accept := stage(t, r, "echo", idl.Echo)
	client := newClient(t, r)
	if err := client.Service("echo").Ping(patient(t)); err != nil {
		t.Error(err)
	}
	peer := accept()
	client.Close()
	peer.WantClosed() // and nothing before that
}

// Is everything there that this program needs?
func ExampleService_Ping() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Service("node", cocainetest.Methods{})
	})
	defer stop()
	for _, name := range []string{"node", "storage"} {
		err := client.Service(name).Ping(context.Background())
		fmt.Println(name, err == nil, errors.Is(err, cocaine.ErrServiceNotFound))
	}
	// Output:
	// node true false
	// storage false true
}
