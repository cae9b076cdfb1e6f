package daemon_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// tokenLine describes a token.
func tokenLine(name string, uid int, secret string) string {
	return fmt.Sprintf("%s %d %x", name, uid, sha256.Sum256([]byte(secret)))
}

// guarded is the configuration of a runtime whose callers need a token: ann's is
// "s3cret", her user id 7.
func guarded(dir string, set map[string]string) daemon.Options {
	all := map[string]string{"authentication.type": "token", "authentication.tokens": tokenLine("ann", 7, "s3cret")}
	for key, value := range set {
		all[key] = value
	}
	return daemon.Options{Config: configuration(dir, all), Version: "test"}
}

func dialWith(t testing.TB, locator, token string) *cocaine.Client {
	t.Helper()
	c, err := cocaine.New(cocaine.Options{Locators: []string{locator}, Token: cocaine.StaticToken(token)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Every method of every service needs a token, apps included. Who has none is told so,
// and his connection stays.
func TestEveryMethodNeedsAToken(t *testing.T) {
	d := start(t, daemon.Options{Config: withServices(t, directory(t), allServices+`
[services.unicat]
type = "unicat"
[authentication]
type = "token"
tokens = ["`+tokenLine("ann", 7, "s3cret")+`"]
`)})
	c, ctx := dialWith(t, d.Addr().String(), "Bearer s3cret"), soon(t)
	newApp("hello").deploy(t, c)
	protocols := map[string]*idl.Protocol{"locator": idl.Locator, "storage": idl.Storage, "unicorn": idl.Unicorn,
		"logging": idl.LoggingV2, "node": idl.NodeService, "admin": idl.Admin, "hello": idl.App, "cache": idl.Cache, "my.timers": idl.Chrono,
		"echo": idl.Echo, "metrics": idl.Metrics, "uniresis": idl.Uniresis, "urlfetch": idl.URLFetch, "unicat": idl.Unicat}
	services := must[map[string]any](t)(cocaine.Get[map[string]any](ctx, c.Service("admin"), "status"))["services"].(map[string]any)
	for name := range services {
		if protocols[name] == nil {
			t.Errorf("service %s is not tested", name)
		}
	}
	for name, p := range protocols {
		r, err := c.Locator().Resolve(ctx, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn, err := net.Dial("tcp", r.Endpoints[0])
		if err != nil {
			t.Fatal(err)
		}
		peer := rpctest.Play(t, conn)
		ch := uint64(0)
		for _, m := range p.Messages {
			if idl.IsControl(m.ID) {
				continue
			}
			for _, header := range []string{"", "Bearer wrong", "7"} {
				ch++
				if header == "" {
					peer.Send(ch, m.ID)
				} else {
					peer.SendHeaders(cocaine.Headers{{Name: "authorization", Value: header}}, ch, m.ID)
				}
				if m.Reply.Kind != idl.ReplyMute {
					peer.WantError(ch, idl.CategorySecurity, idl.SecurityUnauthorized)
				}
			}
		}
		peer.Send(ch+1, idl.Ping)
		peer.Want(ch+1, idl.Value)
	}
}

func TestTokens(t *testing.T) {
	d := start(t, guarded(directory(t), map[string]string{"authorizations.storage": "storage",
		"authentication.workers": "hello=1001"}))
	ctx := soon(t)
	if _, err := cocaine.Get[any](ctx, dial(t, d.Addr().String()).Service("storage"), "read", "c", "k"); !errors.Is(err, cocaine.ErrPermission) {
		t.Errorf("without a token: %v", err)
	}
	c := dialWith(t, d.Addr().String(), "token s3cret")
	if err := do(ctx, c.Service("storage"), "write", "c", "k", "v"); err != nil {
		t.Fatal(err)
	}
	acl := must[string](t)(cocaine.Get[string](ctx, c.Service("storage"), "read", ".collection-acls", "c"))
	if acl != "\x92\x80\x81\x07\x03" {
		t.Errorf("the owner is %x, want user 7", acl)
	}
	for app, uid := range map[string]string{"hello": "1001", "other": ""} {
		newApp(app).deploy(t, c)
		token := must[string](t)(cocaine.Get[string](ctx, c.Service(app), "enqueue", "token"))
		typ, body, _ := strings.Cut(token, " ")
		if typ != "token" || !strings.HasPrefix(body, "worker:"+app+":") {
			t.Errorf("the token of %s is %q", app, token)
		}
		// The worker itself calls, with its own token.
		if got, err := cocaine.Get[string](ctx, c.Service(app), "enqueue", "list"); err != nil || got != "ok" {
			t.Errorf("a call by a worker of %s: %q, %v", app, got, err)
		}
		err := do(ctx, dialWith(t, d.Addr().String(), token).Service("storage"), "write", "of-"+app, "k", "v")
		if err == nil {
			err = do(ctx, c.Service("storage"), "write", "of-"+app, "k", "v")
		}
		if code := codeOf(err); (code == refusedCode) != (uid != "") {
			t.Errorf("%s: user 7 is answered %q after a worker of user %q", app, code, uid)
		}
	}
	if got, err := cocaine.Get[string](ctx, c.Service("hello"), "enqueue", "headers"); err != nil || strings.Contains(got, "authorization") {
		t.Errorf("an app is told %q, %v", got, err)
	}
	old := dialOld(t, d.Addr().String())
	if _, failed := old.call(0, "storage"); failed == nil || !strings.Contains(failed.text, "a token is required") {
		t.Errorf("a client of v0.11: %v", failed)
	}
}

// The workers of a runtime that starts again have the same tokens, and so have those of
// another runtime with the same state.
func TestTokensOfWorkersStay(t *testing.T) {
	dir := directory(t)
	var last string
	for range 2 {
		d := start(t, guarded(dir, nil))
		c := dialWith(t, d.Addr().String(), "s3cret")
		newApp("hello").deploy(t, c)
		token := must[string](t)(cocaine.Get[string](soon(t), c.Service("hello"), "enqueue", "token"))
		if last != "" && token != last {
			t.Errorf("the token was %q and is %q", last, token)
		}
		last = token
		stop(t, d)
	}
}

// A change of the file counts soon; one that cannot be read changes nothing.
func TestTokenFile(t *testing.T) {
	dir := directory(t)
	path := filepath.Join(dir, "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("# people\n" + tokenLine("bob", 8, "b") + "\n")
	d := start(t, guarded(dir, map[string]string{"authentication.token-file": path}))
	ctx := soon(t)
	ping := func(token string) error {
		_, err := cocaine.Get[any](ctx, dialWith(t, d.Addr().String(), token).Service("node"), "list")
		return err
	}
	for _, token := range []string{"s3cret", "b"} {
		if err := ping(token); err != nil {
			t.Errorf("%s: %v", token, err)
		}
	}
	await := func(token string, ok bool) {
		t.Helper()
		for {
			err := ping(token)
			if (err == nil) == ok {
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: %v", token, err)
			}
		}
	}
	write(tokenLine("carl", 9, "c") + "\n")
	await("c", true)
	await("b", false)
	write("nonsense")
	write("nonsense\n" + tokenLine("dora", 9, "d"))
	if err := errors.Join(ping("c"), ping("s3cret")); err != nil {
		t.Error(err)
	}
	write(tokenLine("dora", 9, "d"))
	await("d", true)
	await("c", false)

	write(tokenLine("ann", 9, "e"))
	_, err := daemon.New(context.Background(), guarded(directory(t), map[string]string{"authentication.token-file": path}))
	if err == nil || !strings.Contains(err.Error(), `"ann" is there twice`) {
		t.Errorf("a name that the configuration has, too: %v", err)
	}
	_, err = daemon.New(context.Background(), guarded(directory(t), map[string]string{"authentication.token-file": path + ".none"}))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
