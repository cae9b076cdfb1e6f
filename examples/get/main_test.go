package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGet(t *testing.T) {
	r := standin.New(t)
	r.Serve("node", standin.NodeList("echo", "hello"))
	t.Setenv(cocaine.LocatorVariable, r.Locator())
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if want := "echo\nhello\nwithin 1s: echo hello\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestTimeout(t *testing.T) {
	r := standin.New(t)
	var calls atomic.Int32
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
	m.Unary("list", func(ctx context.Context, _ *rpc.Call) ([]byte, error) {
		if calls.Add(1) > 1 {
			<-ctx.Done() // the second call is never answered
		}
		return standin.Value([]string{"echo"}), nil
	})
	r.Serve("node", m)
	t.Setenv(cocaine.LocatorVariable, r.Locator())
	var out strings.Builder
	if err := run(t.Context(), &out); !errors.Is(err, context.DeadlineExceeded) || out.String() != "echo\n" {
		t.Errorf("got %v after %q", err, out.String())
	}
}

func TestNoNode(t *testing.T) {
	r := standin.New(t)
	t.Setenv(cocaine.LocatorVariable, r.Locator())
	if err := run(t.Context(), new(strings.Builder)); !errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Errorf("got %v", err)
	}
}
