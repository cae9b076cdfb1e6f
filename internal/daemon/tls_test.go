package daemon_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/tlsconn"
	"github.com/cocaine/cocaine-go/internal/tlsconn/tlstest"
)

// secured are the settings of a runtime that other machines may reach.
func secured(t testing.TB, dir string) (set map[string]string, ca *tlstest.Authority) {
	t.Helper()
	ca = tlstest.NewAuthority(t, dir, "ca")
	cert, key := ca.Issue(t, "server", "127.0.0.1", "localhost")
	return map[string]string{"network.endpoint": "0.0.0.0", "network.hostname": "127.0.0.1", "tls.cert": cert, "tls.key": key}, ca
}

// With TLS and tokens a runtime listens where other machines reach it. The locator, the
// services and the apps take connections of TLS; workers, which are on this machine,
// need none.
func TestTLS(t *testing.T) {
	dir := directory(t)
	set, ca := secured(t, dir)
	d := start(t, guarded(dir, set))
	locator := fmt.Sprintf("127.0.0.1:%d", d.Addr().Port())
	dial, err := tlsconn.Client{CA: ca.File}.Dial()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cocaine.New(cocaine.Options{Locators: []string{locator}, Dial: dial, Token: cocaine.StaticToken("s3cret")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := soon(t)
	if err := do(ctx, c.Service("storage"), "write", "c", "k", "v"); err != nil {
		t.Fatal(err)
	}
	newApp("hello").deploy(t, c)
	if got, err := cocaine.Get[string](ctx, c.Service("hello"), "enqueue", "list"); err != nil || got != "ok" {
		t.Errorf("a worker that calls: %q, %v", got, err)
	}
	plain := dialWith(t, locator, "s3cret")
	if got, err := cocaine.Get[string](ctx, plain.Service("hello"), "enqueue", "list"); err != nil || got != "ok" {
		t.Errorf("without TLS from this machine: %q, %v", got, err)
	}

	// TLS is no identity.
	stranger, err := cocaine.New(cocaine.Options{Locators: []string{locator}, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := do(ctx, stranger.Service("storage"), "read", "c", "k"); !errors.Is(err, cocaine.ErrPermission) {
		t.Errorf("without a token: %v", err)
	}
	other := tlstest.NewAuthority(t, dir, "other")
	distrustful, err := tlsconn.Client{CA: other.File}.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := distrustful(ctx, "tcp", locator); err == nil {
		t.Error("a certificate of an unknown authority is trusted")
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("a certificate of an unknown authority: %v", err)
	}
}

func TestTLSWithoutFiles(t *testing.T) {
	dir := directory(t)
	set, _ := secured(t, dir)
	set["tls.key"] = filepath.Join(dir, "none.key")
	if _, err := daemon.New(t.Context(), guarded(dir, set)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("have %v", err)
	}
}

// Nodes of a cluster connect to each other by TLS, if they are told by which authority
// they know each other.
func TestClusterOverTLS(t *testing.T) {
	dir := directory(t)
	ca, other := tlstest.NewAuthority(t, dir, "ca"), tlstest.NewAuthority(t, dir, "other")
	cert, key := ca.Issue(t, "server", "127.0.0.1")
	own := map[string]string{"tls.cert": cert, "tls.key": key, "tls.client-ca": ca.File, "tls.cluster-ca": ca.File}
	at := startNode(t, nil, own).addr()
	friend := startNode(t, []string{at}, own)
	stranger := startNode(t, []string{at}, map[string]string{"tls.cluster-ca": other.File})
	type report struct {
		Nodes []struct {
			Linked bool   `codec:"linked"`
			Cause  string `codec:"cause"`
		} `codec:"nodes"`
	}
	for _, c := range []struct {
		node   *node
		linked bool
		cause  string
	}{{friend, true, ""}, {stranger, false, "certificate"}} {
		eventually(t, fmt.Sprintf("linked: %v", c.linked), func() error {
			s, err := cocaine.Get[report](t.Context(), c.node.c.Service("admin"), "status")
			if err == nil && (len(s.Nodes) != 1 || s.Nodes[0].Linked != c.linked || !strings.Contains(s.Nodes[0].Cause, c.cause)) {
				err = fmt.Errorf("%+v", s.Nodes)
			}
			return err
		})
	}
}
