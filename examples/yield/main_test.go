package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestMain(m *testing.M) {
	if standin.AsProcess() {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestScript(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList("echo", "hello"))
	t.Setenv(cocaine.LocatorVariable, r.Locator())
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if want := "node standin runs echo, hello\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestErrorShowsAtTheYield(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
	m.Unary("list", func(context.Context, *rpc.Call) ([]byte, error) {
		return nil, rpc.Errorf(idl.CategorySecurity, idl.SecurityDenied, "permission denied")
	})
	r.Serve("node", m)
	t.Setenv(cocaine.LocatorVariable, r.Locator())
	var out strings.Builder
	err := run(t.Context(), &out)
	if !errors.Is(err, &cocaine.Error{Category: idl.CategorySecurity, Code: idl.SecurityDenied}) || out.Len() > 0 {
		t.Errorf("got %v after %q", err, out.String())
	}
}

func TestHandler(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList("echo", "hello"))
	process, runtime := standin.Spawn(t, "yield", r.Locator())
	runtime.SendHeaders([]hpack.Header{{Name: "content-type", Value: "application/json"}}, 2, 0, "report")
	runtime.Send(2, 2)
	runtime.Want(2, 0, `{"apps":["echo","hello"],"node":"standin"}`)
	runtime.Want(2, 2)
	runtime.Send(1, 1, 1, "stop")
	runtime.Want(1, 1, 1, "stop")
	runtime.Close()
	if status := process.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
