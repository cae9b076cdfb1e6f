package rpc_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// serving is a Server on a listener in memory.
type serving struct {
	*rpc.Server
	ln     *faultnet.MemListener
	served chan error // what Serve returned
}

// serve runs a Server until the test ends. judge may be nil.
func serve(t *testing.T, ctx context.Context, a rpc.Acceptor, o rpc.ServerOptions, judge func(int) faultnet.Verdict) *serving {
	t.Helper()
	s := &serving{rpc.NewServer(o), faultnet.NewListener("service", faultnet.PipeOptions{}), make(chan error, 1)}
	var ln net.Listener = s.ln
	if judge != nil {
		ln = faultnet.WrapListener(ln, judge)
	}
	go func() { s.served <- s.Serve(ctx, ln, a) }()
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(now)
	})
	return s
}

// dial connects a Peer.
func (s *serving) dial(t *testing.T) *rpctest.Peer {
	t.Helper()
	conn, err := s.ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rpctest.Play(t, conn)
}

func TestServerOverSockets(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "s")
			}
			ln, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			srv := rpc.NewServer(rpc.ServerOptions{})
			var serving sync.WaitGroup
			serving.Go(func() {
				if err := srv.Serve(context.Background(), ln, kindMux(rpc.MuxOptions{})); err != nil {
					t.Errorf("Serve = %v", err)
				}
			})
			for range 3 {
				s, err := rpc.Dial(t.Context(), network, ln.Addr().String(), rpc.SessionOptions{})
				if err != nil {
					t.Fatal(err)
				}
				st, err := s.Call(t.Context(), kindInline, []byte{0x91, 0xa1, 'x'}, rpc.CallOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if m, err := st.Recv(t.Context()); err != nil || string(m.Args) != "\x91\xa1x" {
					t.Errorf("Recv = %v, %v", m, err)
				}
				if s.RemoteAddr().String() != ln.Addr().String() {
					t.Errorf("RemoteAddr() = %v, want %v", s.RemoteAddr(), ln.Addr())
				}
				defer s.Wait()
			}
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown of an idle server = %v", err)
			}
			serving.Wait()
			if n := srv.Sessions(); n != 0 || srv.Stats().Sessions.Load() != 0 {
				t.Errorf("%d sessions are left", n)
			}
			_, err = rpc.Dial(t.Context(), network, ln.Addr().String(), rpc.SessionOptions{})
			if err == nil || !strings.HasPrefix(err.Error(), "cannot connect to "+ln.Addr().String()) {
				t.Errorf("Dial after Shutdown = %v", err)
			}
		})
	}
}

// Shutdown lets calls finish and closes what is idle at once.
func TestShutdownDrains(t *testing.T) {
	gate := make(chan struct{})
	m := kindMux(rpc.MuxOptions{})
	m.Unary("unary", func(context.Context, *rpc.Call) ([]byte, error) { <-gate; return nil, nil })
	synctest.Test(t, func(t *testing.T) {
		gate = make(chan struct{})
		s := serve(t, t.Context(), m, rpc.ServerOptions{}, nil)
		idle, calling, streaming := s.dial(t), s.dial(t), s.dial(t)
		calling.Send(1, kindUnary)
		streaming.Send(1, kindTalk)
		idle.Send(1, idl.Ping)
		idle.Want(1, idl.Value)
		calling.WantIdle()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		idle.WantClosed()
		if err := <-s.served; err != nil {
			t.Errorf("Serve = %v", err)
		}
		calling.WantIdle()
		if _, err := s.ln.Dial(t.Context()); err == nil {
			t.Error("a new connection was taken during Shutdown")
		}
		close(gate)
		calling.Want(1, idl.Value)
		calling.WantClosed()
		streaming.Send(1, idl.Write, "still served")
		streaming.Want(1, idl.Write, "still served")
		select {
		case err := <-done:
			t.Fatalf("Shutdown = %v with a stream open", err)
		default:
		}
		streaming.Send(1, idl.Close)
		streaming.Want(1, idl.Close)
		streaming.WantClosed()
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("second Shutdown = %v", err)
		}
	})
}

// Shutdown waits no longer than its context, but always for the goroutines.
func TestShutdownGivesUp(t *testing.T) {
	ended := false
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Unary("unary", func(ctx context.Context, _ *rpc.Call) ([]byte, error) {
		<-ctx.Done()
		time.Sleep(time.Second)
		ended = true
		return nil, nil
	})
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, t.Context(), m, rpc.ServerOptions{}, nil)
		p := s.dial(t)
		p.Send(1, kindUnary)
		p.WantIdle()
		why := errors.New("no time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		start := time.Now()
		if err := s.Shutdown(ctx); err != why {
			t.Errorf("Shutdown = %v, want the context's cause", err)
		}
		if d := time.Since(start); d < time.Minute || !ended {
			t.Errorf("Shutdown returned after %v, method ended: %t", d, ended)
		}
		p.WantClosed()
	})
}

// The end of Serve's context ends the listener and every session.
func TestServeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := serve(t, ctx, kindMux(rpc.MuxOptions{}), rpc.ServerOptions{}, nil)
		p := s.dial(t)
		p.Send(1, kindTalk)
		p.WantIdle()
		cancel()
		if err := <-s.served; err != nil {
			t.Errorf("Serve = %v", err)
		}
		p.WantClosed()
		synctest.Wait()
		if n := s.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// A listener given to a server that has been shut down is closed.
func TestServeAfterShutdown(t *testing.T) {
	s := rpc.NewServer(rpc.ServerOptions{})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ln := faultnet.NewListener("late", faultnet.PipeOptions{})
	if err := s.Serve(t.Context(), ln, kindMux(rpc.MuxOptions{})); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, err := ln.Dial(t.Context()); err == nil {
		t.Error("the listener is open")
	}
}

// Connections over MaxSessions are closed; one that leaves makes room.
func TestMaxSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, t.Context(), kindMux(rpc.MuxOptions{}), rpc.ServerOptions{MaxSessions: 2}, nil)
		a, b, c := s.dial(t), s.dial(t), s.dial(t)
		c.WantClosed()
		a.WantIdle()
		b.WantIdle()
		if n := s.Sessions(); n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
		if n := s.Stats().Refused.Load(); n != 1 {
			t.Errorf("Refused = %d, want 1", n)
		}
		a.Close()
		synctest.Wait()
		d := s.dial(t)
		d.Send(1, idl.Ping)
		d.Want(1, idl.Value)
	})
}

// When the system is out of descriptors the server waits and goes on.
func TestAcceptErrorsThatPass(t *testing.T) {
	passing := []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := serve(t, t.Context(), kindMux(rpc.MuxOptions{}), rpc.ServerOptions{}, func(i int) faultnet.Verdict {
			if i < len(passing) {
				return faultnet.Verdict{Err: passing[i]}
			}
			return faultnet.Verdict{}
		})
		p := s.dial(t)
		p.Send(1, idl.Ping)
		p.Want(1, idl.Value)
		if d := time.Since(start); d < 50*time.Millisecond || d > 10*time.Second {
			t.Errorf("accepted after %v: the delays do not grow, or grow too far", d)
		}
	})
}

// During such a wait the server can be stopped.
func TestStopWhileAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		always := func(int) faultnet.Verdict { return faultnet.Verdict{Err: syscall.EMFILE} }
		ctx, cancel := context.WithCancel(t.Context())
		a := serve(t, ctx, kindMux(rpc.MuxOptions{}), rpc.ServerOptions{}, always)
		b := serve(t, t.Context(), kindMux(rpc.MuxOptions{}), rpc.ServerOptions{}, always)
		time.Sleep(time.Minute)
		cancel()
		_ = b.Shutdown(t.Context())
		for _, s := range []*serving{a, b} {
			if err := <-s.served; err != nil {
				t.Errorf("Serve = %v", err)
			}
		}
	})
}

// Any other failure of the listener ends Serve, and leaves the sessions.
func TestAcceptErrorThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, t.Context(), kindMux(rpc.MuxOptions{}), rpc.ServerOptions{}, func(i int) faultnet.Verdict {
			if i == 1 {
				return faultnet.Verdict{Err: syscall.EBADF}
			}
			return faultnet.Verdict{}
		})
		p := s.dial(t)
		if err := <-s.served; !errors.Is(err, syscall.EBADF) || !strings.HasPrefix(err.Error(), "cannot accept on service: ") {
			t.Errorf("Serve = %v", err)
		}
		p.Send(1, idl.Ping)
		p.Want(1, idl.Value)
	})
}

// Run ends with its context, and everything it started before it returns.
func TestRunContext(t *testing.T) {
	near, far := faultnet.Pipe(faultnet.PipeOptions{})
	s := rpc.NewSession(near, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	p := rpctest.Play(t, far)
	p.Send(1, idl.Ping)
	p.Want(1, idl.Value)
	if s.Err() != nil {
		t.Errorf("Err() = %v on a session that lives", s.Err())
	}
	select {
	case <-s.Done():
		t.Error("Done is closed on a session that lives")
	default:
	}
	cancel()
	if err := <-ended; !errors.Is(err, rpc.ErrClosed) || err != s.Err() {
		t.Errorf("Run = %v, Err() = %v, want ErrClosed", err, s.Err())
	}
	<-s.Done()
	s.Wait()
	if _, err := near.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returned before the connection was closed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after the end = %v", err)
	}
}

// Frames sent before Run are sent.
func TestSendBeforeRun(t *testing.T) {
	near, far := sockets(t, "unix")
	s := rpc.NewSession(near, rpc.SessionOptions{})
	if err := s.Send(nil, 1, 0, nil, nil); err != nil {
		t.Fatal(err)
	}
	p := rpctest.Play(t, far)
	p.Want(1, 0)
	p.Close()
	if err := s.Run(t.Context()); !errors.Is(err, rpc.ErrDisconnected) {
		t.Errorf("Run = %v, want ErrDisconnected", err)
	}
}

// Usage counts what clients open, what is open, and who was turned away; and forgets
// nothing with a session.
func TestUsageOfAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
		release := make(chan struct{})
		m.Unary("read", func(context.Context, *rpc.Call) ([]byte, error) {
			<-release
			return []byte{0x90}, nil
		})
		m.Inline("remove", func(context.Context, *rpc.Call) ([]byte, error) { return []byte{0x90}, nil })
		s := serve(t, t.Context(), m, rpc.ServerOptions{MaxSessions: 1}, nil)
		want := func(u rpc.Usage) {
			t.Helper()
			synctest.Wait()
			if have := s.Usage(); have != u {
				t.Errorf("usage is %+v, want %+v", have, u)
			}
		}
		want(rpc.Usage{})
		p := s.dial(t)
		p.Send(1, 2, "c", "k")
		p.Want(1, idl.Value)
		p.Send(2, 0, "c", "k")
		p.Send(3, 0, "c", "k")
		want(rpc.Usage{Accepted: 1, Sessions: 1, Opened: 3, Open: 2})
		s.dial(t).WantClosed()
		want(rpc.Usage{Accepted: 2, Sessions: 1, Opened: 3, Open: 2, Refused: 1})
		close(release)
		want(rpc.Usage{Accepted: 2, Sessions: 1, Opened: 3, Refused: 1})
		p.Close()
		want(rpc.Usage{Accepted: 2, Opened: 3, Refused: 1})
	})
}
