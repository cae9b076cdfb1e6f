package tlsconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/tlsconn/tlstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type address string

func (a address) conn(local string) net.Conn {
	return addressed{remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(string(a))), local: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(local))}
}

type addressed struct {
	net.Conn
	remote, local net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }
func (a addressed) LocalAddr() net.Addr  { return a.local }

func TestIsLocal(t *testing.T) {
	for _, c := range []struct {
		remote, local string
		want          bool
	}{
		{"127.0.0.1:5000", "127.0.0.1:10053", true},
		{"127.9.9.9:5000", "127.0.0.1:10053", true},
		{"[::1]:5000", "[::1]:10053", true},
		{"[::ffff:127.0.0.1]:5000", "[::ffff:127.0.0.1]:10053", true},
		{"10.0.0.5:5000", "10.0.0.5:10053", true},
		{"[::ffff:10.0.0.5]:5000", "10.0.0.5:10053", true},
		{"10.0.0.6:5000", "10.0.0.5:10053", false},
		{"10.0.0.6:10053", "10.0.0.5:10053", false},
		{"[2001:db8::1]:5000", "[2001:db8::2]:10053", false},
	} {
		if got := isLocal(address(c.remote).conn(c.local)); got != c.want {
			t.Errorf("from %s to %s: %v", c.remote, c.local, got)
		}
	}
	a, b := net.Pipe()
	a.Close()
	b.Close()
	if isLocal(a) {
		t.Error("a pipe comes from nowhere")
	}
}

// echo serves a listener whose connections are taken for local ones, or not.
func echo(t *testing.T, s Server, local bool) string {
	t.Helper()
	c, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := Listen(plain, c)
	ln.(*listener).local = func(net.Conn) bool { return local }
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn) // one after the other; who fails has gone
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// talk sends something and reads it back.
func talk(t *testing.T, c Client, address string) error {
	t.Helper()
	dial, err := c.Dial()
	if err != nil {
		return err
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	text := bytes.Repeat([]byte("\x94text"), 10_000)
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(text)
		sent <- err
	}()
	got := make([]byte, len(text))
	_, err = io.ReadFull(conn, got)
	if err != nil {
		conn.Close()
	}
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	if !bytes.Equal(got, text) {
		t.Error("it came back changed")
	}
	return nil
}

func TestListener(t *testing.T) {
	dir := t.TempDir()
	ca := tlstest.NewAuthority(t, dir, "ca")
	other := tlstest.NewAuthority(t, dir, "other")
	cert, key := ca.Issue(t, "server", "box", "127.0.0.1")
	mine, mineKey := ca.Issue(t, "client", "ann")
	foreign, foreignKey := other.Issue(t, "foreign", "ann")
	for _, c := range []struct {
		name   string
		server Server
		local  bool
		client Client
		ok     bool
	}{
		{"remote", Server{Cert: cert, Key: key}, false, Client{CA: ca.File}, true},
		{"remote by name", Server{Cert: cert, Key: key}, false, Client{CA: ca.File, Name: "box"}, true},
		{"remote by a wrong name", Server{Cert: cert, Key: key}, false, Client{CA: ca.File, Name: "bax"}, false},
		{"remote by another authority", Server{Cert: cert, Key: key}, false, Client{CA: other.File}, false},
		{"remote by those of the system", Server{Cert: cert, Key: key}, false, Client{CA: SystemCA}, false},
		{"remote without TLS", Server{Cert: cert, Key: key}, false, Client{}, false},
		{"local", Server{Cert: cert, Key: key}, true, Client{CA: ca.File}, true},
		{"local without TLS", Server{Cert: cert, Key: key}, true, Client{}, true},
		{"client certificate", Server{cert, key, ca.File}, false, Client{CA: ca.File, Cert: mine, Key: mineKey}, true},
		{"no client certificate", Server{cert, key, ca.File}, false, Client{CA: ca.File}, false},
		{"client certificate of another authority", Server{cert, key, ca.File}, false, Client{CA: ca.File, Cert: foreign, Key: foreignKey}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := talk(t, c.client, echo(t, c.server, c.local)); (err == nil) != c.ok {
				t.Errorf("have %v", err)
			}
		})
	}
}

// A new certificate counts for the next connection; one that cannot be read does not.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	first, second := tlstest.NewAuthority(t, dir, "first"), tlstest.NewAuthority(t, dir, "second")
	cert, key := first.Issue(t, "server", "127.0.0.1")
	at := echo(t, Server{Cert: cert, Key: key}, false)
	if err := talk(t, Client{CA: first.File}, at); err != nil {
		t.Fatal(err)
	}
	touch := func(age time.Duration) {
		t.Helper()
		for _, path := range []string{cert, key} {
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(age)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(time.Hour)
	if err := talk(t, Client{CA: first.File}, at); err != nil {
		t.Errorf("after a half one: %v", err)
	}
	second.Issue(t, "server", "127.0.0.1")
	touch(2 * time.Hour)
	if err := talk(t, Client{CA: second.File}, at); err != nil {
		t.Errorf("after a new one: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	ca := tlstest.NewAuthority(t, dir, "ca")
	cert, key := ca.Issue(t, "server", "127.0.0.1")
	none := filepath.Join(dir, "none")
	if _, err := (Server{Cert: none, Key: key}).Config(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no certificate: %v", err)
	}
	if _, err := (Server{Cert: cert, Key: key, ClientCA: none}).Config(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no authority of clients: %v", err)
	}
	if _, err := (Server{Cert: cert, Key: key, ClientCA: key}).Config(); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("a key for an authority: %v", err)
	}
	if _, err := (Client{Name: "box"}).Dial(); err == nil {
		t.Error("TLS without an authority")
	}
	if _, err := (Client{CA: none}).Dial(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no authority: %v", err)
	}
	if _, err := (Client{CA: ca.File, Cert: cert}).Dial(); err == nil {
		t.Error("a certificate without its key")
	}
}

// To wait for who says nothing can be cut short, and begun again.
func TestSilentPeer(t *testing.T) {
	near, far := net.Pipe()
	e := &either{Conn: far, config: new(tls.Config)}
	if err := e.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v", err)
	}
	if err := e.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = near.Write([]byte("late"))
	}()
	got := make([]byte, 4)
	if _, err := io.ReadFull(e, got); err != nil || string(got) != "late" {
		t.Errorf("Read = %q, %v", got, err)
	}
	<-done
	near.Close()
	far.Close()
}
