package node

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

// State is where an app is in its life, by the words of the original.
type State string

// The states of an app.
const (
	Spooling State = "spooling"
	Running  State = "running"
	Broken   State = "broken"
	Stopping State = "stopping"
)

// App is one app of the node. Whoever starts it, replaces its release or stops it
// does so in its turn; see inTurn.
type App struct {
	n    *Node
	name string
	log  *slog.Logger

	ctx     context.Context // of starting, replacing and publishing; ends when it has to stop or is broken
	cancel  context.CancelFunc
	turn    chan struct{} // a token; whoever has it has the turn
	changed chan struct{} // has a token when the number of active workers changed
	wg      sync.WaitGroup
	// In wg are the watcher and the engines of earlier releases. All engines that
	// drain do so until draining ends at the latest.
	draining context.Context
	cutShort context.CancelFunc

	current atomic.Pointer[engine.Engine] // nil until it first runs, and when it is broken
	leases  engine.Leases                 // before current's lock
	code    codeUse
	front   front
	calls   timing.Timer                    // of the app's enqueue, of all releases
	reports [2 * engine.InfoMore]rpc.Shared // what info answers, by flags

	// Owned by whoever has the turn.
	engines int  // how many there have been
	stopped bool // nothing is left of it

	mu      sync.Mutex
	state   State
	cause   error // why it is broken
	profile string
	release *release
	since   time.Time
	leaving []*engine.Engine // of earlier releases, that have not finished
}

func newApp(n *Node, name, profile string) *App {
	a := &App{n: n, name: name, profile: profile, log: n.log.With("app", name), state: Spooling,
		turn: make(chan struct{}, 1), changed: make(chan struct{}, 1), since: time.Now()}
	a.ctx, a.cancel = context.WithCancel(n.ctx)
	a.draining, a.cutShort = context.WithCancel(context.Background())
	a.code.keep = func(digests ...string) { n.o.Spooler.Keep(name, digests...) }
	a.leases.Apply = a.resize
	a.turn <- struct{}{}
	return a
}

// State is the app's state now.
func (a *App) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *App) set(s State, cause error) {
	a.mu.Lock()
	a.state, a.cause, a.since = s, cause, time.Now()
	a.mu.Unlock()
}

// fail leaves a broken app in the table. It is replaced or removed as a whole, so
// nothing of it goes on.
func (a *App) fail(cause error) {
	a.set(Broken, cause)
	a.cancel()
	a.cutShort()
}

// inTurn runs f alone among everything that changes the app's state. It fails if
// the app has to stop first, or ctx ends.
func (a *App) inTurn(ctx context.Context, f func() error) error {
	select {
	case <-a.turn:
		defer a.give()
	case <-a.ctx.Done():
		return a.stopping()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if a.ctx.Err() != nil {
		return a.stopping()
	}
	return f()
}

func (a *App) give() { a.turn <- struct{}{} }

func (a *App) stopping() error {
	return rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "app %q is stopping", a.name)
}

// until returns a context that ends with ctx and when the app has to stop.
func (a *App) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(a.ctx, func() { cancel(a.stopping()) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// resize applies the size that the control channels want. It is called under the
// lock of leases, as every change of current is.
func (a *App) resize(n int) {
	if e := a.current.Load(); e != nil {
		e.SetTarget(n)
	}
}

// canceled is a context that has ended: for a stop that must not wait.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
