package host

import (
	"slices"
	"strconv"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// heldLimit is how many bytes of a request may wait with it before the reading of
// its client's connection stops.
const heldLimit = 1 << 20

// phase is where a request is in its life.
type phase uint8

const (
	queued  phase = iota // waiting for the worker
	running              // the worker has it
	unheard              // the worker has it, and nobody waits for the answer any more
	over                 // the client has its last frame; what still comes is swallowed
)

// A request is one enqueue: the client's channel on one side, the worker's on the
// other. The two halves are independent; it holds its place on the worker until
// both are closed. Its fields are guarded by Host.mu, but for those that never
// change.
type request struct {
	h       *Host
	client  *rpc.Session
	channel uint64 // on the client's connection
	echo    []byte // trace headers for every frame; nil when untraced
	story   bool   // the client asked who served it and how long it took
	born    time.Time

	phase      phase
	settled    bool // the host has let go of it
	worker     *worker
	wchannel   uint64 // on the worker's connection
	clientDone bool   // nothing more comes from the client
	workerDone bool   // nothing more comes from the worker
	torn       bool   // the client went away before the end of its half
	deadline   *alarm
	began      time.Time // when the worker got it

	// While it is queued:
	invoke  []byte // the arguments of invoke
	headers []byte // its headers
	held    []heldFrame
	bytes   int  // of held
	paused  bool // held is over its limit, the client's session is paused
}

// A heldFrame came before the request had a worker.
type heldFrame struct {
	typ  uint64
	args []byte
}

// fromClient and fromWorker are the two sides a request receives frames on.
type (
	fromClient request
	fromWorker request
)

var (
	_ rpc.Receiver = (*fromClient)(nil)
	_ rpc.Receiver = (*fromWorker)(nil)
	_ rpc.Acceptor = (*Host)(nil)
)

// Accept takes an enqueue from a client. It implements rpc.Acceptor.
func (h *Host) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	event, err := relay.DecodeEvent(f.Args)
	if err != nil {
		return relay.Refuse(b, s, channel, f, rpc.AsError(err))
	}
	hs, err := relay.ReadHeaders(f.Headers)
	if err != nil {
		return relay.Refuse(b, s, channel, f, rpc.AsError(err))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.admit(); e != nil {
		return relay.Refuse(b, s, channel, f, e)
	}
	h.counts.accepted++
	r := &request{h: h, client: s, channel: channel, story: hs.Story, born: b.Now(), invoke: relay.InvokeArgs(f.Args, event)}
	r.echo, r.headers = relay.AppendHeaders(nil, nil, f.Headers, hs.Trace.ID != 0)
	timeout := h.o.RequestTimeout
	if hs.Timeout >= 0 {
		timeout = hs.Timeout
	}
	r.deadline = h.after(timeout, r.expire)
	if len(h.queue) > 0 || !h.assign(b, r) {
		r.invoke = slices.Clone(r.invoke) // it was the session's
		h.queue = append(h.queue, r)
	}
	return (*fromClient)(r)
}

// admit decides whether a request is taken. Called with mu held.
func (h *Host) admit() *rpc.Error {
	switch {
	case h.stopping:
		return &rpc.Error{Category: idl.CategoryGeneric, Code: idl.GenericBrokenPipe, Message: "the application has been stopped"}
	case len(h.queue) >= h.o.Queue:
		h.counts.rejected++
		return &rpc.Error{Category: idl.CategoryOverseer, Code: idl.OverseerQueueFull, Message: "queue is full"}
	}
	return nil
}

// assign gives a request to the worker. It returns false if that has no room.
// Called with mu held.
func (h *Host) assign(b *rpc.Batch, r *request) bool {
	w := h.worker
	if w == nil || h.o.Concurrency > 0 && len(w.requests) >= h.o.Concurrency {
		return false
	}
	headers := r.headers
	if len(r.echo) == 0 && !w.hears { // a worker of an old framework
		headers = relay.AppendUntraced(nil, headers)
	}
	id, err := w.session.Open(b, (*fromWorker)(r), idl.WorkerInvoke, r.invoke, headers)
	if err != nil {
		return false // its connection has ended, and its own reader is about to say so
	}
	r.phase, r.worker, r.wchannel, r.began = running, w, id, b.Now()
	w.requests[r] = struct{}{}
	w.accepted++
	for _, f := range r.held {
		_ = w.session.Send(b, id, f.typ, f.args, r.echo)
	}
	r.drop()
	return true
}

// pump gives the worker what waits while it has room. Called with mu held.
func (h *Host) pump(b *rpc.Batch) {
	for len(h.queue) > 0 && h.assign(b, h.queue[0]) {
		h.queue = slices.Delete(h.queue, 0, 1)
	}
}

// settle lets go of a request and lets the next one in. Called with mu held.
func (h *Host) settle(b *rpc.Batch, r *request) {
	if r.settled {
		return
	}
	r.settled = true
	r.deadline.stop()
	if r.worker != nil {
		delete(r.worker.requests, r)
	} else if i := slices.Index(h.queue, r); i >= 0 {
		h.queue = slices.Delete(h.queue, i, i+1)
	}
	h.pump(b)
	h.notify()
}

// abandon settles a request that its worker is not to hear of any more. Called
// with mu held.
func (r *request) abandon(b *rpc.Batch) {
	if r.worker != nil {
		r.worker.session.Forget(r.wchannel)
	}
	r.h.settle(b, r)
}

// expire answers a request whose time is up.
func (r *request) expire(b *rpc.Batch) {
	h := r.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.settled {
		return
	}
	e := &rpc.Error{Category: idl.CategoryNode, Code: idl.NodeDeadline, Message: "the event has expired in the queue"}
	if r.phase == running || r.phase == unheard {
		e.Code, e.Message = idl.NodeWorkerTimeout, "invocation has timed out"
		h.counts.timeouts++
	} else {
		h.counts.expired++
	}
	args := rpc.AppendError(nil, e)
	if r.phase == running && !r.clientDone {
		r.toWorker(b, idl.StreamError, args)
	}
	r.answer(b, args)
	r.abandon(b)
}

// Receive passes a frame of the client on to the worker. It implements
// rpc.Receiver.
func (c *fromClient) Receive(b *rpc.Batch, f *rpc.Frame) (done bool) {
	r := (*request)(c)
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	switch args := relay.Chunk(f.Args); {
	case f.Type == idl.Write && args != nil:
		r.toWorker(b, idl.Write, args)
		return false
	case f.Type == idl.Close:
		r.toWorker(b, idl.Close, nil)
	case f.Type == idl.StreamError:
		r.toWorker(b, idl.StreamError, relay.KnownError(f.Args))
	default: // both sides learn of the mistake
		args := rpc.AppendError(nil, relay.ClientError(f.Type, r.channel))
		r.toWorker(b, idl.StreamError, args)
		was := r.phase
		r.answer(b, args)
		r.clientDone = true
		if was != over {
			r.abandon(b)
		}
		return true
	}
	r.endClient(b)
	return true
}

// endClient notes that the client's half is closed. Called with mu held.
func (r *request) endClient(b *rpc.Batch) {
	r.clientDone = true
	if r.workerDone && r.phase == running {
		r.h.settle(b, r)
	}
}

// Lost says that the client went away with its half open, or revoked it. It
// implements rpc.Receiver.
func (c *fromClient) Lost(b *rpc.Batch, err error) {
	r := (*request)(c)
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	args := rpc.AppendError(nil, rpc.LostError(err))
	if r.client.Err() == nil { // it was revoked: the answer is still wanted
		r.toWorker(b, idl.StreamError, relay.KnownError(args))
		r.endClient(b)
		return
	}
	r.toWorker(b, idl.StreamError, args)
	r.clientDone, r.torn = true, true
	if r.phase == running {
		// Nobody waits for the answer. A queued request stays queued: its worker will
		// see what was sent, then the error.
		r.phase = over
		r.abandon(b)
	}
}

// toWorker forwards a frame, or holds it while there is no worker. Called with mu
// held.
func (r *request) toWorker(b *rpc.Batch, typ uint64, args []byte) {
	switch r.phase {
	case running:
		_ = r.worker.session.Send(b, r.wchannel, typ, args, r.echo) // a lost worker is reported by its own reader
	case queued:
		r.held = append(r.held, heldFrame{typ, slices.Clone(args)})
		r.bytes += len(args) + heldOverhead
		if r.bytes > heldLimit && !r.paused {
			r.paused = true
			r.client.Pause()
		}
	}
}

// heldOverhead is what a held frame takes beside its arguments.
const heldOverhead = 32

// drop forgets what was held. Called with mu held.
func (r *request) drop() {
	r.held, r.bytes, r.invoke, r.headers = nil, 0, nil, nil
	if r.paused {
		r.paused = false
		r.client.Resume()
	}
}

// Receive passes a frame of the worker on to the client. It implements
// rpc.Receiver.
func (w *fromWorker) Receive(b *rpc.Batch, f *rpc.Frame) (done bool) {
	r := (*request)(w)
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	if r.phase != running {
		done = f.Type != idl.Write
		if done && r.phase == unheard {
			r.workerDone = true
			r.h.settle(b, r)
		}
		return done
	}
	// A lost client is reported by its own reader.
	switch args := relay.Chunk(f.Args); {
	case f.Type == idl.Write && args != nil:
		_ = r.client.Send(b, r.channel, idl.Write, args, r.echo)
		return false
	case f.Type == idl.Close:
		_ = r.client.Send(b, r.channel, idl.Close, nil, r.lastHeaders(b))
	case f.Type == idl.StreamError:
		_ = r.client.Send(b, r.channel, idl.StreamError, relay.KnownError(f.Args), r.lastHeaders(b))
	default:
		_ = r.client.Send(b, r.channel, idl.StreamError, rpc.AppendError(nil, relay.WorkerError(f.Type)), r.lastHeaders(b))
	}
	r.workerDone = true
	if r.clientDone {
		r.h.settle(b, r)
	}
	return true
}

// Lost says that the worker's connection ended with the request open. Whichever
// channel learns it first buries the worker. It implements rpc.Receiver.
func (w *fromWorker) Lost(b *rpc.Batch, err error) {
	r := (*request)(w)
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.h.hungUp(b, r.worker, err)
}

// answer ends the request towards the client with an error. What the client still
// sends is late. Called with mu held.
func (r *request) answer(b *rpc.Batch, errorArgs []byte) {
	if r.phase == over {
		return
	}
	heard := r.phase != unheard
	r.phase = over
	if heard && !r.workerDone {
		_ = r.client.Send(b, r.channel, idl.StreamError, errorArgs, r.lastHeaders(b))
	}
	r.client.Forget(r.channel)
	r.drop()
}

// lastHeaders are the headers of the last frame to the client. Called with mu held.
func (r *request) lastHeaders(b *rpc.Batch) []byte {
	if !r.story {
		return r.echo
	}
	var hs []hpack.Header
	if len(r.echo) > 0 {
		var t hpack.Table
		hs, _ = t.Decode(nil, r.echo) // our own encoding
	}
	hs = append(hs, hpack.Header{Name: relay.ReleaseHeader, Value: r.h.o.Release})
	if r.worker != nil {
		hs = append(hs,
			hpack.Header{Name: relay.WorkerHeader, Value: r.worker.id},
			hpack.Header{Name: relay.QueueHeader, Value: micros(r.began.Sub(r.born))},
			hpack.Header{Name: relay.RunHeader, Value: micros(b.Now().Sub(r.began))})
	}
	return hpack.AppendLiterals(nil, hs)
}

func micros(d time.Duration) string { return strconv.FormatInt(max(0, d.Microseconds()), 10) }
