package cocaine_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// A sideline is a client that is connected to one service, whose part the test
// plays frame by frame.
type sideline struct {
	*rpctest.Peer
	client *cocaine.Client
	sent   *recording // all that the client has sent to the service
}

// play connects a client to a service of the test. The protocol tells the client
// what the service can do.
func play(t *testing.T, name string, p *idl.Protocol) *sideline {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	o := cocaine.Options{Locators: []string{ln.Addr().String()}, Logger: slog.New(slog.DiscardHandler)}
	if name != "locator" {
		r := standin.New(t)
		r.Publish(name, p, ln.Addr().String())
		o.Locators = []string{r.Locator()}
	}
	sent := new(recording)
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil && addr == ln.Addr().String() {
			conn = recorded{conn, sent}
		}
		return conn, err
	}
	client, err := cocaine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Service(name).Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	if err := ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return &sideline{rpctest.Play(t, conn), client, sent}
}

// recording is what was written to a connection.
type recording struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *recording) hex() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return hex.EncodeToString(r.b.Bytes())
}

type recorded struct {
	net.Conn
	to *recording
}

func (c recorded) Write(p []byte) (int, error) {
	c.to.mu.Lock()
	c.to.b.Write(p)
	c.to.mu.Unlock()
	return c.Conn.Write(p)
}

// wantBytes fails the test unless these and no other bytes were sent. Blanks in
// the hex are for people.
func (s *sideline) wantBytes(t *testing.T, want string) {
	t.Helper()
	if got := s.sent.hex(); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("sent %s\nwant %s", got, want)
	}
}

// background runs what the test answers.
func background[T any](f func() (T, error)) <-chan cocaine.Result[T] {
	c := make(chan cocaine.Result[T], 1)
	go func() {
		v, err := f()
		c <- cocaine.Result[T]{Value: v, Err: err}
	}()
	return c
}
