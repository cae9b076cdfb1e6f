package host

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// service is the service of an app: enqueue, info, control.
func (h *Host) service() *rpc.Mux {
	m := rpc.NewMux(idl.App, rpc.MuxOptions{Log: h.log})
	m.Raw("enqueue", h)
	m.Inline("info", func(context.Context, *rpc.Call) ([]byte, error) {
		return msgpack.AppendValue(msgpack.AppendArray(nil, 1), h.Info())
	})
	m.Stream("control", serveControl)
	return m
}

// serveControl takes the wanted sizes of a pool, which is of one and stays so.
func serveControl(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
	for {
		m, err := s.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r := msgpack.NewReader(m.Args)
		r.Array()
		if r.Int(); r.Err() != nil {
			return rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode arguments of control: want one number")
		}
	}
}

// Info is the report that the app's info and node.info give, with the engine's
// keys; figures that a host does not measure are left out. A worker has the pid of
// this process.
func (h *Host) Info() map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	slaves := make(map[string]any)
	busy, load := 0, 0
	if w := h.worker; w != nil {
		slaves[w.id] = w.info(now)
		if load = len(w.requests); load > 0 {
			busy = 1
		}
	}
	oldest := int64(0)
	if len(h.queue) > 0 {
		oldest = now.Sub(h.queue[0].born).Milliseconds()
	}
	return map[string]any{
		"uptime":  int64(now.Sub(h.born).Seconds()),
		"profile": map[string]any{"name": ""},
		"release": h.o.Release,
		"requests": map[string]any{
			"accepted": h.counts.accepted, "rejected": h.counts.rejected,
			"expired": h.counts.expired, "timeouts": h.counts.timeouts,
		},
		"queue": map[string]any{"capacity": h.o.Queue, "depth": len(h.queue), "oldest_event_age": oldest},
		"load":  load,
		"pool": map[string]any{
			"active": busy, "idle": len(slaves) - busy, "capacity": 1,
			"total:spawned": h.counts.workers, "total:crashed": h.counts.lost, "slaves": slaves,
		},
		"health": map[string]any{"state": h.health(), "active": len(slaves), "failures": 0},
	}
}

func (h *Host) health() string {
	switch {
	case h.stopping:
		return "stopping"
	case h.worker == nil:
		return "starting"
	}
	return "ok"
}

func (w *worker) info(now time.Time) map[string]any {
	var tx, rx, oldest int64
	for r := range w.requests {
		if !r.clientDone {
			tx++
		}
		if !r.workerDone {
			rx++
		}
		oldest = max(oldest, now.Sub(r.began).Milliseconds())
	}
	state := "active"
	if w.told {
		state = "terminating"
	}
	return map[string]any{
		"accepted": w.accepted, "load:tx": tx, "load:rx": rx, "load:total": len(w.requests),
		"state": state, "uptime": int64(now.Sub(w.born).Seconds()),
		"profile": map[string]any{"name": ""}, "oldest_channel_age": oldest, "pid": os.Getpid(),
	}
}
