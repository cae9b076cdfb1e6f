package rpctest_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers "uuid" with what it is and "resolve" with its first argument.
func echo() *rpc.Mux {
	m := rpc.NewMux(idl.Locator, rpc.MuxOptions{})
	m.Inline("resolve", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		if r.Bytes(); r.Err() != nil {
			return nil, rpc.BadArgs(c, r.Err())
		}
		return append([]byte(nil), c.Args...), nil
	})
	return m
}

func TestConversation(t *testing.T) {
	p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: echo()}})
	p.Send(1, idl.LocatorResolve, "storage")
	p.Want(1, idl.Value, "storage")
	p.Send(2, idl.LocatorResolve, 5)
	if text := p.WantError(2, idl.CategoryDispatch, idl.DispatchBadArgs); !strings.Contains(text, "resolve") {
		t.Errorf("error text %q does not name the method", text)
	}
	p.SendHeaders([]hpack.Header{{Name: "x", Value: "y"}}, 3, idl.LocatorResolve, "a")
	if f := p.Recv(); f.String() != `3 (0) ["a"]` || fmt.Sprint(f.Values()) != "[a]" {
		t.Errorf("got frame %v with values %v", f, f.Values())
	}
	_ = p.Session().Close()
	p.WantClosed()
}

func TestIdleInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: echo()}})
		p.WantIdle()
		p.Send(1, idl.LocatorResolve, "a")
		p.Want(1, idl.Value, "a")
		p.WantIdle()
	})
}

func TestPairTalks(t *testing.T) {
	client, _ := rpctest.Pair(t, rpc.SessionOptions{}, rpc.SessionOptions{Acceptor: echo()})
	s, err := client.Call(t.Context(), idl.LocatorResolve, []byte{0x91, 0xa1, 'x'}, rpc.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(t.Context()); err != nil || string(m.Args) != "\x91\xa1x" {
		t.Errorf("Recv = %q, %v", m.Args, err)
	}
}

// verdict is a testing.TB that remembers a failure instead of having one.
type verdict struct {
	testing.TB
	mu   sync.Mutex
	text string
}

func (v *verdict) Helper() {}

func (v *verdict) Fatalf(format string, args ...any) {
	v.mu.Lock()
	v.text = fmt.Sprintf(format, args...)
	v.mu.Unlock()
	runtime.Goexit()
}

// failure runs f with a Peer whose other end says what was written to it, and
// returns how it failed.
func failure(t *testing.T, said []byte, closed bool, f func(p *rpctest.Peer)) string {
	t.Helper()
	v := &verdict{TB: t}
	near, far := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = far.Write(said)
		if closed {
			_ = far.Close()
		}
	})
	wg.Go(func() {
		defer near.Close()
		f(rpctest.Play(v, near))
	})
	wg.Wait()
	_ = far.Close()
	return v.text
}

// The harness must be able to fail.
func TestExpectationsFail(t *testing.T) {
	value := []byte{0x94, 1, 0, 0x91, 0xa1, 'a', 0x90}
	tests := []struct {
		name   string
		said   []byte
		closed bool
		want   func(p *rpctest.Peer)
		text   string
	}{
		{"other args", value, false, func(p *rpctest.Peer) { p.Want(1, 0, "b") }, `got  frame 1 (0) ["a"]`},
		{"other type", value, false, func(p *rpctest.Peer) { p.Want(1, 1, "a") }, "want frame 1 (1)"},
		{"other channel", value, false, func(p *rpctest.Peer) { p.Want(2, 0, "a") }, "want frame 2 (0)"},
		{"no error", value, false, func(p *rpctest.Peer) { p.WantError(1, 7, 5) }, "want error [7, 5]"},
		{"frame before the end", value, true, func(p *rpctest.Peer) { p.WantClosed() }, "want the connection closed"},
		{"half a frame", value[:3], true, func(p *rpctest.Peer) { p.WantClosed() }, "inside a frame"},
		{"end instead of frame", nil, true, func(p *rpctest.Peer) { p.Want(1, 0) }, "got none"},
		{"no frame at all", []byte{0xc1}, false, func(p *rpctest.Peer) { p.Recv() }, "no frame"},
		{"bad argument", value, false, func(p *rpctest.Peer) { p.Send(1, 0, struct{}{}) }, "cannot encode argument"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := failure(t, tt.said, tt.closed, tt.want); !strings.Contains(got, tt.text) {
				t.Errorf("failure is %q, want %q in it", got, tt.text)
			}
		})
	}
}

func TestWantIdleFails(t *testing.T) {
	tests := []struct {
		name string
		do   func(p *rpctest.Peer)
		text string
	}{
		{"frame", func(p *rpctest.Peer) { p.Send(1, idl.LocatorResolve, "a") }, `got frame 1 (0) ["a"]`},
		{"closed", func(p *rpctest.Peer) { p.Write([]byte{0xc1}) }, "connection ended"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &verdict{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					p := rpctest.New(v, rpctest.Options{Session: rpc.SessionOptions{Acceptor: echo()}})
					tt.do(p)
					p.WantIdle()
				}()
				<-done
				if !strings.Contains(v.text, tt.text) {
					t.Errorf("failure is %q, want %q in it", v.text, tt.text)
				}
			})
		})
	}
}
