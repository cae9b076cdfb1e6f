package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// failing is a storage that always fails.
func failing() *rpc.Mux {
	m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
	m.Unary("read", func(context.Context, *rpc.Call) ([]byte, error) {
		return nil, rpc.Errorf(idl.CategoryGeneric, idl.GenericNotFound, "no such key")
	})
	return m
}

func TestServiceErrorText(t *testing.T) {
	r := standin.New(t)
	r.Serve("storage", failing())
	_, err := newClient(t, r).Storage().Read(patient(t), "c", "k")
	if want := "cannot call storage.read: no such key [12, 2]"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestServiceErrorAs(t *testing.T) {
	r := standin.New(t)
	r.Serve("storage", failing())
	_, err := newClient(t, r).Storage().Read(patient(t), "c", "k")
	remote, ok := errors.AsType[*cocaine.Error](err)
	if !ok || remote.Category != idl.CategoryGeneric || remote.Code != idl.GenericNotFound || remote.Message != "no such key" {
		t.Errorf("got %+v", remote)
	}
	call, ok := errors.AsType[*cocaine.CallError](err)
	if !ok || call.Service != "storage" || call.Method != "read" {
		t.Errorf("got %+v", call)
	}
	if !errors.Is(err, cocaine.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestUnknownHost(t *testing.T) {
	r := standin.New(t)
	client := newClient(t, r, func(o *cocaine.Options) {
		o.Locators = []string{"no-such-host.invalid"}
		o.Dial = (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no name server")
		}}}).DialContext
	})
	_, err := client.Node().List(patient(t))
	dns, ok := errors.AsType[*net.DNSError](err)
	if !ok || dns.Name != "no-such-host.invalid" {
		t.Errorf("got %v", err)
	}
	if e, ok := errors.AsType[*cocaine.ConnectError](err); !ok || e.Service != "locator" {
		t.Errorf("got %v", err)
	}
}

func TestRefused(t *testing.T) {
	r := standin.New(t)
	r.Publish("node", idl.NodeService, refusing(t))
	_, err := newClient(t, r).Node().List(patient(t))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

// Which service, which locator, and what it said.
func TestResolveErrorNames(t *testing.T) {
	r := standin.New(t)
	client := newClient(t, r)
	_, err := client.Locator().Resolve(patient(t), "wat")
	e, ok := errors.AsType[*cocaine.ResolveError](err)
	if !ok || e.Service != "wat" || e.Locator != r.Locator() || !errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Errorf("got %+v", e)
	}
	if want := `cannot resolve service "wat": nobody serves it [10, 1]`; err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if call, ok := err.(*cocaine.CallError); !ok || call.Service != "locator" || call.Method != "resolve" || call.Err != error(e) {
		t.Errorf("the call is %#v", err)
	}
	r.StopLocator()
	if e, ok = errors.AsType[*cocaine.ResolveError](client.Service("other").Connect(patient(t))); !ok || e.Service != "other" {
		t.Errorf("without a locator: %+v", e)
	}
}

func TestDisconnectedErrorNames(t *testing.T) {
	r := standin.New(t)
	mux, begun, _ := hanging()
	node := r.Serve("node", mux)
	client := newClient(t, r)
	call := beside(func() ([]string, error) { return client.Node().List(patient(t)) })
	await(t, begun, "the call")
	node.Stop()
	err := await(t, call, "its end").err
	e, ok := errors.AsType[*cocaine.DisconnectedError](err)
	if !ok || e.Service != "node" || e.Endpoint != node.Addr() || !errors.Is(err, cocaine.ErrDisconnected) || errors.Is(err, io.EOF) {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestCallTimeout(t *testing.T) {
	m, _, _ := hanging()
	inVirtualTime(t, m, func(t *testing.T, svc *cocaine.Service) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := cocaine.Exec(ctx, svc, "list")
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 200*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// The end of a deadline is context.DeadlineExceeded and a timeout of package net,
// wherever it strikes, and whatever cause it was given.
func TestDeadlineIsErrorsIs(t *testing.T) {
	m, _, _ := hanging()
	inVirtualTime(t, m, func(t *testing.T, svc *cocaine.Service) {
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		st, err := svc.Call(ctx, "list")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		for what, err := range map[string]error{
			"Recv of the call":       second(st.Recv(t.Context())),
			"Recv with that context": second(st.Recv(ctx)),
			"Peek with that context": second(st.Peek(ctx)),
			"a new call":             cocaine.Exec(ctx, svc, "list"),
		} {
			timeout, ok := errors.AsType[net.Error](err)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cause) || !ok || !timeout.Timeout() {
				t.Errorf("%s: %v", what, err)
			}
			if _, ok := errors.AsType[*cocaine.CallError](err); !ok {
				t.Errorf("%s: %v is no *CallError", what, err)
			}
		}
	})
}

func TestErrClosedIsNetErrClosed(t *testing.T) {
	if !errors.Is(fmt.Errorf("x: %w", cocaine.ErrClosed), net.ErrClosed) {
		t.Error("it is not")
	}
}

func TestVersionMismatch(t *testing.T) {
	r := standin.New(t)
	node := r.Serve("node", standin.NodeList("a"))
	client := newClient(t, r)
	right := client.Service("node").With(cocaine.CallOptions{Version: idl.NodeService.Version})
	if _, err := cocaine.Get[[]string](patient(t), right, "list"); err != nil {
		t.Error(err)
	}
	sent := node.Calls()
	wrong := right.With(cocaine.CallOptions{Version: 7})
	for what, err := range map[string]error{
		"Connect": wrong.Connect(patient(t)), "Exec": cocaine.Exec(patient(t), wrong, "list"), "Methods": second(wrong.Methods(patient(t))),
	} {
		e, ok := errors.AsType[*cocaine.VersionError](err)
		if !ok || e.Service != "node" || e.Want != 7 || e.Got != idl.NodeService.Version {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := node.Calls(); n != sent {
		t.Errorf("%d calls were sent", n-sent)
	}
}
