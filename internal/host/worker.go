package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// How a worker ends, as Serve tells.
var (
	// ErrOccupied is the end of a connection that came while there was a worker.
	ErrOccupied = errors.New("there is a worker already")
	// ErrStopped is the end of a connection that came after Stop.
	ErrStopped = errors.New("host is stopped")
	// ErrUnknown is the end of a worker with another uuid than Options.UUID.
	ErrUnknown = errors.New("nobody waits for a worker with this uuid")
	// ErrSilent is the end of a worker that sent no heartbeat for
	// Options.HeartbeatTimeout.
	ErrSilent = errors.New("worker sent no heartbeat")

	errNotReady  = errors.New("worker did not shake hands")
	errStubborn  = errors.New("worker did not terminate when told to")
	errSelfEnded = errors.New("worker terminated with requests under way")
)

// shuttingDown is why a worker is told to terminate: the code and the text of the
// original.
const (
	shuttingDown     = idl.SlaveShuttingDown
	shuttingDownText = "overseer is shutting down"
)

// canceled is what clients see of a worker that the host gave up.
var canceled = relay.Discarded(context.Canceled)

// A worker is one connection that Serve serves. Its fields are guarded by Host.mu,
// but for those that never change.
type worker struct {
	h       *Host
	session *rpc.Session
	born    time.Time

	shaken   bool
	id       string // its uuid
	hears    bool   // it understands revoke
	control  uint64 // the channel of the handshake
	requests map[*request]struct{}
	accepted uint64
	beat     time.Time // the latest sign of life
	clock    *alarm    // the limit of what it has to do next
	told     bool      // it was told to terminate
	dead     bool      // it has no requests any more and gets none
	cause    error     // why; nil for an orderly end
}

// Serve serves a worker on its connection, which it closes in the end: until the
// worker has left, is lost, or ctx ends. It returns nil for a worker that left
// after its work was done.
func (h *Host) Serve(ctx context.Context, conn net.Conn) error {
	w := &worker{h: h, requests: make(map[*request]struct{}), born: time.Now()}
	o := h.o.Session
	o.Acceptor = handshake{w}
	if o.Log == nil {
		o.Log = h.log
	}
	w.session = rpc.NewSession(conn, o)
	if err := h.enter(w); err != nil {
		_ = conn.Close() // nobody has used it
		return fmt.Errorf("cannot serve worker: %w", err)
	}
	err := w.session.Run(ctx)
	rpc.Run(func(b *rpc.Batch) { h.leave(b, w, err) })
	if w.cause != nil {
		return fmt.Errorf("cannot serve worker: %w", w.cause)
	}
	return nil
}

func (h *Host) enter(w *worker) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return ErrStopped
	}
	h.conns[w] = struct{}{}
	w.clock = h.after(h.o.HandshakeTimeout, func(b *rpc.Batch) { h.late(b, w, errNotReady) })
	return nil
}

// leave takes leave of a connection that has ended in whatever way.
func (h *Host) leave(b *rpc.Batch, w *worker, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hungUp(b, w, err)
	delete(h.conns, w)
	h.notify()
}

// late gives up a worker that has not done in time what it had to.
func (h *Host) late(b *rpc.Batch, w *worker, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bury(b, w, cause, canceled)
}

// handshake accepts the first frame of a worker's connection.
type handshake struct{ w *worker }

var _ rpc.Acceptor = handshake{}

// Accept takes [channel, 0, [uuid]]. The channel becomes the control channel. It
// implements rpc.Acceptor.
func (a handshake) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	w, h := a.w, a.w.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.Type != idl.WorkerHandshake || w.shaken {
		s.Violation(b, channel, rpc.Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "worker has no message %d here", f.Type))
		return nil
	}
	r := msgpack.NewReader(f.Args)
	r.Array()
	id := r.String()
	switch err := r.Err(); {
	case err != nil:
		h.bury(b, w, fmt.Errorf("cannot read handshake: %w", err), canceled)
	case h.o.UUID != "" && id != h.o.UUID:
		h.bury(b, w, ErrUnknown, canceled)
	case h.worker != nil:
		h.bury(b, w, ErrOccupied, canceled)
	case !w.dead:
		w.hears = relay.HearsRevoke(f.Headers)
		h.welcome(b, w, channel, id)
		return control{w}
	}
	return nil
}

// welcome makes a worker the one that gets the requests. Called with mu held.
func (h *Host) welcome(b *rpc.Batch, w *worker, channel uint64, id string) {
	w.shaken, w.control, w.id = true, channel, id
	h.worker = w
	h.counts.workers++
	w.beat = b.Now()
	h.watch(w)
	h.log.Debug("worker is ready", "worker", id)
	h.pump(b)
	h.notify()
}

// watch waits for the next heartbeat. Called with mu held.
func (h *Host) watch(w *worker) {
	w.clock.stop()
	due := w.beat.Add(h.o.HeartbeatTimeout)
	w.clock = h.after(time.Until(due), func(b *rpc.Batch) { h.silent(b, w) })
}

// silent gives up a worker that was not heard of, unless that is because a client
// who does not read keeps it from being read.
func (h *Host) silent(b *rpc.Batch, w *worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch now := time.Now(); {
	case w.dead || w.told:
	case w.session.Blocked():
		w.beat = now
		h.watch(w)
	case now.Before(w.beat.Add(h.o.HeartbeatTimeout)):
		h.watch(w) // it was heard of meanwhile
	default:
		h.bury(b, w, ErrSilent, canceled)
	}
}

// control takes the frames of a worker's control channel.
type control struct{ w *worker }

var _ rpc.Receiver = control{}

// Receive takes heartbeats, which are answered at once, and terminate. It
// implements rpc.Receiver.
func (c control) Receive(b *rpc.Batch, f *rpc.Frame) (done bool) {
	w, h := c.w, c.w.h
	h.mu.Lock()
	defer h.mu.Unlock()
	switch f.Type {
	case idl.WorkerHeartbeat:
		w.beat = b.Now()
		_ = w.session.Send(b, w.control, idl.WorkerHeartbeat, nil, nil) // a lost session reports itself
	case idl.WorkerTerminate:
		var cause error
		if !w.told && len(w.requests) > 0 {
			cause = errSelfEnded
		}
		h.bury(b, w, cause, canceled)
	default:
		w.session.Violation(b, w.control, rpc.Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "control channel has no message %d", f.Type))
	}
	return false
}

// Lost says that the worker's connection ended. It implements rpc.Receiver.
func (c control) Lost(b *rpc.Batch, err error) {
	c.w.h.mu.Lock()
	defer c.w.h.mu.Unlock()
	c.w.h.hungUp(b, c.w, err)
}

// hungUp says that a worker's connection ended. Called with mu held.
func (h *Host) hungUp(b *rpc.Batch, w *worker, err error) {
	var cause error
	if !w.told { // to one that was told to terminate it is the acknowledgement
		cause = fmt.Errorf("connection lost: %w", err)
	}
	h.bury(b, w, cause, relay.Discarded(err))
}

// terminate tells a worker to go. Called with mu held.
func (h *Host) terminate(b *rpc.Batch, w *worker) {
	if w.told || w.dead {
		return
	}
	w.told = true
	w.clock.stop()
	w.clock = h.after(h.o.TerminateTimeout, func(b *rpc.Batch) { h.late(b, w, errStubborn) })
	args := msgpack.AppendInt(msgpack.AppendArray(nil, 2), shuttingDown)
	args = msgpack.AppendString(args, shuttingDownText)
	_ = w.session.Send(b, w.control, idl.WorkerTerminate, args, nil) // if its connection has ended, it is as good as gone
}

// bury ends a worker: its requests are answered and its connection is closed. The
// first cause wins. Called with mu held.
func (h *Host) bury(b *rpc.Batch, w *worker, cause error, answer *rpc.Error) {
	if w.dead {
		return
	}
	w.dead, w.cause = true, cause
	w.clock.stop()
	if h.worker == w {
		h.worker = nil
		if cause != nil {
			h.counts.lost++
			h.log.Warn("worker is lost", "worker", w.id, "cause", cause, "requests", len(w.requests))
		}
	}
	args := rpc.AppendError(nil, answer)
	for r := range w.requests {
		r.answer(b, args)
		h.settle(b, r)
	}
	_ = w.session.Close()
	h.notify()
}
