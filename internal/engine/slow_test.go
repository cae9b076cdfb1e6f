package engine_test

import (
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// slowClient is a client whose connection holds little. It reads when the test does.
func (r *rig) slowClient(stall time.Duration) *rpctest.Peer {
	return rpctest.New(r.t, rpctest.Options{Session: rpc.SessionOptions{
		Acceptor: engine.Service(r.Engine, rpc.MuxOptions{}), Buffer: 64 << 10, Stall: stall}})
}

// flood writes more to a client than its connection holds, until that is over.
func flood(w *worker, channel uint64) {
	frame := wire.AppendFrame(nil, wire.Frame{Channel: channel, Type: idl.Write, Args: w.Args(mib[:100<<10])})
	for range 4 {
		if _, err := w.Conn().Write(frame); err != nil {
			return
		}
	}
}

// While a client that does not read stops the reading of a worker's frames, the
// worker's heartbeats are not heard; that is not the worker's fault.
func TestSlowClientDoesNotKillTheWorker(t *testing.T) {
	virtual(t, map[string]any{"heartbeat-timeout": 3}, func(r *rig) {
		slow := r.slowClient(5 * time.Second)
		w := r.pool(1)[0]
		slow.Send(1, idl.AppEnqueue, "big")
		w.Want(2, idl.WorkerInvoke, "big")
		ch := r.call("small")
		w.Want(3, idl.WorkerInvoke, "small")
		go func() {
			flood(w, 2)
			w.Send(3, idl.Write, "here I am")
			for range 15 {
				w.Send(1, idl.WorkerHeartbeat)
				time.Sleep(time.Second)
			}
		}()
		wait(4 * time.Second)
		r.client.WantIdle()
		r.wantStates(map[string]int{"active": 1})
		wait(6 * time.Second) // the client is cut off, and everybody else goes on
		r.client.Want(ch, idl.Write, "here I am")
		wait(10 * time.Second)
		r.wantStates(map[string]int{"active": 1})
		r.wantCrashes(0)
		wait(15 * time.Second) // silence that is its own
		if c := r.crashOf(w); c.Code != codeHeartLate {
			t.Errorf("crash is %+v", c)
		}
	})
}

// Nor does the worker get new requests meanwhile, if there is another one.
func TestSlowClientDoesNotHoldUpNewRequests(t *testing.T) {
	virtual(t, nil, func(r *rig) {
		ws := r.pool(2)
		slow := r.slowClient(time.Hour)
		slow.Send(1, idl.AppEnqueue, "big")
		stuck, free := ws[1], ws[0] // the later one gets the first request
		stuck.Want(2, idl.WorkerInvoke, "big")
		go flood(stuck, 2)
		wait(time.Second)
		for i := range uint64(5) {
			r.call("small")
			free.Want(2+i, idl.WorkerInvoke, "small")
		}
		stuck.WantIdle()
	})
}
