package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/tlsconn/tlstest"
)

// Commands connect by TLS if they are told of an authority, by flags or by variables.
func TestCommandsOverTLS(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "c") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ca, other := tlstest.NewAuthority(t, dir, "ca"), tlstest.NewAuthority(t, dir, "other")
	cert, key := ca.Issue(t, "server", "box")
	mine, mineKey := ca.Issue(t, "ann", "ann")
	conf, err := config.Load("", config.Host{UID: os.Getuid()}, map[string]string{"paths.state": dir,
		"paths.runtime": filepath.Join(dir, "run"), "network.port": "0", "tls.cert": cert, "tls.key": key, "tls.client-ca": ca.File,
		"authentication.type": "token", "authentication.tokens": fmt.Sprintf("ann 7 %x", sha256.Sum256([]byte("s3cret")))})
	if err != nil {
		t.Fatal(err)
	}
	d, err := daemon.New(t.Context(), daemon.Options{Config: conf})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := []string{"COCAINE_LOCATOR=" + d.Addr().String(), "COCAINE_TOKEN=s3cret"}
	for _, c := range []struct {
		name    string
		environ []string
		args    []string
		code    Code
		says    string
	}{
		{"flags", at, []string{"ps", "--tls-ca", ca.File, "--tls-name", "box", "--tls-cert", mine, "--tls-key", mineKey}, OK, ""},
		{"variables", append(at[:2:2], "COCAINE_TLS_CA="+ca.File, "COCAINE_TLS_NAME=box"),
			[]string{"ps", "--tls-cert", mine, "--tls-key", mineKey}, OK, ""},
		{"without, on this machine", at, []string{"ps"}, OK, ""},
		{"another authority", at, []string{"ps", "--tls-ca", other.File, "--tls-name", "box", "--tls-cert", mine, "--tls-key", mineKey}, Unreachable, "certificate"},
		{"another name", at, []string{"ps", "--tls-ca", ca.File, "--tls-cert", mine, "--tls-key", mineKey}, Unreachable, "certificate"},
		{"no token", at[:1], []string{"ps", "--tls-ca", ca.File, "--tls-name", "box", "--tls-cert", mine, "--tls-key", mineKey}, Denied, "a token is required"},
		{"no authority", at, []string{"ps", "--tls-name", "box"}, Usage, "hint: --tls-ca FILE"},
		{"no file", at, []string{"ps", "--tls-ca", dir + "/none"}, Usage, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := Run(t.Context(), Env{Args: c.args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
				Host: config.Host{Environ: c.environ, UID: os.Getuid()}})
			if Code(code) != c.code || !strings.Contains(errs.String(), c.says) {
				t.Errorf("exit %d, want %d: %s%s", code, c.code, out.String(), errs.String())
			}
		})
	}
}
