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

	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
	"github.com/cocaine/cocaine-go/internal/v011"
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
	// Calls, if not nil, is told how long the calls of enqueue take, from their coming to
	// the end of both halves, those that are refused included. The engines that serve one
	// app one after the other share it. If nil, the engine has one of its own.
	Calls *timing.Timer
	// Session configures the workers' connections. Its Recognise is the engine's:
	// workers of v0.11 and of v0.12 are told apart by what they say first.
	Session rpc.SessionOptions
	// Log receives the life of the workers. If nil, nothing is logged.
	Log *slog.Logger
}

// spareChannels is what a worker's connection needs beside its requests: the
// control channel, and some room.
const spareChannels = 16

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
	calls *timing.Timer
	clog  int // bytes waiting to be sent that make a worker a bad choice

	server *rpc.Server
	stays  timing.Timer   // how long connections of workers last, from the handshake on
	wg     sync.WaitGroup // supervisors, the timer loop, the listener
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when the timer loop has to go

	_ [64]byte // what never changes does not share a line of the cache with what always does

	mu        sync.Mutex
	mode      mode
	workers   map[string]*worker // the pool: every worker that has not ended
	buckets   buckets            // active workers, by load
	strangers int                // connections of workers that nobody waits for
	staying   int                // workers that are not on their way out
	active    int                // workers in state active
	load      int                // open requests on all workers
	queue     queue
	timers    timers
	unwanted  unwanted
	hears     bool // the worker that came last understands revoke
	bare      bool // workers are started without --protocol, see minded
	target    int  // wanted pool size set by control; 0 = automatic
	floor     int  // workers to have at least: 1 once a request has come, less again as idle ones are retired
	back      backoff
	idle      idleCheck
	untraced  []byte // room for the headers of an invoke, see headersFor
	free      *request
	nfree     int
	stats     stats
	idleness  chan struct{} // closed when draining and nothing is left; nil when nobody waits
	gone      chan struct{} // closed when stopped and the pool is empty; nil when nobody waits
	news      chan struct{} // closed when something happened that Warm waits for; nil when nobody waits
	failures  int           // workers that died before they were ready, in a row
	last      *Crash        // the latest one
	unready   *Crash        // the latest of a worker that was never ready

	leases Leases // has a lock of its own, which comes before mu
}

// New makes an engine. Nothing runs until Start.
func New(o Options) *Engine {
	if o.KillGrace <= 0 {
		o.KillGrace = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Calls == nil {
		o.Calls = new(timing.Timer)
	}
	if o.Session.Channels > 0 || o.Profile.Concurrency > 1<<16 {
		// A worker carries as many requests as its profile says.
		o.Session.Channels = max(o.Session.Channels, o.Profile.Concurrency+spareChannels)
	}
	if o.Session.Stats == nil {
		o.Session.Stats = new(rpc.Stats)
	}
	o.Session.Recognise = v011.RecogniseWorker(v011.WorkerOptions{Limits: o.Session.Limits,
		Sessions: 2 * max(1<<17, o.Profile.Concurrency), Stats: o.Session.Stats})
	e := &Engine{o: o, p: o.Profile, log: o.Log.With("app", o.App), epoch: time.Now(),
		calls: o.Calls, workers: make(map[string]*worker), ended: make(chan struct{})}
	if e.clog = o.Session.Buffer / 2; e.clog <= 0 {
		e.clog = 2 << 20 // half of the session's default
	}
	e.timers.wake = make(chan struct{}, 1)
	e.leases.Apply = e.SetTarget
	e.back.owner, e.idle.owner, e.unwanted.owner = e, e, e
	e.back.timer.owner, e.idle.timer.owner, e.unwanted.timer.owner = &e.back, &e.idle, &e.unwanted
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

func (e *Engine) notify() {
	if e.o.Changed != nil {
		e.o.Changed()
	}
}

// Active is the number of workers that have shaken hands and take requests.
func (e *Engine) Active() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active
}

// Pending is the number of requests that are queued or running.
func (e *Engine) Pending() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.queue.n + e.load
}

// Timer tells how long the calls of enqueue take. It implements rpc.Timed.
func (e *Engine) Timer() *timing.Timer { return e.calls }

// Timings tell how long requests take from the moment that a worker has them to the end
// of both halves: how many there were, and how long they took, the latest above all.
func (e *Engine) Timings() (count uint64, h timing.Histogram) {
	return e.stats.timings.Read()
}

// Handshakes are the connections and channels that workers have opened, and how long
// the handshake's channel stays, which is as long as its worker does.
func (e *Engine) Handshakes() (rpc.Usage, *timing.Timer) { return e.server.Usage(), &e.stays }

// LastCrash is the latest worker that ended badly, nil if none did, and how many
// in a row ended before they were ready.
func (e *Engine) LastCrash() (last *Crash, failures int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last, e.failures
}
