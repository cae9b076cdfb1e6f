package engine

import (
	"syscall"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

const sigterm = syscall.SIGTERM

// handshake accepts the first frame of a worker's connection.
type handshake Engine

// Accept takes [channel, 0, [uuid]]. The channel becomes the worker's control
// channel. A worker that nobody waits for is a stranger; one that has shaken hands
// may not open channels, and is told so.
func (h *handshake) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	e := (*Engine)(h)
	if f.Type != idl.WorkerHandshake || e.knows(s) {
		s.Violation(b, channel, rpc.Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "worker has no message %d here", f.Type))
		return nil
	}
	r := msgpack.NewReader(f.Args)
	r.Array()
	id := r.String()
	if err := r.Err(); err != nil {
		e.log.Warn("cannot shake hands with worker", "cause", err)
		e.stays.Add(0)
		s.Close()
		return nil
	}
	w := e.shaken(b, s, channel, id, relay.HearsRevoke(f.Headers))
	if w == nil {
		e.log.Warn("worker is unknown", "worker", id)
		e.stays.Add(0)
		return e.ignore(s)
	}
	return (*control)(w)
}

// maxStrangers is how many connections of strangers an engine leaves open.
const maxStrangers = 64

// A stranger is a worker that nobody waits for, on the channel of its handshake. As
// the original has it, it is told nothing and its connection stays until it says
// something more there, which is mostly its first heartbeat.
type stranger struct {
	e *Engine
	s *rpc.Session
}

// ignore leaves the connection of a stranger open, unless there are enough of them.
func (e *Engine) ignore(s *rpc.Session) rpc.Receiver {
	e.mu.Lock()
	full := e.strangers == maxStrangers
	if !full {
		e.strangers++
	}
	e.mu.Unlock()
	if full {
		s.Close()
		return nil
	}
	return stranger{e, s}
}

// Receive hangs up on who goes on as if it were known.
func (t stranger) Receive(*rpc.Batch, *rpc.Frame) bool {
	t.s.Close()
	return false
}

// Lost says that the stranger is gone.
func (t stranger) Lost(*rpc.Batch, error) {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	t.e.strangers--
}

// knows reports whether a connection is that of a worker.
func (e *Engine) knows(s *rpc.Session) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.workers {
		if w.session == s {
			return true
		}
	}
	return false
}

// control takes the frames of a worker's control channel.
type control worker

// Receive takes heartbeats, which are answered at once, and terminate.
func (c *control) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	w := (*worker)(c)
	switch f.Type {
	case idl.WorkerHeartbeat:
		w.e.beaten(b, w)
	case idl.WorkerTerminate:
		r := msgpack.NewReader(f.Args)
		n := r.Array()
		var code int64
		var text string
		if n > 0 {
			code = r.Int()
		}
		if n > 1 {
			text = r.String()
		}
		w.e.said(b, w, code, text)
	default:
		w.session.Violation(b, w.control, rpc.Errorf(idl.CategoryDispatch, idl.DispatchUnbound,
			"control channel has no message %d", f.Type))
	}
	return false
}

// Lost says that the worker's connection ended.
func (c *control) Lost(b *rpc.Batch, err error) {
	w := (*worker)(c)
	w.e.hungUp(b, w, err)
}

// beaten notes a sign of life and answers it.
func (e *Engine) beaten(b *rpc.Batch, w *worker) {
	e.mu.Lock()
	w.beat = e.at(b.Now())
	e.mu.Unlock()
	_ = w.session.Send(b, w.control, idl.WorkerHeartbeat, nil, nil) // a lost session reports itself
}
