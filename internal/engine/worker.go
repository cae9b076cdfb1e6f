package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// state is where a worker is in its life (docs/states/worker.dot).
type state int

const (
	spawning    state = iota // the process is being started
	handshaking              // it runs and has not introduced itself
	active                   // it takes requests
	sealing                  // it finishes what it has and takes nothing new
	terminating              // it was told to go
	dead                     // it has left the pool
)

// String is the name that info shows.
func (s state) String() string {
	return [...]string{"spawning", "handshaking", "active", "sealing", "terminating", "closed"}[s]
}

// stays reports whether a worker in this state is going to take requests.
func (s state) stays() bool { return s <= active }

// reason is why a worker left the pool: the codes of the original's slave
// category, which also travel in terminate messages.
type reason int

const (
	byItself   reason = 0
	spawnLate  reason = 1
	shakeLate  reason = 4
	neverReady reason = 5
	sealLate   reason = 6
	termLate   reason = 7
	heartLate  reason = 8
	connLost   reason = 10
	appStopped reason = 11
	suicide    reason = 12
	sealed     reason = 14
)

// abnormal is the code by which workers of v0.11 say that they can not go on; the
// runtime of that time gave up the whole app then.
const abnormal = 2

// sentence says a reason in words for people.
func (c reason) sentence() string {
	switch c {
	case spawnLate:
		return "did not start within spawn-timeout"
	case shakeLate:
		return "did not shake hands within handshake-timeout"
	case neverReady:
		return "ended before it was ready"
	case sealLate:
		return "did not finish its requests within seal-timeout"
	case termLate:
		return "did not terminate within terminate-timeout"
	case heartLate:
		return "sent no heartbeat within heartbeat-timeout"
	case connLost:
		return "closed its connection"
	case appStopped:
		return "overseer is shutting down"
	case suicide:
		return "terminated by itself"
	case sealed:
		return "slave is sealing"
	}
	return "ended"
}

// A worker is one process of the pool. Its fields are guarded by Engine.mu unless
// they say otherwise.
type worker struct {
	e    *Engine
	id   string // never changes
	tail *tail  // the last lines it printed; has its own lock

	state    state
	born     instant
	session  *rpc.Session // nil until the handshake
	control  uint64       // the channel of the handshake
	met      instant      // when that was
	hears    bool         // it understands revoke
	ready    bool         // it was active once
	beat     instant      // the latest sign of life
	load     int
	slot     int // 1 + index in its bucket; 0 when it takes no requests
	requests *request
	accepted uint64
	idle     instant // since when it has had no request
	pid      int
	bare     bool // it was started without --protocol

	clock     timer // the limit of the present state
	heartbeat timer

	// Owned by the reader of the worker's connection: see finished.
	ended     []*request
	finishing bool

	// Set once, when the worker leaves the pool; then ctx ends.
	reason   reason
	crash    bool
	asked    bool // it was told to terminate, or said so itself: its process should be going
	inflight int  // requests that its end cut off
	died     time.Time
	uptime   time.Duration
	ctx      context.Context
	cancel   context.CancelFunc
}

// link and unlink keep the list of requests on the worker.
func (w *worker) link(r *request) {
	r.prev, r.next = nil, w.requests
	if w.requests != nil {
		w.requests.prev = r
	}
	w.requests = r
}

func (w *worker) unlink(r *request) {
	if r.prev != nil {
		r.prev.next = r.next
	} else if w.requests == r {
		w.requests = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// spawn adds a worker to the pool and starts its supervisor. Called with mu held.
func (e *Engine) spawn() {
	now := e.now()
	w := &worker{e: e, id: uuid.NewString(), tail: newTail(e.p.CrashlogLimit), born: now, idle: now}
	w.ctx, w.cancel = context.WithCancel(e.ctx)
	w.clock.owner, w.heartbeat.owner = w, w
	e.workers[w.id] = w
	e.staying++
	e.stats.spawned++
	e.enter(w, spawning, e.p.SpawnTimeout)
	e.wg.Go(func() { e.supervise(w) })
}

// noLimit is the limit of a state that may last for ever. A limit of 0 is over at
// once.
const noLimit time.Duration = -1

// enter changes a worker's state and sets the limit of the new one. Called with
// mu held.
func (e *Engine) enter(w *worker, s state, limit time.Duration) {
	e.log.Debug("worker changes state", "worker", w.id, "state", s)
	was := w.state
	w.state = s
	e.timers.disarm(&w.clock)
	if limit >= 0 {
		e.timers.arm(&w.clock, e.now()+instant(limit))
	}
	if was.stays() && !s.stays() {
		e.staying--
	}
	if was == active {
		e.active--
		e.notify()
	}
	if s == active {
		e.active++
		e.notify()
		e.announce()
	}
}

// expire handles the limit of a state, or a missing heartbeat. Called with mu held.
func (w *worker) expire(b *rpc.Batch, t *timer) {
	e := w.e
	if t == &w.heartbeat {
		due := w.beat + instant(e.p.HeartbeatTimeout)
		if e.now() < due {
			e.timers.arm(&w.heartbeat, due) // it was heard of meanwhile
			return
		}
		if w.session.Blocked() {
			// A client that does not read has stopped the reading of this worker, so
			// that nobody hears it. The session sees to the client.
			w.beat = e.now()
			e.timers.arm(&w.heartbeat, w.beat+instant(e.p.HeartbeatTimeout))
			return
		}
		e.bury(b, w, heartLate, w.state != terminating, canceled)
		return
	}
	switch w.state {
	case spawning:
		e.bury(b, w, spawnLate, true, canceled)
	case handshaking:
		e.bury(b, w, shakeLate, true, canceled)
	case sealing:
		e.terminate(b, w, sealLate)
	case terminating:
		e.bury(b, w, termLate, false, canceled)
	default:
		e.log.Error("timer fired in a state that has none", "worker", w.id, "state", w.state)
	}
}

// canceled is what clients see of a worker that the engine gave up.
var canceled = &rpc.Error{Category: idl.CategorySocket, Code: idl.SocketCanceled, Message: "slave has been discarded"}

// spawned says that the process runs.
func (e *Engine) spawned(w *worker, pid int) {
	rpc.Run(func(b *rpc.Batch) {
		e.mu.Lock()
		defer e.mu.Unlock()
		w.pid = pid
		if w.state != spawning {
			return // it was given up meanwhile; its supervisor will see
		}
		if w.session != nil {
			e.activate(b, w)
			return
		}
		e.enter(w, handshaking, e.p.HandshakeTimeout)
	})
}

// activate makes a worker ready for requests. Called with mu held.
func (e *Engine) activate(b *rpc.Batch, w *worker) {
	w.ready = true
	w.idle = e.now()
	e.failures = 0
	e.enter(w, active, noLimit)
	e.buckets.add(w)
	e.pump(b)
	e.rebalance(b)
	e.checkIdle(w.idle)
}

// shaken takes the connection of a worker. It returns false for one that nobody
// waits for.
func (e *Engine) shaken(b *rpc.Batch, s *rpc.Session, channel uint64, id string, hears bool) *worker {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.workers[id]
	if w == nil || w.session != nil || w.state > handshaking {
		return nil
	}
	w.session, w.control, w.hears = s, channel, hears
	e.hears = hears
	w.beat = e.at(b.Now())
	w.met = w.beat
	e.timers.arm(&w.heartbeat, w.beat+instant(e.p.HeartbeatTimeout))
	if w.state == handshaking {
		e.activate(b, w)
	}
	return w
}

// seal lets a worker finish and go. Called with mu held.
func (e *Engine) seal(b *rpc.Batch, w *worker) {
	e.buckets.remove(w)
	e.enter(w, sealing, e.p.SealTimeout)
	if w.load == 0 {
		e.terminate(b, w, sealed)
	}
}

// terminate tells a worker to go. Called with mu held.
func (e *Engine) terminate(b *rpc.Batch, w *worker, why reason) {
	e.buckets.remove(w)
	args := msgpack.AppendArray(nil, 2)
	args = msgpack.AppendInt(args, int64(why))
	args = msgpack.AppendString(args, why.sentence())
	w.asked = true
	e.enter(w, terminating, e.p.TerminateTimeout)
	_ = w.session.Send(b, w.control, idl.WorkerTerminate, args, nil) // if its connection has ended, it is as good as gone
}

// released says that a worker has one request less. Called with mu held.
func (e *Engine) released(b *rpc.Batch, w *worker, now instant) {
	if w.load > 0 {
		return
	}
	w.idle = now
	if w.state == sealing {
		e.terminate(b, w, sealed)
		return
	}
	e.checkIdle(now)
}

// said takes a terminate message of a worker: the acknowledgement of ours, or its
// own wish to go.
func (e *Engine) said(b *rpc.Batch, w *worker, code int64, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch w.state {
	case dead:
	case terminating:
		e.bury(b, w, byItself, false, canceled)
	default:
		e.log.Info("worker terminates by itself", "worker", w.id, "code", code, "text", text)
		w.asked = true
		// A worker that has done something and leaves nothing undone wants to be
		// replaced by a fresh one, unless it says that it is not well. Any other has
		// failed, as to the original every worker that leaves by itself has: it must
		// not be replaced in a loop.
		e.bury(b, w, suicide, code == abnormal || w.accepted == 0 || w.load > 0, canceled)
	}
}

// hungUp says that a worker's connection ended.
func (e *Engine) hungUp(b *rpc.Batch, w *worker, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch w.state {
	case dead:
	case terminating:
		e.bury(b, w, byItself, false, relay.Discarded(err)) // an acknowledgement too
	default:
		e.bury(b, w, connLost, true, relay.Discarded(err))
	}
}

// exited says that a worker's process ended. What it wrote before is still read:
// the engine waits for the end of the connection, but not for a grandchild that
// holds it open.
func (e *Engine) exited(w *worker) {
	e.mu.Lock()
	e.buckets.remove(w) // no further requests meanwhile
	s := w.session
	e.mu.Unlock()
	if s != nil {
		t := time.NewTimer(time.Second)
		defer t.Stop()
		select {
		case <-s.Done():
		case <-w.ctx.Done():
		case <-t.C:
		}
	}
	rpc.Run(func(b *rpc.Batch) {
		e.mu.Lock()
		defer e.mu.Unlock()
		switch {
		case w.state == dead:
		case w.state == terminating:
			e.bury(b, w, byItself, false, canceled)
		case w.session == nil:
			e.bury(b, w, neverReady, !e.minded(w), canceled)
		default:
			e.bury(b, w, connLost, true, relay.Discarded(nil))
		}
	})
}

// bury takes a worker out of the pool: its requests are answered, its supervisor
// makes an end of the process, and the pool is filled up again. Called with mu
// held.
func (e *Engine) bury(b *rpc.Batch, w *worker, why reason, crash bool, cause *rpc.Error) {
	if w.state == dead {
		return
	}
	e.buckets.remove(w)
	w.inflight, w.died, w.uptime = w.load, time.Now().UTC(), time.Duration(e.now()-w.born)
	if w.session != nil {
		e.stays.Add(time.Duration(e.now() - w.met))
	}
	e.enter(w, dead, noLimit)
	e.timers.disarm(&w.heartbeat)
	delete(e.workers, w.id)
	w.reason, w.crash = why, crash
	w.cancel()
	e.log.Debug("worker left the pool", "worker", w.id, "reason", why.sentence(), "requests", w.load)
	e.failAll(b, w, cause)
	if w.crash {
		e.stats.crashed++
		if !w.ready {
			e.failures++
		}
		e.back.failed(e.now())
	}
	e.rebalance(b)
	if len(e.workers) == 0 && e.gone != nil {
		close(e.gone)
		e.gone = nil
	}
}

// failAll ends the requests of a worker that has left. Called with mu held.
func (e *Engine) failAll(b *rpc.Batch, w *worker, cause *rpc.Error) {
	args := rpc.AppendError(nil, cause)
	now := e.at(b.Now())
	for r := w.requests; r != nil; {
		following := r.next
		r.mu.Lock()
		finished := r.clientDone && r.workerDone // settleBoth is under way
		if !finished {
			r.answer(b, args)
		}
		r.mu.Unlock()
		if !finished {
			e.settle(b, r, now)
		}
		r = following
	}
}

// shutWorker ends a worker because the app stops. Called with mu held.
func (e *Engine) shutWorker(b *rpc.Batch, w *worker) {
	switch w.state {
	case spawning, handshaking:
		e.bury(b, w, appStopped, false, canceled)
	case active, sealing:
		e.terminate(b, w, appStopped)
	}
}

// supervise is the goroutine of one worker: it starts the process, waits for it,
// and makes an end of it when the engine has given it up.
func (e *Engine) supervise(w *worker) {
	proc, err := e.startProcess(w)
	if err != nil {
		e.unborn(w)
		e.hangUp(w)
		e.report(w, isolate.Exit{}, err)
		return
	}
	e.spawned(w, proc.PID())
	select {
	case <-proc.Done():
		e.exited(w)
		<-w.ctx.Done()
	case <-w.ctx.Done():
	}
	e.reap(w, proc)
	e.hangUp(w)
	e.report(w, proc.Exit(), nil)
}

// startProcess starts a worker with the arguments and environment that it expects.
func (e *Engine) startProcess(w *worker) (isolate.Process, error) {
	env, err := e.environment(w.ctx)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	args := e.arguments(w)
	e.mu.Unlock()
	return e.o.Isolate.Spawn(w.ctx, isolate.Spawn{
		App: e.o.App, Worker: w.id, Dir: e.o.Dir, Path: e.o.Manifest.Executable(e.o.Dir),
		Args:     args,
		Env:      env,
		Limits:   e.p.Limits,
		Settings: e.p.Isolate.Args,
		Output: func(line []byte, stderr bool) {
			w.tail.add(line)
			if e.o.Output != nil {
				e.o.Output(w.id, line, stderr)
			}
		},
	})
}

func (e *Engine) environment(ctx context.Context) ([]string, error) {
	env := make([]string, 0, len(e.o.Manifest.Environment)+2)
	for k, v := range e.o.Manifest.Environment {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	if e.o.Token == nil {
		return env, nil
	}
	typ, body, err := e.o.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot get a token for app %q: %w", e.o.App, err)
	}
	if typ != "" {
		env = append(env, "COCAINE_APP_TOKEN_TYPE="+typ, "COCAINE_APP_TOKEN_BODY="+body)
	}
	return env, nil
}

// unborn says that a worker's process could not be started.
func (e *Engine) unborn(w *worker) {
	rpc.Run(func(b *rpc.Batch) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.bury(b, w, neverReady, true, canceled)
	})
}

// hangUp closes the connection of a worker whose process has ended: something it
// left behind may hold the other end.
func (e *Engine) hangUp(w *worker) {
	e.mu.Lock()
	s := w.session
	e.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}

// patience is how long the process of a worker that has left the pool may take to
// end by itself.
func (w *worker) patience(grace time.Duration) time.Duration {
	switch {
	case w.reason == termLate:
		return 0 // that was the time it had
	case w.asked:
		return grace
	case w.reason == connLost:
		return min(grace, time.Second) // likely it is ending, and how says more than our signal
	default:
		return 0
	}
}

// reap makes an end of a process: one that should be going gets the time to do so,
// then SIGTERM and SIGKILL go to its whole group. What is left of the group when
// the process has ended by itself is the isolate's to kill.
func (e *Engine) reap(w *worker, proc isolate.Process) {
	if patience := w.patience(e.o.KillGrace); patience > 0 && e.goneWithin(proc, patience) {
		return
	}
	if proc.Signal(sigterm) == nil && e.goneWithin(proc, e.o.KillGrace) {
		return
	}
	if err := proc.Kill(); err != nil {
		e.log.Warn("cannot kill worker", "worker", w.id, "cause", err)
	}
	<-proc.Done()
}

// goneWithin waits for the end of a process.
func (e *Engine) goneWithin(proc isolate.Process, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-proc.Done():
		return true
	case <-t.C:
		return false
	}
}
