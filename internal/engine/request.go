package engine

import (
	"encoding/binary"
	"strconv"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

const (
	// heldLimit is how many bytes of a request may wait with it in the queue
	// before the reading of its client's connection stops.
	heldLimit = 1 << 20
	// holdUp is how long a request may stop its client's connection in this way if
	// there are other calls on it: the one that has the worker may be among them,
	// waiting for a frame that is not read.
	holdUp = 5 * time.Second
	// keepHeld is the largest buffer a request keeps for its next life.
	keepHeld = 4 << 10
	// maxFree bounds the requests kept for reuse.
	maxFree = 4096
)

// phase is where a request is in its life.
type phase uint8

const (
	queued  phase = iota // waiting for a worker
	running              // assigned
	unheard              // assigned, and nobody waits for the answer any more: see Unwanted
	over                 // the client has its last frame; what still comes is swallowed
)

// A request is one enqueue: the client's channel on one side, the worker's on the
// other. The two halves are independent (docs/PROTOCOL.md, Streams): it holds its
// place on the worker until both are closed.
type request struct {
	e *Engine

	// Set before the request is shared.
	client  *rpc.Session
	channel uint64 // on the client's connection
	echo    []byte // trace headers for every frame, empty when untraced
	story   bool   // the client asked who served it and how long it took
	born    instant
	timeout time.Duration
	calls   *timing.Timer // is told how long it takes

	mu            sync.Mutex
	phase         phase
	worker        *worker
	wchannel      uint64 // on the worker's connection
	clientDone    bool   // nothing more comes from the client
	workerDone    bool   // nothing more comes from the worker
	torn          bool   // the client went away before the end of its half
	held          []byte // frames that came before the request was assigned
	invoke        []byte // the arguments of invoke, while queued
	invokeHeaders []byte // its headers
	paused        bool   // held is over its limit, the client's session is paused
	queueTime     time.Duration
	runStart      instant

	// Guarded by Engine.mu.
	settled  bool // the engine has let go of it
	shared   bool // it was queued: its client's reader may be at work on it
	waits    bool // it is in the queue
	hurried  bool // deadline stands for holdUp
	deadline timer
	prev     *request // in the queue, or among the worker's requests
	next     *request
}

// fromClient and fromWorker are the two sides a request receives frames on.
type (
	fromClient request
	fromWorker request
)

var (
	_ rpc.LastReceiver = (*fromClient)(nil)
	_ rpc.LastReceiver = (*fromWorker)(nil)
)

// Receive passes a frame of the client on to the worker.
func (c *fromClient) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	r := (*request)(c)
	r.mu.Lock()
	if f.Type == idl.Write {
		if args := relay.Chunk(f.Args); args != nil {
			r.toWorker(b, idl.Write, args)
			paused := r.paused
			r.mu.Unlock()
			if paused {
				r.e.hurry(b, r)
			}
			return false
		}
	}
	switch f.Type {
	case idl.Close:
		r.toWorker(b, idl.Close, nil)
	case idl.StreamError:
		r.toWorker(b, idl.StreamError, relay.KnownError(f.Args))
	default:
		w, channel, was := r.worker, r.wchannel, r.phase
		r.reject(b, f)
		r.clientDone = true
		r.mu.Unlock()
		if was != over {
			r.e.abandon(b, r, w, channel)
		}
		return true
	}
	r.clientDone = true
	last := r.workerDone && r.phase == running
	r.mu.Unlock()
	if last {
		r.e.settleBoth(b, r)
	}
	return true
}

// ReceiveLast passes the client's last chunk and the end of its stream on to the
// worker in one step. It implements rpc.LastReceiver.
func (c *fromClient) ReceiveLast(b *rpc.Batch, f *rpc.Frame) {
	r := (*request)(c)
	r.mu.Lock()
	if r.phase != running || !relay.IsChunk(f.Args) {
		r.mu.Unlock()
		if c.Receive(b, f) {
			return
		}
		f.Type, f.Args = idl.Close, emptyArgs
		c.Receive(b, f)
		return
	}
	_ = r.worker.session.SendLast(b, r.wchannel, f.Args, r.headers(), r.headers()) // a lost worker is reported by its own reader
	r.clientDone = true
	last := r.workerDone
	r.mu.Unlock()
	if last {
		r.e.settleBoth(b, r)
	}
}

// reject ends a request whose client broke the protocol of the stream: both sides
// get the error. Called with mu held.
func (r *request) reject(b *rpc.Batch, f *rpc.Frame) {
	args := rpc.AppendError(nil, relay.ClientError(f.Type, r.channel))
	r.toWorker(b, idl.StreamError, args)
	r.answer(b, args)
}

// toWorker forwards a frame, or holds it while there is no worker. Called with mu
// held.
func (r *request) toWorker(b *rpc.Batch, typ uint64, args []byte) {
	switch r.phase {
	case running:
		_ = r.worker.session.Send(b, r.wchannel, typ, args, r.headers()) // a lost worker is reported by its own reader
	case queued:
		r.hold(typ, args)
	}
}

func (r *request) headers() []byte {
	if len(r.echo) == 0 {
		return nil
	}
	return r.echo
}

// hold keeps a frame for the time when there is a worker. Called with mu held.
func (r *request) hold(typ uint64, args []byte) {
	if args == nil {
		args = emptyArgs
	}
	r.held = append(r.held, byte(typ))
	r.held = binary.LittleEndian.AppendUint32(r.held, uint32(len(args)))
	r.held = append(r.held, args...)
	if len(r.held) > heldLimit && !r.paused {
		r.paused = true
		r.client.Pause()
	}
}

// unhold sends what was held. Called with mu held, after the request was assigned.
func (r *request) unhold(b *rpc.Batch) {
	p := r.held
	for len(p) > 0 {
		n := int(binary.LittleEndian.Uint32(p[1:]))
		_ = r.worker.session.Send(b, r.wchannel, uint64(p[0]), p[5:5+n], r.headers())
		p = p[5+n:]
	}
	r.drop()
}

// drop forgets what was held. Called with mu held.
func (r *request) drop() {
	r.held = r.held[:0]
	if cap(r.held) > keepHeld {
		r.held = nil
	}
	if r.paused {
		r.paused = false
		r.client.Resume()
	}
}

var emptyArgs = []byte{0x90}

// hurry limits how long a request whose data fills its place in the queue stops
// the reading of other calls' frames, should there be any.
func (e *Engine) hurry(b *rpc.Batch, r *request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hurryLocked(b, r)
}

// hurryLocked is hurry, called with mu held.
func (e *Engine) hurryLocked(b *rpc.Batch, r *request) {
	if !r.waits || r.hurried {
		return
	}
	if at := e.at(b.Now()) + instant(holdUp); at < r.deadline.at {
		r.hurried = true
		e.timers.arm(&r.deadline, at)
	}
}

// due is when the request's time is up.
func (r *request) due() instant { return r.born + instant(r.timeout) }

// Lost says that the client went away with its half open, or revoked it.
func (c *fromClient) Lost(b *rpc.Batch, err error) {
	r := (*request)(c)
	if r.client.Err() == nil {
		r.revoked(b, err)
		return
	}
	args := rpc.AppendError(nil, rpc.LostError(err))
	r.mu.Lock()
	r.toWorker(b, idl.StreamError, args)
	r.clientDone, r.torn = true, true
	isRunning, w, channel := r.phase == running, r.worker, r.wchannel
	if isRunning {
		r.phase = over
	}
	r.mu.Unlock()
	if isRunning {
		// Nobody waits for the answer: the place on the worker is free. A queued
		// request stays queued; its worker will see what was sent, then the error.
		r.e.abandon(b, r, w, channel)
	}
}

// revoked ends the client's half as an error of its own would: the answer is
// still wanted (docs/PROTOCOL.md, Control messages).
func (r *request) revoked(b *rpc.Batch, err error) {
	args := relay.KnownError(rpc.AppendError(nil, rpc.LostError(err)))
	r.mu.Lock()
	r.toWorker(b, idl.StreamError, args)
	r.clientDone = true
	last := r.workerDone && r.phase == running
	r.mu.Unlock()
	if last {
		r.e.settleBoth(b, r)
	}
}

// Receive passes a frame of the worker on to the client.
func (w *fromWorker) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	r := (*request)(w)
	r.mu.Lock()
	if r.phase != running {
		return w.swallow(b, f)
	}
	if f.Type == idl.Write {
		if args := relay.Chunk(f.Args); args != nil {
			_ = r.client.Send(b, r.channel, idl.Write, args, r.headers()) // a lost client is reported by its own reader
			r.mu.Unlock()
			return false
		}
	}
	switch f.Type {
	case idl.Close:
		_ = r.client.Send(b, r.channel, idl.Close, nil, r.lastHeaders(b))
	case idl.StreamError:
		_ = r.client.Send(b, r.channel, idl.StreamError, relay.KnownError(f.Args), r.lastHeaders(b))
	default:
		_ = r.client.Send(b, r.channel, idl.StreamError, rpc.AppendError(nil, relay.WorkerError(f.Type)), r.lastHeaders(b))
	}
	r.workerDone = true
	last := r.clientDone
	r.mu.Unlock()
	if last {
		r.e.settleBoth(b, r)
	}
	return true
}

// swallow drops a frame that nobody waits for. The end of an answer that is unheard
// gives the place on the worker free. Called with mu held, which it releases.
func (w *fromWorker) swallow(b *rpc.Batch, f *rpc.Frame) (done bool) {
	r := (*request)(w)
	done = f.Type != idl.Write
	last := done && r.phase == unheard
	if last {
		r.workerDone = true
	}
	r.mu.Unlock()
	if last {
		r.e.settleBoth(b, r)
	}
	return done
}

// ReceiveLast passes the worker's last chunk and the end of its stream on to the
// client in one step. It implements rpc.LastReceiver.
func (w *fromWorker) ReceiveLast(b *rpc.Batch, f *rpc.Frame) {
	r := (*request)(w)
	r.mu.Lock()
	if r.phase != running || !relay.IsChunk(f.Args) {
		r.mu.Unlock()
		if w.Receive(b, f) {
			return
		}
		f.Type, f.Args = idl.Close, emptyArgs
		w.Receive(b, f)
		return
	}
	last := r.clientDone
	if last {
		r.client.StageLast(b, r.channel, f.Args, r.headers(), r.lastHeaders(b))
	} else {
		_ = r.client.SendLast(b, r.channel, f.Args, r.headers(), r.lastHeaders(b)) // a lost client is reported by its own reader
	}
	r.workerDone = true
	worker := r.worker
	r.mu.Unlock()
	if last {
		worker.finished(b, r)
	}
}

// Lost says that the worker's connection ended with the request open. Whichever
// channel learns it first buries the worker, and that ends the requests.
func (w *fromWorker) Lost(b *rpc.Batch, err error) {
	r := (*request)(w)
	r.mu.Lock()
	lost := r.worker
	r.mu.Unlock()
	r.e.hungUp(b, lost, err)
}

// answer ends the request towards the client with an error. What the client still
// sends is late: many clients never close the stream of a call that has failed, and
// it must not stay open for that. Called with mu held.
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

// Story headers, see package relay.
const (
	StoryHeader   = relay.StoryHeader
	WorkerHeader  = relay.WorkerHeader
	ReleaseHeader = relay.ReleaseHeader
	QueueHeader   = relay.QueueHeader
	RunHeader     = relay.RunHeader
)

// lastHeaders are the headers of the last frame to the client. Called with mu held.
func (r *request) lastHeaders(b *rpc.Batch) []byte {
	if !r.story {
		return r.headers()
	}
	hs := r.traceHeaders()
	hs = append(hs, hpack.Header{Name: ReleaseHeader, Value: r.e.o.Release})
	if r.worker != nil {
		now := r.e.at(b.Now())
		hs = append(hs,
			hpack.Header{Name: WorkerHeader, Value: r.worker.id},
			hpack.Header{Name: QueueHeader, Value: micros(r.queueTime)},
			hpack.Header{Name: RunHeader, Value: micros(time.Duration(now - r.runStart))})
	}
	return hpack.AppendLiterals(nil, hs)
}

func (r *request) traceHeaders() []hpack.Header {
	if len(r.echo) == 0 {
		return nil
	}
	var t hpack.Table
	hs, _ := t.Decode(nil, r.echo) // our own encoding
	return hs
}

func micros(d time.Duration) string { return strconv.FormatInt(max(0, d.Microseconds()), 10) }
