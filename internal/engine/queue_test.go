package engine_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
)

// node-engine 12.3 case 3: with workers the places on them are filled first, then
// the queue, then requests are refused; without one there is the queue only.
func TestQueueLimit(t *testing.T) {
	profile := map[string]any{"concurrency": 2, "pool-limit": 2, "queue-limit": 1}
	t.Run("two workers", func(t *testing.T) {
		virtual(t, profile, func(r *rig) {
			r.pool(2)
			for range 5 {
				r.call("e")
			}
			r.wantCount(4, "load")
			r.wantCount(1, "queue", "depth")
			r.client.WantIdle()
			sixth := r.call("e")
			if text := r.client.WantError(sixth, idl.CategoryOverseer, idl.OverseerQueueFull); text != "queue is full" {
				t.Errorf("text is %q", text)
			}
			r.wantCount(1, "requests", "rejected")
			r.wantCount(5, "requests", "accepted")
			r.client.Close()
		})
	})
	t.Run("rate counts the refused", func(t *testing.T) {
		virtual(t, profile, func(r *rig) {
			r.pool(2)
			for range 6 {
				r.call("e")
			}
			wait(5 * time.Second)
			if rate := r.Info(1)["rate"].([]any)[0].(float64); rate != 1.2 {
				t.Errorf("rate is %v a second, want 6 in 5 s", rate)
			}
		})
	})
	t.Run("no worker", func(t *testing.T) {
		virtual(t, profile, func(r *rig) {
			r.call("e")
			r.client.WantError(r.call("e"), idl.CategoryOverseer, idl.OverseerQueueFull)
		})
	})
	t.Run("zero", func(t *testing.T) { // case 4
		virtual(t, map[string]any{"concurrency": 2, "pool-limit": 3, "queue-limit": 0}, func(r *rig) {
			for range 6 {
				r.call("e")
			}
			r.wantCount(6, "queue", "depth")
			r.client.WantError(r.call("e"), idl.CategoryOverseer, idl.OverseerQueueFull)
			r.wantStates(map[string]int{"handshaking": 3}) // one worker for two requests
			w := r.ready()
			w.Want(2, idl.WorkerInvoke, "e")
			w.Want(3, idl.WorkerInvoke, "e")
			r.client.WantError(r.call("e"), idl.CategoryOverseer, idl.OverseerQueueFull)
			r.client.Send(1, idl.Close)
			w.Send(2, idl.Close)
			r.client.Want(1, idl.Close)
			r.wantCount(2, "load")
			r.wantCount(3, "queue", "depth")
		})
	})
	t.Run("zero, grown step by step", func(t *testing.T) {
		virtual(t, map[string]any{"concurrency": 2, "pool-limit": 3, "queue-limit": 0}, func(r *rig) {
			r.call("e")
			r.ready()
			r.call("e") // the second place of the first worker
			r.notSpawned()
			r.call("e")
			r.ready()
			r.call("e")
			r.notSpawned()
			r.call("e")
			r.ready()
			r.wantCount(5, "load")
		})
	})
	t.Run("negative", func(t *testing.T) {
		virtual(t, map[string]any{"queue-limit": -1, "pool-limit": 1, "concurrency": 1000}, func(r *rig) {
			for range 1000 {
				r.call("e")
			}
			r.wantCount(1000, "queue", "depth")
			r.ready()
			r.wantCount(1000, "load")
			r.wantCount(0, "queue", "depth")
		})
	})
}

// A place that becomes free goes to the oldest request.
func TestQueueOrder(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 1, "pool-limit": 1}, func(r *rig) {
		for i := range 5 {
			r.call(fmt.Sprint(i), timeoutHeader(1e9))
		}
		w := r.ready()
		for i := range uint64(5) {
			w.Want(2+i, idl.WorkerInvoke, fmt.Sprint(i))
			w.WantIdle()
			w.Send(2+i, idl.Close)
			r.client.Want(1+i, idl.Close)
			w.WantIdle() // the client's half holds the place
			r.client.Send(1+i, idl.Close)
			w.Want(2+i, idl.Close)
		}
		r.wantCount(0, "load")
	})
}

// A request out of the middle of the queue leaves the others in their order.
func TestQueueWithoutItsMiddle(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 10, "pool-limit": 1}, func(r *rig) {
		r.call("0")
		r.call("1", timeoutHeader(10))
		r.call("2")
		r.call("3", timeoutHeader(20))
		r.call("4", timeoutHeader(10))
		wait(20 * time.Millisecond)
		for range 3 {
			r.client.Recv()
		}
		r.wantCount(2, "queue", "depth")
		r.call("5")
		w := r.ready()
		for i, event := range []string{"0", "2", "5"} {
			w.Want(uint64(2+i), idl.WorkerInvoke, event)
		}
		w.WantIdle()
	})
}

// Expiry needs no worker (node-engine 4.3: in the original events outlive their
// timeouts while all workers are dead or busy).
func TestExpiryWithoutWorker(t *testing.T) {
	virtual(t, map[string]any{"request-timeout": 3, "handshake-timeout": 100}, func(r *rig) {
		ch := r.call("e")
		wait(3 * time.Second)
		r.client.WantError(ch, idl.CategoryNode, idl.NodeDeadline)
		if age := r.count("queue", "oldest_event_age"); age != 0 {
			t.Errorf("age of the oldest event is %d ms, there is none", age)
		}
	})
}

// mib is a chunk of one MiB less some room for the frame.
var mib = string(bytes.Repeat([]byte{'x'}, 1<<20-64))

// What waits with a request is limited: beyond that its client is not read any
// more until the request is assigned, and nothing is lost or out of order.
func TestHeldChunksPauseTheClient(t *testing.T) {
	virtual(t, map[string]any{"handshake-timeout": 100}, func(r *rig) {
		ch := r.call("e")
		go func() { // a writer that is stopped by the full connection
			for i := range 8 {
				r.client.Send(ch, idl.Write, fmt.Sprint(i)+mib)
			}
			r.client.Send(ch, idl.Close)
		}()
		wait(20 * time.Second) // alone on its connection it may wait as long as it likes
		if n := r.client.Session().Buffered(); n != 0 {
			t.Errorf("session has %d bytes to send, want none", n)
		}
		w := r.ready()
		w.Want(2, idl.WorkerInvoke, "e")
		for i := range 8 {
			f := w.Recv()
			if s, ok := f.Values()[0].(string); !ok || s != fmt.Sprint(i)+mib {
				t.Fatalf("chunk %d is not what was sent", i)
			}
		}
		w.Want(2, idl.Close)
		r.wantCount(1, "load")
	})
}

// A request that fills its place in the queue must not hold up the others of its
// connection for ever: the one that has the worker may be among them, waiting for
// a frame behind. So it fails after a while.
func TestHeldChunksDoNotBlockNeighbours(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 1, "pool-limit": 1}, func(r *rig) {
		w := r.pool(1)[0]
		running, queued := r.call("running"), r.call("queued")
		w.Want(2, idl.WorkerInvoke, "running")
		go func() {
			r.client.Send(queued, idl.Write, mib)
			r.client.Send(queued, idl.Write, mib)
			r.client.Send(running, idl.Write, "behind")
			r.client.Send(running, idl.Close)
		}()
		wait(4 * time.Second)
		w.WantIdle()
		wait(time.Second)
		r.client.WantError(queued, idl.CategoryNode, idl.NodeNoResources)
		w.Want(2, idl.Write, "behind")
		w.Want(2, idl.Close)
		w.Send(2, idl.Close)
		r.client.Want(running, idl.Close)
		r.wantCount(0, "load")
		r.wantCount(0, "queue", "depth")
	})
}

// The same, but a worker has room in time: from then on the request's own deadline
// is in force again.
func TestHeldChunksGetAWorkerInTime(t *testing.T) {
	virtual(t, map[string]any{"concurrency": 2, "pool-limit": 1, "heartbeat-timeout": 3600}, func(r *rig) {
		w := r.pool(1)[0]
		other := r.dial()
		for i := range uint64(2) {
			other.Send(1+i, idl.AppEnqueue, "first")
			w.Want(2+i, idl.WorkerInvoke, "first")
		}
		small, big := r.call("small"), r.call("big", timeoutHeader(30000))
		go func() {
			r.client.Send(big, idl.Write, mib)
			r.client.Send(big, idl.Write, mib)
			r.client.Send(small, idl.Write, "behind")
		}()
		wait(4 * time.Second)
		other.Close()
		w.Recv() // the end of one of the first
		w.Want(4, idl.WorkerInvoke, "small")
		w.Recv() // and of the other
		w.Want(5, idl.WorkerInvoke, "big")
		w.Want(5, idl.Write, mib)
		w.Want(5, idl.Write, mib)
		w.Want(4, idl.Write, "behind")
		wait(25 * time.Second)
		r.client.WantIdle()
		wait(time.Second)
		r.client.WantError(big, idl.CategoryNode, idl.NodeWorkerTimeout)
	})
}

// The client of a paused request may be lost on it: the queue goes on.
func TestHeldChunksOfALostClient(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		ch := r.call("e")
		go func() { r.client.Send(ch, idl.Write, mib+mib) }()
		wait(time.Second)
		r.client.Close()
		w := r.ready()
		w.Want(2, idl.WorkerInvoke, "e")
		w.Recv()
		w.WantError(2, idl.CategoryStream, idl.StreamEOF)
		w.Send(2, idl.Close)
		r.wantCount(0, "load")
	})
}
