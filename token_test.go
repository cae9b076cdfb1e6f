package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// guarded is a node service that tells of the authorization header of each call, "-"
// for none, and refuses the list to those who are not "Bearer good".
func guarded() (*rpc.Mux, <-chan string) {
	seen := make(chan string, 100)
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{Authorize: func(_ context.Context, c *rpc.Call) error {
		v, ok := hpack.Lookup(c.Headers, "authorization")
		if !ok {
			v = "-"
		}
		seen <- v
		switch v {
		case "Bearer good":
			return nil
		case "-":
			return cocaine.Errorf(idl.CategorySecurity, idl.SecurityUnauthorized, "who are you?")
		case "7":
			return cocaine.Errorf(idl.CategoryGeneric, idl.GenericDenied, "")
		}
		return cocaine.Errorf(idl.CategorySecurity, idl.SecurityDenied, "not you")
	}})
	m.Unary("list", func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value([]string{"a"}), nil })
	return m, seen
}

// Every call carries the token of the client, unless its handle has another.
func TestToken(t *testing.T) {
	r := standin.New(t)
	m, seen := guarded()
	r.Serve("node", m)
	client := newClient(t, r, func(o *cocaine.Options) { o.Token = cocaine.StaticToken("Bearer good") })
	ctx, node := patient(t), client.Service("node")
	list := func(s *cocaine.Service) error {
		_, err := cocaine.Get[[]string](ctx, s, "list")
		return err
	}
	for _, c := range []struct {
		name, want string
		err        error
		call       func() error
	}{
		{"Get", "Bearer good", nil, func() error { return list(node) }},
		{"Call", "Bearer good", nil, func() error {
			st, err := node.Call(ctx, "list")
			if err != nil {
				return err
			}
			defer st.Close()
			return second(st.Recv(ctx))
		}},
		{"another token", "Bearer bad", cocaine.ErrPermission, func() error {
			return list(node.With(cocaine.CallOptions{Token: cocaine.StaticToken("Bearer bad")}))
		}},
		{"a number", "7", cocaine.ErrPermission, func() error {
			return list(node.With(cocaine.CallOptions{Token: cocaine.StaticToken("7")}))
		}},
		{"none", "-", cocaine.ErrPermission, func() error {
			return list(node.With(cocaine.CallOptions{Token: cocaine.StaticToken("")}))
		}},
		{"header of the handle", "Bearer mine", cocaine.ErrPermission, func() error {
			return list(node.With(cocaine.CallOptions{Headers: cocaine.Headers{{Name: "authorization", Value: "Bearer mine"}}}))
		}},
		{"the other options keep it", "Bearer good", nil, func() error {
			return list(node.With(cocaine.CallOptions{Idempotent: true}))
		}},
	} {
		err := c.call()
		if got := await(t, seen, "the call"); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: the service saw %q, the caller %v", c.name, got, err)
		}
	}
}

// A source is asked for every call, with its context; when it fails nothing is sent.
func TestTokenSource(t *testing.T) {
	r := standin.New(t)
	m, seen := guarded()
	node := r.Serve("node", m)
	n, broken := 0, errors.New("no more tokens")
	type key struct{}
	client := newClient(t, r)
	svc := client.Service("node").With(cocaine.CallOptions{Token: func(ctx context.Context) (string, error) {
		if n++; n > 2 {
			return "", broken
		}
		return fmt.Sprint("Bearer ", ctx.Value(key{}), n), nil
	}})
	ctx := context.WithValue(patient(t), key{}, "k")
	for i := 1; i <= 2; i++ {
		_, _ = cocaine.Get[[]string](ctx, svc, "list")
		if got, want := await(t, seen, "the call"), fmt.Sprint("Bearer k", i); got != want {
			t.Errorf("the service saw %q, want %q", got, want)
		}
	}
	calls := node.Calls()
	err := cocaine.Exec(ctx, svc, "list")
	if !errors.Is(err, broken) || err.Error() != "cannot call node.list: cannot get token: no more tokens" {
		t.Errorf("got %v", err)
	}
	if _, err := svc.Call(ctx, "list"); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if node.Calls() != calls {
		t.Error("a call without its token was sent")
	}
	if client.Service("node").State() != cocaine.Connected {
		t.Error("it has cost the connection")
	}
}

// The locator is a service like others: the client's token goes to it, too.
func TestTokenForTheLocator(t *testing.T) {
	seen := make(chan string, 10)
	m := rpc.NewMux(idl.Locator, rpc.MuxOptions{Authorize: func(_ context.Context, c *rpc.Call) error {
		v, _ := hpack.Lookup(c.Headers, "authorization")
		seen <- v
		return cocaine.Errorf(idl.CategorySecurity, idl.SecurityDenied, "")
	}})
	m.Unary("resolve", func(context.Context, *rpc.Call) ([]byte, error) { return nil, nil })
	locator := standin.Listen(t, m)
	client := newClient(t, standin.New(t), func(o *cocaine.Options) {
		o.Locators, o.Token = []string{locator.Addr()}, cocaine.StaticToken("7,42")
	})
	if err := client.Service("node").Connect(patient(t)); !errors.Is(err, cocaine.ErrPermission) || errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Errorf("got %v", err)
	}
	if got := await(t, seen, "resolve"); got != "7,42" {
		t.Errorf("the locator saw %q", got)
	}
}

func TestPermissionErrors(t *testing.T) {
	for code, want := range map[[2]int]bool{
		{12, 13}: true, {9, 2}: true, {9, 3}: true,
		{9, 1}: false, {9, 4}: false, {9, 5}: false, {12, 1}: false, {2, 13}: false, {43, 3}: false,
	} {
		err := error(&cocaine.CallError{Service: "s", Method: "m", Err: cocaine.Errorf(code[0], code[1], "")})
		if got := errors.Is(err, cocaine.ErrPermission); got != want {
			t.Errorf("%v: ErrPermission is %v", code, got)
		}
	}
	if text := cocaine.ErrPermission.Error(); !strings.Contains(text, "Options.Token") {
		t.Errorf("%q does not say what to do", text)
	}
	err := &cocaine.CallError{Service: "node", Method: "list", Err: cocaine.Errorf(9, 2, "who are you?")}
	if got, want := err.Error(), "cannot call node.list: who are you? [9, 2]; Options.Token or CallOptions.Token gives one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEnvironmentToken(t *testing.T) {
	for _, c := range []struct{ scheme, body, want string }{
		{"", "", ""},
		{"TVM", "", ""},
		{"TVM", "ticket", "TVM ticket"},
		{"", "7,42", "7,42"},
		{"promiscuous", "7,42", "7,42"},
	} {
		t.Setenv(cocaine.TokenTypeVariable, c.scheme)
		t.Setenv(cocaine.TokenBodyVariable, c.body)
		source := cocaine.EnvironmentToken()
		if source == nil {
			if c.want != "" {
				t.Errorf("%q %q: there is no token", c.scheme, c.body)
			}
			continue
		}
		if got, err := source(t.Context()); got != c.want || err != nil {
			t.Errorf("%q %q: got %q, %v, want %q", c.scheme, c.body, got, err, c.want)
		}
	}
}
