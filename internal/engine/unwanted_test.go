package engine_test

import (
	"context"
	"net"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// hearing makes a worker ready that says that it understands revoke.
func (r *rig) hearing() *worker {
	r.t.Helper()
	w := r.connect(r.spawned())
	w.SendHeaders([]hpack.Header{{Name: relay.RevokeHeader, Value: "1"}}, 1, idl.WorkerHandshake, w.Worker)
	synctest.Wait()
	return w
}

// whole makes a request of one chunk. It arrives in one piece, or frame by frame.
func (r *rig) whole(piecemeal bool) (channel uint64) {
	r.t.Helper()
	if piecemeal {
		channel = r.call("e")
	} else {
		r.calls++
		channel = r.calls
		r.client.Send(channel, idl.AppEnqueue, "e")
	}
	r.client.Send(channel, idl.Write, "x")
	r.client.Send(channel, idl.Close)
	synctest.Wait()
	return channel
}

// revoke gives a call up.
func (r *rig) revoke(channel uint64) {
	r.t.Helper()
	r.calls++
	r.client.Send(r.calls, idl.Revoke, channel, []any{2, 125})
	r.client.Want(r.calls, idl.Value)
	synctest.Wait()
}

// wantRequest reads a whole request.
func (w *worker) wantRequest(channel uint64) {
	w.Want(channel, idl.WorkerInvoke, "e")
	w.Want(channel, idl.Write, "x")
	w.Want(channel, idl.Close)
}

// A caller that gives up after its end of the stream: a worker that understands it is
// told, any other sees nothing. What either still sends goes nowhere, and the place is
// taken until it has ended its half.
func TestRevokeAtTheWorker(t *testing.T) {
	for _, hears := range []bool{true, false} {
		for _, piecemeal := range []bool{true, false} {
			virtual(t, map[string]any{"pool-min": 1}, func(r *rig) {
				var w *worker
				if hears {
					w = r.hearing()
				} else {
					w = r.ready()
				}
				ch := r.whole(piecemeal)
				w.wantRequest(2)
				w.Send(2, idl.Write, "heard")
				r.client.Want(ch, idl.Write, "heard")
				r.revoke(ch)
				next := uint64(3)
				if hears {
					w.Want(3, idl.Revoke, 2, []any{2, 125})
					next++
				}
				r.revoke(ch) // once is enough
				r.wantCount(1, "load")
				w.Send(2, idl.Write, "unheard")
				w.Send(2, idl.Close)
				r.wantCount(0, "load")
				ch = r.whole(piecemeal)
				w.wantRequest(next)
				w.Send(next, idl.Write, "y")
				w.Send(next, idl.Close)
				r.client.Want(ch, idl.Write, "y") // and nothing of the one before
				r.client.Want(ch, idl.Close)
				r.revoke(ch) // of what is answered
				r.wantCount(0, "load")
				if n := r.client.Session().Channels(); n != 0 {
					t.Errorf("the client's session has %d channels", n)
				}
				w.WantIdle()
				r.client.WantIdle()
			})
		}
	}
}

// A worker may end the half of a request that nobody waits for in any way, and die.
func TestRevokedEnds(t *testing.T) {
	for name, end := range map[string]func(r *rig, w *worker){
		"error":    func(_ *rig, w *worker) { w.Send(2, idl.StreamError, []any{42, 100}, "gave up") },
		"close":    func(_ *rig, w *worker) { w.Send(2, idl.Close) },
		"whole":    func(_ *rig, w *worker) { w.Send(2, idl.Write, "late"); w.Send(2, idl.Close) },
		"nonsense": func(_ *rig, w *worker) { w.Send(2, 9) },
		"answers":  func(_ *rig, w *worker) { w.Send(3, idl.Value); w.Send(2, idl.Close) }, // the revoke, which wants none
		"timeout":  func(*rig, *worker) { wait(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, map[string]any{"pool-min": 1, "request-timeout": 60, "heartbeat-timeout": 1e6}, func(r *rig) {
				w := r.hearing()
				r.revoke(r.whole(false))
				w.wantRequest(2)
				w.Want(3, idl.Revoke, 2, []any{2, 125})
				end(r, w)
				r.wantCount(0, "load")
				w.WantIdle()
				r.client.WantIdle()
			})
		})
	}
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		r.revoke(r.whole(false))
		w.Close()
		r.wantCount(0, "load")
		r.client.WantIdle()
	})
}

// What waits in the queue leaves it at once. Of those around it none is touched.
func TestRevokeInTheQueue(t *testing.T) {
	for _, piecemeal := range []bool{true, false} {
		virtual(t, nil, func(r *rig) {
			first, second, third := r.whole(piecemeal), r.whole(piecemeal), r.whole(piecemeal)
			r.wantCount(3, "queue", "depth")
			r.revoke(second)
			r.wantCount(2, "queue", "depth")
			w := r.hearing()
			w.wantRequest(2)
			w.wantRequest(3)
			w.Send(2, idl.Close)
			w.Send(3, idl.Close)
			r.client.Want(first, idl.Close)
			r.client.Want(third, idl.Close)
			r.wantCount(0, "load")
			w.WantIdle()
		})
	}
}

// A client that is lost has given up everything that it had said to its end. What it
// had not is as it was: TestClientGone.
func TestLostClientGivesUp(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 2, "pool-limit": 1}, func(r *rig) {
		lost, stays := r.client, r.dial()
		r.whole(false)
		w := r.hearing()
		w.wantRequest(2)
		stays.Send(1, idl.AppEnqueue, "e")
		stays.Send(1, idl.Write, "x")
		stays.Send(1, idl.Close)
		w.wantRequest(3)
		r.whole(false)
		r.whole(true)
		stays.Send(2, idl.AppEnqueue, "e")
		stays.Send(2, idl.Write, "x")
		stays.Send(2, idl.Close)
		r.wantCount(3, "queue", "depth")
		lost.Close()
		w.Want(4, idl.Revoke, 2, []any{5, 2})
		r.wantCount(1, "queue", "depth")
		w.Send(2, idl.Write, "into the void")
		w.Send(2, idl.Close)
		w.wantRequest(5)
		w.Send(3, idl.Close)
		w.Send(5, idl.Close)
		stays.Want(1, idl.Close)
		stays.Want(2, idl.Close)
		r.wantCount(0, "load")
		w.WantIdle()
	})
}

// Programs that say what they want and hang up are served by workers of old frameworks.
func TestLostClientIsServed(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 1, "pool-limit": 1}, func(r *rig) {
		w := r.pool(1)[0]
		r.whole(false)
		w.wantRequest(2)
		r.whole(false)
		r.wantCount(1, "queue", "depth")
		r.client.Close()
		r.wantCount(1, "queue", "depth")
		w.Send(2, idl.Close)
		w.wantRequest(3)
		w.Send(3, idl.Close)
		r.wantCount(0, "load")
		w.WantIdle()
	})
}

// Revoking what the engine does not know, very often, is forgotten at once.
func TestFloodOfRevokes(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		w := r.pool(1)[0]
		ch := r.whole(false)
		w.wantRequest(2)
		flood := func(target func(i uint64) uint64) {
			for range 10 {
				var frames []byte
				for range 1000 {
					r.calls++
					frames = appendFrame(frames, r.calls, idl.Revoke, target(r.calls), []any{2, 125})
				}
				r.client.Write(frames)
				for range 1000 {
					if f := r.client.Recv(); f.Type != idl.Value {
						t.Fatalf("revoke is answered with %v", f)
					}
				}
			}
			wait(time.Second)
		}
		flood(func(uint64) uint64 { return 1 << 40 })
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		flood(func(uint64) uint64 { return 1 << 40 })           // never opened
		flood(func(i uint64) uint64 { return ch + 1 + i%1000 }) // over
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
			t.Errorf("20000 revokes have left %d bytes", grown)
		}
		if n := r.client.Session().Channels(); n != 0 {
			t.Errorf("%d channels are open", n)
		}
		w.Send(2, idl.Close)
		r.client.Want(ch, idl.Close)
		r.wantCount(0, "load")
	})
}

// While very many requests wait, sweeps keep a distance; nothing is forgotten for that.
func TestSweepsKeepTheirDistance(t *testing.T) {
	const waiting = 3000
	virtual(t, map[string]any{"queue-limit": -1}, func(r *rig) {
		for range waiting {
			r.calls++
			r.client.Send(r.calls, idl.AppEnqueue, "e")
			r.client.Send(r.calls, idl.Close)
		}
		r.wantCount(waiting, "queue", "depth")
		for i := range 10 {
			r.revoke(uint64(1 + i))
		}
		r.wantCount(waiting-1, "queue", "depth")
		wait(time.Second)
		r.wantCount(waiting-10, "queue", "depth")
		other := r.dial()
		for i := range 5 {
			other.Send(uint64(1+i), idl.AppEnqueue, "e")
			other.Send(uint64(1+i), idl.Close)
		}
		r.wantCount(waiting-5, "queue", "depth")
		r.revoke(100)
		r.client.Close()
		other.Close()
		wait(time.Second)
		r.wantCount(waiting-6, "queue", "depth") // who has gone away is served: the workers may be of an old framework
	})
}

// A stage is an engine on real sockets. The processes of its workers are the test's.
type stage struct {
	*rig
	socket string
	addr   string // of the app's service
}

func newStage(t *testing.T, profile map[string]any) *stage {
	s := &stage{socket: filepath.Join(t.TempDir(), "workers")}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	s.rig = newRig(t, profile, func(o *engine.Options) {
		o.Listen = func(string) (net.Listener, error) { return net.Listen("unix", s.socket) }
	})
	server := rpc.NewServer(rpc.ServerOptions{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(context.Background(), ln, engine.Service(s.Engine, rpc.MuxOptions{}))
	}()
	t.Cleanup(func() {
		_ = server.Shutdown(canceled())
		<-done
	})
	return s
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func (s *stage) dial(network, addr string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// worker connects the next process that was started.
func (s *stage) worker() (p *process, conn net.Conn) {
	s.t.Helper()
	select {
	case p = <-s.iso.started:
	case <-time.After(rpctest.Patience):
		s.t.Fatal("no process was started")
	}
	conn = s.dial("unix", s.socket)
	p.owns(conn)
	return p, conn
}

// await waits until the engine has nothing left to do.
func (s *stage) await() {
	s.t.Helper()
	for began := time.Now(); s.Pending() > 0; runtime.Gosched() {
		if time.Since(began) > rpctest.Patience {
			s.t.Fatalf("%d requests are left", s.Pending())
		}
	}
}

// The same on real sockets: a client revokes, and is cut off.
func TestGivenUpOnSockets(t *testing.T) {
	for _, hears := range []bool{true, false} {
		s := newStage(t, map[string]any{"pool-min": 1, "pool-limit": 1})
		p, conn := s.worker()
		w := rpctest.Play(t, conn)
		var hs []hpack.Header
		if hears {
			hs = []hpack.Header{{Name: relay.RevokeHeader, Value: "1"}}
		}
		w.SendHeaders(hs, 1, idl.WorkerHandshake, p.Worker)
		next := uint64(2)
		request := func(c *rpctest.Peer, channel uint64) {
			c.Send(channel, idl.AppEnqueue, "e")
			c.Send(channel, idl.Write, "x")
			c.Send(channel, idl.Close)
			w.Want(next, idl.WorkerInvoke, "e")
			w.Want(next, idl.Write, "x")
			w.Want(next, idl.Close)
			next++
		}
		told := func(channel uint64, category, code int) {
			if hears {
				w.Want(next, idl.Revoke, channel, []any{category, code})
				next++
			}
		}
		client := rpctest.Play(t, s.dial("tcp", s.addr))
		request(client, 1)
		client.Send(2, idl.Revoke, 1, []any{2, 125})
		client.Want(2, idl.Value)
		told(2, 2, 125)
		second := next
		request(client, 3)
		client.Close()
		told(second, 5, 2)
		other := rpctest.Play(t, s.dial("tcp", s.addr))
		third := next
		request(other, 1) // a worker that is not told sees this one next
		for _, channel := range []uint64{2, second, third} {
			w.Send(channel, idl.Write, "y")
			w.Send(channel, idl.Close)
		}
		other.Want(1, idl.Write, "y")
		other.Want(1, idl.Close)
		s.await()
		p.end(isolate.Exit{})
	}
}

// quick is a worker that answers everything at once.
type quick struct{ revokes atomic.Int64 }

func (q *quick) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	if f.Type == idl.Revoke {
		q.revokes.Add(1)
		return nil
	}
	_ = s.Send(b, channel, idl.Write, []byte{0x91, 0xa1, 'y'}, nil)
	_ = s.Send(b, channel, idl.Close, nil, nil)
	return rpc.Discard(idl.App.Method("enqueue").Next)
}

// Revokes that race with answers and with the end of the client do no harm: every
// request ends, no place is lost, and the worker is told nothing of what it has answered.
func TestRevokeRacesWithAnswers(t *testing.T) {
	s := newStage(t, map[string]any{"pool-min": 1, "pool-limit": 1, "concurrency": 10, "queue-limit": -1})
	p, conn := s.worker()
	q := new(quick)
	w := rpc.Start(conn, rpc.SessionOptions{Acceptor: q})
	hello := msgpack.AppendString(msgpack.AppendArray(nil, 1), p.Worker)
	if _, err := w.Open(nil, nil, idl.WorkerHandshake, hello, relay.RevokeHeaders()); err != nil {
		t.Fatal(err)
	}
	const calls = 1000
	for range 5 {
		client := rpctest.Play(t, s.dial("tcp", s.addr))
		var frames []byte
		for i := range uint64(calls) {
			frames = appendFrame(frames, 2*i+1, idl.AppEnqueue, "e")
			frames = appendFrame(frames, 2*i+1, idl.Close)
			frames = appendFrame(frames, 2*i+2, idl.Revoke, 2*i+1, []any{2, 125})
		}
		client.Write(frames)
		for revoked := 0; revoked < calls; {
			if f := client.Recv(); f.Channel%2 == 0 {
				revoked++
			}
		}
		client.Write(appendFrame(nil, 5*calls, idl.AppEnqueue, "e"))
		client.Close()
	}
	s.await()
	for began := time.Now(); w.Channels() > 0; runtime.Gosched() { // it may not have read the last ends yet
		if time.Since(began) > rpctest.Patience {
			t.Fatalf("the worker has %d open channels", w.Channels())
		}
	}
	if got := s.count("pool", "total:crashed"); got > 0 {
		t.Errorf("%d workers have crashed", got)
	}
	p.end(isolate.Exit{})
	_ = w.Close()
	w.Wait()
}

// appendFrame appends a frame without headers.
func appendFrame(dst []byte, channel, typ uint64, args ...any) []byte {
	b := msgpack.AppendArray(nil, len(args))
	for _, v := range args {
		b, _ = msgpack.AppendValue(b, v) // of types that it takes
	}
	return wire.AppendFrame(dst, wire.Frame{Channel: channel, Type: typ, Args: b})
}
