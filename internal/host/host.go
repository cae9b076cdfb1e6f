// Package host is the runtime's side of one worker, without the engine: no
// processes, no pool, no state on disk. A worker that stands alone is its own host,
// and a test hosts the workers it is about. To clients and to the worker it is what
// the engine is.
//
//	client session           host                 worker session
//	 enqueue ───▶ Service ─▶ queue? ─▶ invoke ───▶ Serve
//	 write, close ─────────▶ request ────────────▶
//	      ◀───────────────── request ◀──────────── write, close
//
//	h := host.New(host.Options{App: "hello"})
//	go h.Serve(ctx, conn)          // conn is the connection of a worker
//	server.Serve(ctx, ln, h.Service()) // for clients
//	...
//	h.Stop(ctx)
//
// # The model
//
// A [Host] has one worker at a time. Requests that come while there is none, or
// while it has as many as Options.Concurrency, wait in a queue of Options.Queue. A
// worker that is lost costs its requests an error, never the queue: the next worker
// that connects takes it. The rules of forwarding are those of package relay; the
// errors are the engine's (docs/PROTOCOL.md, Calling an app).
//
// What it does not do: it starts nothing, retries nothing, and measures little. A
// queued request whose data fills its place (1 MiB) stops the reading of its
// client's connection until it has a worker or its time is up.
//
// A [Directory] is the locator that goes with it.
//
// # Concurrency
//
// All methods may be called from any goroutine. Host.mu guards everything, the
// requests included; the sessions' locks come after it. Nothing blocks under it.
// Clients' and workers' reader goroutines do the forwarding. The goroutines of
// timers are the host's own: Stop waits for them.
package host

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Options describe a Host. The zero value is ready.
type Options struct {
	// App is the name of the app, for the log.
	App string
	// Release is what a client that asks for the story of its request is told.
	Release string
	// UUID is that of the worker. If empty, any worker will do.
	UUID string
	// Queue is how many requests wait for the worker; further ones are answered
	// with [21247, 1]. If zero, 100.
	Queue int
	// Concurrency is how many requests the worker gets at once. If zero, all.
	Concurrency int
	// RequestTimeout is the life of a request that does not say how long it may
	// take. If zero, a day.
	RequestTimeout time.Duration
	// HeartbeatTimeout is the longest silence of the worker. If zero, 30 s.
	HeartbeatTimeout time.Duration
	// HandshakeTimeout bounds the time from the connection to the handshake. If
	// zero, 5 s.
	HandshakeTimeout time.Duration
	// TerminateTimeout is how long a worker that was told to terminate may take. If
	// zero, 10 s.
	TerminateTimeout time.Duration
	// Session configures the worker's connection.
	Session rpc.SessionOptions
	// Log receives the life of the worker. If nil, nothing is logged.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	set(&o.RequestTimeout, 24*time.Hour)
	set(&o.HeartbeatTimeout, 30*time.Second)
	set(&o.HandshakeTimeout, 5*time.Second)
	set(&o.TerminateTimeout, 10*time.Second)
	if o.Queue <= 0 {
		o.Queue = 100
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Host runs one app on one worker. Make it with New, end it with Stop.
type Host struct {
	o    Options
	log  *slog.Logger
	born time.Time
	mux  *rpc.Mux
	wg   sync.WaitGroup // timers that are armed or at work

	mu       sync.Mutex
	stopping bool                 // nothing new is taken
	conns    map[*worker]struct{} // those that Serve serves
	worker   *worker              // the one that has shaken hands; nil when there is none
	queue    []*request           // oldest first
	counts   counts
	changed  chan struct{} // closed when something changed that somebody waits for; nil when nobody does
}

// counts is what Info tells beside the present state.
type counts struct {
	accepted, rejected, expired, timeouts uint64
	workers, lost                         uint64
}

// New makes a host without a worker.
func New(o Options) *Host {
	h := &Host{o: o.withDefaults(), born: time.Now(), conns: make(map[*worker]struct{})}
	h.log = h.o.Log.With("app", o.App)
	h.mux = h.service()
	return h
}

// Service is the app's service, for the connections of clients.
func (h *Host) Service() *rpc.Mux { return h.mux }

// await waits until ok, which is called with mu held, reports true.
func (h *Host) await(ctx context.Context, ok func() bool) error {
	for {
		h.mu.Lock()
		if ok() {
			h.mu.Unlock()
			return nil
		}
		if h.changed == nil {
			h.changed = make(chan struct{})
		}
		c := h.changed
		h.mu.Unlock()
		select {
		case <-c:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// notify wakes those who wait. Called with mu held.
func (h *Host) notify() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// Ready waits until there is a worker.
func (h *Host) Ready(ctx context.Context) error {
	if err := h.await(ctx, func() bool { return h.worker != nil }); err != nil {
		return fmt.Errorf("cannot wait for a worker of app %q: %w", h.o.App, err)
	}
	return nil
}

// load is how many requests are under way or wait. Called with mu held.
func (h *Host) load() int {
	n := len(h.queue)
	if h.worker != nil {
		n += len(h.worker.requests)
	}
	return n
}

// Stop ends the host: nothing new is taken, what is under way is finished until ctx
// ends, then what waits is answered with [20991, 6], and the worker is told to
// terminate and gets Options.TerminateTimeout. When it returns, every Serve has
// returned or is about to. The error says that requests were cut off.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopping = true
	h.mu.Unlock()
	err := h.await(ctx, func() bool { return h.load() == 0 })
	if err != nil {
		err = fmt.Errorf("cannot drain app %q: %w", h.o.App, err)
	}
	rpc.Run(h.shut)
	_ = h.await(context.Background(), func() bool { return len(h.conns) == 0 }) // each has a timer running
	h.wg.Wait()
	return err
}

// shut answers the queue and tells the worker to terminate.
func (h *Host) shut(b *rpc.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	args := rpc.AppendError(nil, rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "the application has been stopped"))
	for _, r := range append([]*request(nil), h.queue...) {
		r.answer(b, args)
		h.settle(b, r)
	}
	for w := range h.conns {
		if w == h.worker {
			h.terminate(b, w)
		} else {
			h.bury(b, w, errNotReady, canceled)
		}
	}
}

// An alarm is a timer whose function the host waits for before it ends.
type alarm struct {
	h *Host
	t *time.Timer
}

// after arms an alarm.
func (h *Host) after(d time.Duration, f func(b *rpc.Batch)) *alarm {
	h.wg.Add(1)
	return &alarm{h, time.AfterFunc(d, func() {
		defer h.wg.Done()
		rpc.Run(f)
	})}
}

// stop disarms it. It may be at work.
func (a *alarm) stop() {
	if a != nil && a.t.Stop() {
		a.h.wg.Done()
	}
}
