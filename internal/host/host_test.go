package host_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/host"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// A rig is a host with a client, and as many workers as the test connects.
type rig struct {
	*host.Host
	t      *testing.T
	client *rpctest.Peer
}

// virtual runs a test with a host in a bubble of virtual time.
func virtual(t *testing.T, o host.Options, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{Host: host.New(o), t: t}
		t.Cleanup(func() { _ = r.Stop(ended()) })
		r.client = rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: r.Service()}})
		test(r)
	})
}

// ended is a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// connect connects a worker that has not said anything. The channel gets what Serve
// returns.
func (r *rig) connect() (*rpctest.Peer, <-chan error) {
	near, far := faultnet.Pipe(faultnet.PipeOptions{})
	served := make(chan error, 1)
	go func() { served <- r.Serve(context.Background(), far) }()
	return rpctest.Play(r.t, near), served
}

func (r *rig) worker(id string) (*rpctest.Peer, <-chan error) {
	w, served := r.connect()
	w.Send(1, idl.WorkerHandshake, id)
	synctest.Wait()
	return w, served
}

func TestQueueOutlivesWorkers(t *testing.T) {
	virtual(t, host.Options{Concurrency: 1}, func(r *rig) {
		r.client.Send(1, 0, "one")
		r.client.Send(2, 0, "two")
		first, served := r.worker("a")
		first.Want(2, 0, "one")
		first.Close()
		r.client.WantError(1, 5, 2)
		if err := <-served; err == nil {
			t.Error("a lost worker is no error")
		}
		second, served := r.worker("b")
		second.Want(2, 0, "two")
		second.Send(2, 2)
		r.client.Want(2, 2)
		r.client.Send(2, 2)
		second.Want(2, 2)
		second.Send(1, idl.WorkerTerminate, 1, "done")
		second.WantClosed()
		if err := <-served; err != nil {
			t.Errorf("a worker that left in order: %v", err)
		}
	})
}

func TestOneWorker(t *testing.T) {
	virtual(t, host.Options{UUID: "a"}, func(r *rig) {
		stranger, served := r.worker("b")
		stranger.WantClosed()
		if err := <-served; !errors.Is(err, host.ErrUnknown) {
			t.Errorf("got %v", err)
		}
		w, _ := r.worker("a")
		another, served := r.worker("a")
		another.WantClosed()
		if err := <-served; !errors.Is(err, host.ErrOccupied) {
			t.Errorf("got %v", err)
		}
		r.client.Send(1, 0, "event")
		w.Want(2, 0, "event")
	})
}

func TestHandshake(t *testing.T) {
	virtual(t, host.Options{HandshakeTimeout: time.Second}, func(r *rig) {
		mute, served := r.connect()
		start := time.Now()
		mute.WantClosed()
		if err := <-served; err == nil || time.Since(start) != time.Second {
			t.Errorf("a mute worker: %v after %v", err, time.Since(start))
		}
		confused, served := r.connect()
		confused.Send(1, idl.WorkerHandshake, 5)
		confused.WantClosed()
		if err := <-served; err == nil {
			t.Error("a worker without a name was served")
		}
	})
}

func TestSilence(t *testing.T) {
	virtual(t, host.Options{HeartbeatTimeout: time.Minute}, func(r *rig) {
		w, served := r.worker("a")
		for range 3 {
			time.Sleep(50 * time.Second)
			w.Send(1, idl.WorkerHeartbeat)
			w.Want(1, idl.WorkerHeartbeat)
		}
		start := time.Now()
		if err := <-served; !errors.Is(err, host.ErrSilent) || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestStop(t *testing.T) {
	virtual(t, host.Options{TerminateTimeout: time.Second}, func(r *rig) {
		w, served := r.worker("a")
		stopped := make(chan error, 1)
		go func() { stopped <- r.Stop(context.Background()) }()
		w.Want(1, idl.WorkerTerminate, 11, "overseer is shutting down")
		w.Close() // will do
		if err := <-served; err != nil {
			t.Errorf("Serve returned %v", err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Stop returned %v", err)
		}
		_, far := faultnet.Pipe(faultnet.PipeOptions{})
		if err := r.Serve(context.Background(), far); !errors.Is(err, host.ErrStopped) {
			t.Errorf("after Stop: %v", err)
		}
		if _, err := far.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the connection was left open: %v", err)
		}
	})
	virtual(t, host.Options{TerminateTimeout: time.Second, HeartbeatTimeout: time.Hour, HandshakeTimeout: time.Hour}, func(r *rig) {
		w, served := r.worker("a")
		_, unready := r.connect()
		r.client.Send(1, 0, "event")
		w.Want(2, 0, "event")
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute+time.Second {
			t.Errorf("with a request that does not end: %v after %v", err, time.Since(start))
		}
		r.client.WantError(1, 2, 125)
		if err := <-served; err == nil {
			t.Error("a worker that does not terminate is no error")
		}
		if err := <-unready; err == nil {
			t.Error("a worker that was not ready is no error")
		}
	})
}

func TestReady(t *testing.T) {
	virtual(t, host.Options{App: "app"}, func(r *rig) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := r.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		ready := make(chan error, 1)
		go func() { ready <- r.Ready(context.Background()) }()
		r.worker("a")
		if err := <-ready; err != nil {
			t.Error(err)
		}
	})
}

// A client whose data fills its place in the queue is not read.
func TestHeldDataIsBounded(t *testing.T) {
	virtual(t, host.Options{}, func(r *rig) {
		r.client.Send(1, 0, "event")
		written := make(chan int)
		chunk := r.client.Args(string(make([]byte, 32<<10)))
		go func() {
			n := 0
			for ; ; n++ {
				_ = r.client.Conn().SetWriteDeadline(time.Now().Add(time.Minute))
				if _, err := r.client.Conn().Write(append([]byte{0x94, 1, 0}, append(chunk, 0x90)...)); err != nil {
					break
				}
			}
			written <- n * len(chunk)
		}()
		if n := <-written; n < 1<<20 || n > 2<<20 {
			t.Errorf("%d bytes were taken", n)
		}
	})
}

func TestInfo(t *testing.T) {
	virtual(t, host.Options{Concurrency: 1, Queue: 5, Release: "7"}, func(r *rig) {
		w, _ := r.worker("a")
		r.client.Send(1, 0, "one")
		r.client.Send(2, 0, "two")
		w.Want(2, 0, "one")
		time.Sleep(2 * time.Second)
		info := r.Info()
		get := func(path ...string) any {
			var v any = info
			for _, key := range path {
				v = v.(map[string]any)[key]
			}
			return v
		}
		for _, c := range []struct {
			got, want any
		}{
			{get("release"), "7"}, {get("load"), 1}, {get("queue", "depth"), 1}, {get("queue", "capacity"), 5},
			{get("queue", "oldest_event_age"), int64(2000)}, {get("requests", "accepted"), uint64(2)}, {get("pool", "active"), 1},
			{get("pool", "slaves", "a", "pid"), os.Getpid()}, {get("pool", "slaves", "a", "load:tx"), int64(1)}, {get("health", "state"), "ok"},
		} {
			if c.got != c.want {
				t.Errorf("info says %v, want %v: %v", c.got, c.want, info)
			}
		}
		r.client.Send(3, 1) // info over the wire
		f := r.client.Recv()
		if f.Channel != 3 || f.Type != idl.Value || len(f.Values()) != 1 {
			t.Errorf("info answers %v", f)
		}
	})
}

func TestDirectory(t *testing.T) {
	d := host.NewDirectory("node-1")
	if err := d.Publish("mine", idl.Storage, "127.0.0.1:5", "[::1]:6"); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish("mine", idl.Storage, "nowhere"); err == nil {
		t.Error("an endpoint without a port was taken")
	}
	if err := d.Publish("mine", idl.Storage, "127.0.0.1:70000"); err == nil {
		t.Error("a port of 70000 was taken")
	}
	p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: d.Service()}})
	p.Send(1, idl.LocatorResolve, "mine")
	if f := p.Recv().String(); !strings.HasPrefix(f, `1 (0) [[["127.0.0.1", 5], ["::1", 6]], 1, {0: ["read", {}, {0: ["value", {}]`) {
		t.Errorf("resolve answers %s", f)
	}
	p.Send(2, idl.LocatorUUID)
	p.Want(2, idl.Value, "node-1")
	if at := d.Services()["mine"]; at != "127.0.0.1:5" || len(d.Names()) != 1 {
		t.Errorf("services are %v", d.Services())
	}
	d.Withdraw("mine")
	p.Send(3, idl.LocatorResolve, "mine")
	p.WantError(3, 10, 1)
	p.Send(4, idl.LocatorResolve, 5)
	p.WantError(4, 7, 2)
	p.Send(5, idl.LocatorCluster)
	p.Want(5, idl.Value, map[string]any{})
}
