package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Options describe one engine.
type Options struct {
	App      string
	Release  string // which code this is, for people: "1", "2"
	Manifest manifest.Manifest
	Profile  manifest.Profile
	// ProfileName is the name under which the profile is stored.
	ProfileName string
	// Dir is the unpacked code; workers start in it.
	Dir string
	// Endpoint is the path of the unix socket for the workers.
	Endpoint string
	// Locator is handed to the workers as --locator.
	Locator string
	// Isolate starts the workers.
	Isolate isolate.Isolate
	// Token, if not nil, gives the worker's token for COCAINE_APP_TOKEN_*.
	Token func(ctx context.Context) (typ, body string, err error)
	// Output, if not nil, gets each line a worker prints. It must not block.
	Output func(worker string, line []byte, stderr bool)
	// Crashed, if not nil, gets a record of each worker that ended badly, on a
	// goroutine that may block.
	Crashed func(Crash)
	// Changed, if not nil, is called when the number of active workers or the
	// state of the engine changed. It is called under the engine's lock: it must
	// neither block nor call the engine.
	Changed func()
	// Listen, if not nil, opens the workers' socket in place of a unix socket, for
	// tests in virtual time.
	Listen func(path string) (net.Listener, error)
	// KillGrace is the time between SIGTERM and SIGKILL. If zero, 5 s.
	KillGrace time.Duration
	// Session configures the workers' connections.
	Session rpc.SessionOptions
	// Log receives the life of the workers. If nil, nothing is logged.
	Log *slog.Logger
}

// mode is what the engine as a whole is doing.
type mode int

const (
	serving  mode = iota
	draining      // takes nothing new, finishes what it has
	stopped       // gives up what is left
)

// Engine is one app's queue and pool. New makes it, Start starts it, Stop ends it.
type Engine struct {
	o     Options
	p     manifest.Profile
	log   *slog.Logger
	epoch time.Time

	server *rpc.Server
	wg     sync.WaitGroup // supervisors, the timer loop, the listener
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when the timer loop has to go

	mu       sync.Mutex
	mode     mode
	workers  map[string]*worker // the pool: every worker that has not ended
	buckets  buckets            // active workers, by load
	active   int                // workers in state active
	load     int                // open requests on all workers
	queue    queue
	timers   timers
	target   int // wanted pool size set by control; 0 = automatic
	floor    int // 1 once a request has come, until the last idle worker is retired
	back     backoff
	idle     idleCheck
	free     *request
	nfree    int
	stats    stats
	idleness chan struct{} // closed when draining and nothing is left; nil when nobody waits
	gone     chan struct{} // closed when stopped and the pool is empty; nil when nobody waits
	failures int           // workers that died before they were ready, in a row
	last     *Crash        // the latest one
}

// New makes an engine. Nothing runs until Start.
func New(o Options) *Engine {
	if o.KillGrace <= 0 {
		o.KillGrace = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{o: o, p: o.Profile, log: o.Log.With("app", o.App), epoch: time.Now(),
		workers: make(map[string]*worker), ended: make(chan struct{})}
	e.timers.wake = make(chan struct{}, 1)
	e.back.owner, e.idle.owner = e, e
	e.back.timer.owner, e.idle.timer.owner = &e.back, &e.idle
	e.stats.init(e.epoch)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.server = rpc.NewServer(rpc.ServerOptions{Session: o.Session, Log: e.log})
	return e
}

// Start binds the workers' socket, replacing a stale one, and starts as many
// workers as pool-min asks for.
func (e *Engine) Start() error {
	open := e.o.Listen
	if open == nil {
		open = listen
	}
	ln, err := open(e.o.Endpoint)
	if err != nil {
		return fmt.Errorf("cannot start app %q: %w", e.o.App, err)
	}
	e.wg.Go(func() {
		if err := e.server.Serve(e.ctx, ln, (*handshake)(e)); err != nil {
			e.log.Error("worker socket is lost", "cause", err)
		}
	})
	e.wg.Go(e.runTimers)
	rpc.Run(func(b *rpc.Batch) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.rebalance(b)
	})
	return nil
}

func listen(path string) (net.Listener, error) {
	// A runtime that was killed leaves its sockets behind; the name holds our
	// process id, so nobody living owns this one.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot remove stale socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for workers: %w", err)
	}
	return ln, nil
}

// Accept takes an enqueue from a client. It implements rpc.Acceptor.
func (e *Engine) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	r, ok := e.Offer(b, s, channel, f)
	if !ok {
		return Refuse(b, s, channel, &rpc.Error{Category: idl.CategoryGeneric, Code: 32, Message: "the application has been stopped"})
	}
	return r
}

// Offer is Accept for a caller that knows another engine to try: ok is false, and
// nothing has happened, if this one takes nothing new.
func (e *Engine) Offer(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) (r rpc.Receiver, ok bool) {
	event, err := decodeEvent(f.Args)
	if err != nil {
		return Refuse(b, s, channel, rpc.AsError(err)), true
	}
	invoke := f.Args
	if invoke[0] != 0x91 {
		invoke = eventArgs(event) // enqueue had more arguments than invoke takes
	}
	h := requestHeaders{timeout: -1}
	if len(f.Headers) > 0 {
		if h, err = readHeaders(f.Headers); err != nil {
			return Refuse(b, s, channel, rpc.AsError(err)), true
		}
	}
	now := e.at(b.Now())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mode != serving {
		return nil, false
	}
	e.stats.rate.mark(now)
	if err := e.admit(); err != nil {
		e.stats.rejected++
		_ = s.Send(b, channel, idl.StreamError, rpc.AppendError(nil, err), h.echo)
		e.rebalance(b)
		return sink, true
	}
	e.stats.accepted++
	e.floor = 1
	q := e.newRequest()
	q.client, q.channel, q.born = s, channel, now
	q.echo = append(q.echo[:0], h.echo...)
	q.story = h.story
	q.timeout = e.p.RequestTimeout
	if h.timeout >= 0 {
		q.timeout = h.timeout
	}
	e.timers.arm(&q.deadline, now+instant(q.timeout))
	if e.queue.n > 0 || !e.assign(b, q, now, invoke, h.invoke) {
		q.mu.Lock()
		q.invoke = append(q.invoke[:0], invoke...)
		q.invokeHeaders = append(q.invokeHeaders[:0], h.invoke...)
		q.mu.Unlock()
		e.queue.push(q)
		e.stats.depth.update(now, e.queue.n)
		e.rebalance(b)
	}
	return (*fromClient)(q), true
}

// admit decides whether the queue has room (queue-limit: positive bounds the
// queue, 0 bounds it by the free places of the pool, negative does not bound it).
func (e *Engine) admit() *rpc.Error {
	limit := e.p.QueueLimit
	if limit == 0 {
		limit = max(0, e.p.PoolLimit*e.p.Concurrency-e.load)
	} else if limit < 0 {
		return nil
	}
	if e.queue.n >= limit {
		return &rpc.Error{Category: idl.CategoryOverseer, Code: idl.OverseerQueueFull, Message: "queue is full"}
	}
	return nil
}

// newRequest takes a request from the free list or makes one. Called with mu held.
func (e *Engine) newRequest() *request {
	r := e.free
	if r == nil {
		r = &request{e: e}
		r.deadline.owner = r
		return r
	}
	e.free = r.next
	e.nfree--
	r.next = nil
	r.phase, r.worker, r.wchannel = queued, nil, 0
	r.clientDone, r.workerDone, r.settled = false, false, false
	r.queueTime, r.runStart = 0, 0
	return r
}

// recycle keeps a request for its next life. Called with mu held, when nobody
// else can hold a pointer to it.
func (e *Engine) recycle(r *request) {
	if e.nfree >= maxFree {
		return
	}
	r.client, r.worker = nil, nil
	r.next, r.prev = e.free, nil
	e.free = r
	e.nfree++
}

// assign gives a request to the least loaded worker with room. It returns false
// if there is none. Called with mu held.
func (e *Engine) assign(b *rpc.Batch, r *request, now instant, invoke, headers []byte) bool {
	for {
		w := e.buckets.min()
		if w == nil || w.load >= e.p.Concurrency {
			return false
		}
		if e.inject(b, w, r, now, invoke, headers) {
			return true
		}
		// Its connection has ended and its own reader is about to say so.
		e.buckets.remove(w)
	}
}

// inject opens the request's channel on the worker and sends what was held.
func (e *Engine) inject(b *rpc.Batch, w *worker, r *request, now instant, invoke, headers []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(headers) == 0 {
		headers = nil
	}
	id, err := w.session.Open(b, (*fromWorker)(r), idl.WorkerInvoke, invoke, headers)
	if err != nil {
		return false
	}
	r.phase, r.worker, r.wchannel = running, w, id
	r.queueTime, r.runStart = time.Duration(now-r.born), now
	w.link(r)
	w.accepted++
	e.load++
	e.buckets.change(w, w.load+1)
	if len(r.held) > 0 {
		r.unhold(b)
	}
	return true
}

// pump assigns queued requests while there are workers with room. Called with mu
// held.
func (e *Engine) pump(b *rpc.Batch) {
	if e.queue.n == 0 {
		return
	}
	now := e.at(b.Now())
	for e.queue.n > 0 {
		r := e.queue.first
		e.queue.remove(r) // first, because assigning links it to its worker
		if !e.assign(b, r, now, r.invoke, r.invokeHeaders) {
			e.queue.unshift(r)
			break
		}
	}
	e.stats.depth.update(now, e.queue.n)
	e.checkDrained()
}

// settleBoth is called by the side that closed last, so exactly once for a request
// that ends in the ordinary way, and by nobody who touches it afterwards.
func (e *Engine) settleBoth(b *rpc.Batch, r *request) {
	now := e.at(b.Now())
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.settled {
		return // its worker died, or its time was up, at the same moment
	}
	e.stats.timings.add(time.Duration(now - r.runStart))
	e.settle(b, r, now)
	e.recycle(r)
}

// settle takes a request off its worker, or out of the queue, and lets the next
// one in. Called with mu held.
func (e *Engine) settle(b *rpc.Batch, r *request, now instant) {
	if r.settled {
		return
	}
	r.settled = true
	e.timers.disarm(&r.deadline)
	w := r.worker
	if w == nil {
		e.queue.remove(r)
		e.stats.depth.update(now, e.queue.n)
		e.checkDrained()
		return
	}
	w.unlink(r)
	e.load--
	e.buckets.change(w, w.load-1)
	e.released(b, w, now)
	e.pump(b)
	e.checkDrained()
}

// abandon frees the place of a request whose client went away or misbehaved.
func (e *Engine) abandon(b *rpc.Batch, r *request, w *worker, channel uint64) {
	if w != nil {
		w.session.Forget(channel)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle(b, r, e.at(b.Now()))
}

// fail ends a request whose worker's connection ended.
func (e *Engine) fail(b *rpc.Batch, r *request, cause *rpc.Error) {
	args := rpc.AppendError(nil, cause)
	r.mu.Lock()
	finished := r.clientDone && r.workerDone // settleBoth is under way
	if !finished {
		r.answer(b, args)
	}
	r.mu.Unlock()
	if finished {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle(b, r, e.at(b.Now()))
}

// expire answers a request whose time is up. Called with Engine.mu held.
func (r *request) expire(b *rpc.Batch, _ *timer) {
	e := r.e
	r.mu.Lock()
	if r.clientDone && r.workerDone {
		r.mu.Unlock()
		return // settleBoth is under way
	}
	code, text := idl.NodeDeadline, "the event has expired in the queue"
	w, channel := r.worker, r.wchannel
	if r.phase == running {
		code, text = idl.NodeWorkerTimeout, "invocation has timed out"
		e.stats.timeouts++
	} else {
		e.stats.expired++
	}
	args := rpc.AppendError(nil, &rpc.Error{Category: idl.CategoryNode, Code: code, Message: text})
	if r.phase == running && !r.clientDone {
		r.toWorker(b, idl.StreamError, args)
	}
	r.answer(b, args)
	r.mu.Unlock()
	if w != nil {
		w.session.Forget(channel)
	}
	e.settle(b, r, e.at(b.Now()))
}

// checkDrained wakes a Stop that waits for the last request. Called with mu held.
func (e *Engine) checkDrained() {
	if e.idleness != nil && e.queue.n == 0 && e.load == 0 {
		close(e.idleness)
		e.idleness = nil
	}
}

// Stop ends the engine: nothing new is taken, what is queued and running is
// finished until ctx ends, then the rest of the queue is answered, the workers
// are told to terminate and get the profile's terminate-timeout. When Stop
// returns no process and no goroutine of the engine is left.
func (e *Engine) Stop(ctx context.Context) error {
	err := e.drain(ctx)
	rpc.Run(func(b *rpc.Batch) { e.shut(b) })
	e.awaitGone()
	e.cancel()
	e.mu.Lock()
	select {
	case <-e.ended:
	default:
		close(e.ended)
	}
	e.mu.Unlock()
	_ = e.server.Shutdown(e.ctx) // the context has ended: sessions are closed at once
	e.wg.Wait()
	os.Remove(e.o.Endpoint)
	return err
}

// drain refuses new requests and waits for the old ones.
func (e *Engine) drain(ctx context.Context) error {
	e.mu.Lock()
	if e.mode == serving {
		e.mode = draining
		e.notify()
	}
	if e.queue.n == 0 && e.load == 0 || e.mode == stopped {
		e.mu.Unlock()
		return nil
	}
	if e.idleness == nil {
		e.idleness = make(chan struct{})
	}
	c := e.idleness
	left := e.queue.n + e.load
	e.mu.Unlock()
	e.log.Info("draining", "requests", left)
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		e.mu.Lock()
		left = e.queue.n + e.load
		e.mu.Unlock()
		return fmt.Errorf("cannot drain app %q: %d requests are left: %w", e.o.App, left, context.Cause(ctx))
	}
}

// shut answers the queue and tells every worker to terminate.
func (e *Engine) shut(b *rpc.Batch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mode = stopped
	e.back.disarm()
	e.flushQueue(b, &rpc.Error{Category: idl.CategoryNode, Code: idl.NodeNotRunning, Message: "the application has been stopped"})
	for _, w := range e.workers {
		e.shutWorker(b, w)
	}
	e.notify()
}

// flushQueue answers everything that is queued. Called with mu held.
func (e *Engine) flushQueue(b *rpc.Batch, cause *rpc.Error) {
	args := rpc.AppendError(nil, cause)
	for r := e.queue.first; r != nil; r = e.queue.first {
		r.mu.Lock()
		r.answer(b, args)
		r.mu.Unlock()
		e.settle(b, r, e.at(b.Now()))
	}
}

// awaitGone waits until the pool is empty; every worker has a timer running.
func (e *Engine) awaitGone() {
	e.mu.Lock()
	if len(e.workers) == 0 {
		e.mu.Unlock()
		return
	}
	if e.gone == nil {
		e.gone = make(chan struct{})
	}
	c := e.gone
	e.mu.Unlock()
	<-c
}

func (e *Engine) notify() {
	if e.o.Changed != nil {
		e.o.Changed()
	}
}

// Warm makes the engine start a worker if it has none, as a request would.
func (e *Engine) Warm() {
	rpc.Run(func(b *rpc.Batch) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.floor = 1
		e.rebalance(b)
	})
}

// Active is the number of workers that have shaken hands and take requests.
func (e *Engine) Active() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active
}

// LastCrash is the latest worker that ended badly, nil if none did, and how many
// in a row ended before they were ready.
func (e *Engine) LastCrash() (last *Crash, failures int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last, e.failures
}

// queue is the FIFO of requests without a worker. Guarded by Engine.mu.
type queue struct {
	first, last *request
	n           int
}

func (q *queue) push(r *request) {
	r.prev, r.next = q.last, nil
	if q.last == nil {
		q.first = r
	} else {
		q.last.next = r
	}
	q.last = r
	q.n++
}

// unshift puts a request back at the head.
func (q *queue) unshift(r *request) {
	r.prev, r.next = nil, q.first
	if q.first == nil {
		q.last = r
	} else {
		q.first.prev = r
	}
	q.first = r
	q.n++
}

func (q *queue) remove(r *request) {
	if r.prev == nil {
		q.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		q.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
	q.n--
}
