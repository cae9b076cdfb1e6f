package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// moody is an app that refuses the first calls, as the runtime does, and echoes
// the others.
type moody struct {
	refusals atomic.Int64 // still to be made
	calls    atomic.Int64
	refuse   func(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver
	echo     *rpc.Mux
}

func (m *moody) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	m.calls.Add(1)
	if m.refusals.Add(-1) >= 0 {
		return m.refuse(b, s, channel, f)
	}
	return m.echo.Accept(b, s, channel, f)
}

// byRuntime refuses with the proof that no worker has seen the call.
func byRuntime(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	return relay.Refuse(b, s, channel, f, rpc.Errorf(idl.CategoryOverseer, idl.OverseerQueueFull, "queue is full"))
}

// byWorker answers with the same error from a worker, which may have done anything.
func byWorker(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	_ = s.Send(b, channel, idl.StreamError, rpc.AppendError(nil, rpc.Errorf(idl.CategoryOverseer, idl.OverseerQueueFull, "queue is full")), nil)
	return nil
}

// byHangingUp ends the connection.
func byHangingUp(_ *rpc.Batch, s *rpc.Session, _ uint64, _ *rpc.Frame) rpc.Receiver {
	_ = s.Close()
	return nil
}

// withMoody runs a test in virtual time against an app called "node".
func withMoody(t *testing.T, refusals int64, refuse func(*rpc.Batch, *rpc.Session, uint64, *rpc.Frame) rpc.Receiver,
	policy cocaine.RetryPolicy, f func(t *testing.T, svc *cocaine.Service, m *moody)) {
	r := standin.New(t)
	r.Publish("node", idl.App, nodeAddr)
	synctest.Test(t, func(t *testing.T) {
		m := &moody{refuse: refuse, echo: app(echo)}
		m.refusals.Store(refusals)
		n := new(network)
		stopLocator := n.serve(locatorAddr, r.Acceptor())
		stopNode := n.serve(nodeAddr, m)
		client, err := cocaine.New(cocaine.Options{Locators: []string{locatorAddr}, Dial: n.dial, Logger: slog.New(slog.DiscardHandler), Retry: policy})
		if err != nil {
			t.Fatal(err)
		}
		f(t, client.Service("node"), m)
		client.Close()
		stopNode()
		stopLocator()
	})
}

var thrice = cocaine.RetryPolicy{Attempts: 3}

// every way of calling that repeats a refusal.
var ways = map[string]func(ctx context.Context, s *cocaine.Service) error{
	"Invoke": func(ctx context.Context, s *cocaine.Service) error {
		v, err := cocaine.Invoke[string](ctx, cocaine.AppOf(s), "e", "x")
		if err == nil && v != "x" {
			err = errors.New("got " + v)
		}
		return err
	},
	"InvokeStream": func(ctx context.Context, s *cocaine.Service) error {
		got, err := cocaine.Collect(cocaine.InvokeStream[string](ctx, cocaine.AppOf(s), "e", "x")) // to leave it early is a call of revoke
		if err == nil && !slices.Equal(got, []string{"x"}) {
			err = fmt.Errorf("got %q", got)
		}
		return err
	},
	"Exec": func(ctx context.Context, s *cocaine.Service) error { return cocaine.Exec(ctx, s, "enqueue", "e") },
	"Chunks": func(ctx context.Context, s *cocaine.Service) error {
		for _, err := range cocaine.Chunks[string](ctx, s, "enqueue", "e") {
			return err
		}
		return nil
	},
}

func TestRefusedCallIsRepeated(t *testing.T) {
	for name, call := range ways {
		t.Run(name, func(t *testing.T) {
			withMoody(t, 2, byRuntime, thrice, func(t *testing.T, svc *cocaine.Service, m *moody) {
				start := time.Now()
				if err := call(t.Context(), svc); err != nil {
					t.Error(err)
				}
				if n := m.calls.Load(); n != 3 {
					t.Errorf("%d calls were made, want 3", n)
				}
				if took := time.Since(start); took < 15*time.Millisecond || took > 30*time.Millisecond {
					t.Errorf("the repeats took %v, want between 5 and 10 ms, then between 10 and 20", took)
				}
			})
		})
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	withMoody(t, 1000, byRuntime, thrice, func(t *testing.T, svc *cocaine.Service, m *moody) {
		if err := ways["Invoke"](t.Context(), svc); !errors.Is(err, cocaine.ErrQueueFull) {
			t.Errorf("got %v", err)
		}
		if n := m.calls.Load(); n != 3 {
			t.Errorf("%d calls were made, want 3", n)
		}
	})
}

// The same answer from a worker proves nothing. Neither does a lost connection.
func TestNothingIsRepeatedWithoutProof(t *testing.T) {
	for name, refuse := range map[string]func(*rpc.Batch, *rpc.Session, uint64, *rpc.Frame) rpc.Receiver{"worker": byWorker, "loss": byHangingUp} {
		for how, call := range ways {
			t.Run(name+" "+how, func(t *testing.T) {
				withMoody(t, 1, refuse, thrice, func(t *testing.T, svc *cocaine.Service, m *moody) {
					if err := call(t.Context(), svc); !errors.Is(err, cocaine.ErrQueueFull) && !errors.Is(err, cocaine.ErrDisconnected) {
						t.Errorf("got %v", err)
					}
					if n := m.calls.Load(); n != 1 {
						t.Errorf("%d calls were made, want 1", n)
					}
				})
				withMoody(t, 1, refuse, thrice, func(t *testing.T, svc *cocaine.Service, m *moody) {
					if err := call(t.Context(), svc.With(cocaine.CallOptions{Idempotent: true})); err != nil {
						t.Errorf("an idempotent call: %v", err)
					}
					if n := m.calls.Load(); n != 2 {
						t.Errorf("%d idempotent calls were made, want 2", n)
					}
				})
			})
		}
	}
}

// Without a policy nothing that was sent is repeated, and no header asks for a proof.
func TestNothingIsRepeatedByDefault(t *testing.T) {
	withMoody(t, 1, func(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
		if len(f.Headers) > 0 {
			t.Errorf("the call has headers %q", f.Headers)
		}
		return byRuntime(b, s, channel, f)
	}, cocaine.RetryPolicy{}, func(t *testing.T, svc *cocaine.Service, m *moody) {
		if err := ways["Invoke"](t.Context(), svc.With(cocaine.CallOptions{Idempotent: true})); !errors.Is(err, cocaine.ErrQueueFull) {
			t.Errorf("got %v", err)
		}
		if n := m.calls.Load(); n != 1 {
			t.Errorf("%d calls were made, want 1", n)
		}
	})
}

// A handle may have a policy of its own.
func TestPolicyOfAHandle(t *testing.T) {
	withMoody(t, 4, byRuntime, cocaine.RetryPolicy{}, func(t *testing.T, svc *cocaine.Service, m *moody) {
		five := svc.With(cocaine.CallOptions{Retry: &cocaine.RetryPolicy{Attempts: 5}}).With(cocaine.CallOptions{})
		if err := ways["Invoke"](t.Context(), five); err != nil || m.calls.Load() != 5 {
			t.Errorf("%v after %d calls", err, m.calls.Load())
		}
	})
}

// However many calls fail, the repeats are a tenth of them, and a few more.
func TestRetryBudget(t *testing.T) {
	withMoody(t, 1<<40, byRuntime, thrice, func(t *testing.T, svc *cocaine.Service, m *moody) {
		const n = 1000
		for range n {
			if err := ways["Exec"](t.Context(), svc); !errors.Is(err, cocaine.ErrQueueFull) {
				t.Fatal(err)
			}
		}
		if repeats := m.calls.Load() - n; repeats < n/10 || repeats > n/10+10 {
			t.Errorf("%d calls were repeated %d times, want a tenth and 10 more", n, repeats)
		}
	})
}

// A repeat that would come after the deadline is not waited for; one that is waited
// for is given up with the context.
func TestRetryHeedsTheContext(t *testing.T) {
	slow := cocaine.RetryPolicy{Attempts: 3, Delay: time.Second}
	withMoody(t, 1000, byRuntime, slow, func(t *testing.T, svc *cocaine.Service, m *moody) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := ways["Invoke"](ctx, svc); !errors.Is(err, cocaine.ErrQueueFull) || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		err := ways["Invoke"](ctx, svc)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, cocaine.ErrQueueFull) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if n := m.calls.Load(); n != 2 {
			t.Errorf("%d calls were made, want 2", n)
		}
	})
}

// Every attempt tells how much time is left by then.
func TestRepeatTellsTheTimeLeft(t *testing.T) {
	var left []uint64
	withMoody(t, 2, func(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
		v, _ := hpack.Lookup(f.Headers, hpack.RequestTimeout)
		left = append(left, milliseconds(v))
		return byRuntime(b, s, channel, f)
	}, cocaine.RetryPolicy{Attempts: 3, Delay: time.Second, MaxDelay: time.Second}, func(t *testing.T, svc *cocaine.Service, _ *moody) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := ways["Invoke"](ctx, svc); err != nil {
			t.Error(err)
		}
	})
	if len(left) != 2 || left[0] != 10_000 || left[1] > 9_500 || left[1] < 9_000 {
		t.Errorf("the attempts told %v ms", left)
	}
}

// A call whose stream is in the caller's hands is not made again.
func TestStreamIsNotRepeated(t *testing.T) {
	withMoody(t, 1, byRuntime, thrice, func(t *testing.T, svc *cocaine.Service, m *moody) {
		st, err := svc.Call(t.Context(), "enqueue", "e")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		if _, err := st.Recv(t.Context()); !errors.Is(err, cocaine.ErrQueueFull) {
			t.Errorf("got %v", err)
		}
		if n := m.calls.Load(); n != 1 {
			t.Errorf("%d calls were made", n)
		}
	})
}

// Nor is one that has brought something already.
func TestBegunAnswerIsNotRepeated(t *testing.T) {
	var calls atomic.Int64
	inVirtualTime(t, app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		calls.Add(1)
		if err := s.Send(ctx, idl.Write, chunk("x")); err != nil {
			return err
		}
		return rpc.Errorf(idl.CategoryOverseer, idl.OverseerQueueFull, "queue is full")
	}), func(t *testing.T, svc *cocaine.Service) {
		svc = svc.With(cocaine.CallOptions{Retry: &thrice, Idempotent: true})
		var got []string
		var last error
		for v, err := range cocaine.Chunks[string](t.Context(), svc, "enqueue", "e") {
			got, last = append(got, v), err
		}
		if !slices.Equal(got, []string{"x", ""}) || !errors.Is(last, cocaine.ErrQueueFull) || calls.Load() != 1 {
			t.Errorf("got %q, %v in %d calls", got, last, calls.Load())
		}
	})
}

// A service that cannot be connected to is tried again; a name that nobody serves
// is not asked for again.
func TestConnectIsRepeated(t *testing.T) {
	inMemory(t, []string{"10.0.0.9:9"}, func(t *testing.T, n *network, client *cocaine.Client) {
		svc := client.Service("node").With(cocaine.CallOptions{Retry: &cocaine.RetryPolicy{Attempts: 4}})
		err := cocaine.Exec(t.Context(), svc, "list")
		if e, ok := errors.AsType[*cocaine.ConnectError](err); !ok || e.Service != "node" {
			t.Errorf("got %v", err)
		}
		if got := len(n.dials); got != 1+4 { // the locator's first
			t.Errorf("%d connections were tried, want 5", got)
		}
		stops := make(chan func(), 1)
		time.AfterFunc(20*time.Millisecond, func() { stops <- n.serve("10.0.0.9:9", standin.NodeList("back")) })
		defer func() { (<-stops)() }()
		patientSvc := client.Service("node").With(cocaine.CallOptions{Retry: &cocaine.RetryPolicy{Attempts: 8}})
		if apps, err := cocaine.Get[[]string](t.Context(), patientSvc, "list"); err != nil || apps[0] != "back" {
			t.Errorf("got %q, %v", apps, err)
		}
		_, err = cocaine.Get[any](t.Context(), client.Service("wat").With(cocaine.CallOptions{Retry: &thrice}), "list")
		if !errors.Is(err, cocaine.ErrServiceNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// With a policy, too, only what is idempotent may reach the service twice, however
// connections break.
func TestNoDoubleSendWithPolicy(t *testing.T) {
	r := standin.New(t)
	var arrived atomic.Int64
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { // takes calls, answers none and hangs up
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if n, _ := io.ReadAtLeast(conn, make([]byte, 1), 1); n > 0 {
				arrived.Add(1)
			}
			conn.Close()
		}
	}()
	defer func() { ln.Close(); <-served }()
	r.Publish("node", idl.NodeService, ln.Addr().String())
	client := newClient(t, r, func(o *cocaine.Options) { o.Retry = cocaine.RetryPolicy{Attempts: 5, Delay: time.Millisecond} })
	for i := range int64(20) {
		if _, err := client.Node().List(patient(t)); !errors.Is(err, cocaine.ErrDisconnected) {
			t.Fatal(err)
		}
		if got := arrived.Load(); got != i+1 {
			t.Fatalf("%d calls arrived, %d were made", got, i+1)
		}
	}
}
