package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
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

// App is one app of the node.
type App struct {
	n    *Node
	name string
	log  *slog.Logger

	ctx      context.Context // of starting and replacing; ends with pause
	cancel   context.CancelFunc
	turn     chan struct{} // token: start, replace and pause exclude each other
	changed  chan struct{} // has a token when the number of active workers changed
	progress func(stage, text string)
	wg       sync.WaitGroup // watcher, draining engines
	current  atomic.Pointer[engine.Engine]

	mu      sync.Mutex
	state   State
	cause   error // why it is broken
	profile string
	release *release
	pub     Publication
	shown   bool
	since   time.Time
	paused  bool
}

func newApp(n *Node, name, profile string) *App {
	a := &App{n: n, name: name, profile: profile, log: n.log.With("app", name), state: Spooling,
		turn: make(chan struct{}, 1), changed: make(chan struct{}, 1), since: time.Now()}
	a.ctx, a.cancel = context.WithCancel(n.ctx)
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

// take gets the token. It returns an error if the app is being paused.
func (a *App) take() error {
	select {
	case <-a.turn:
	case <-a.ctx.Done():
		return rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "app %q is stopping", a.name)
	}
	if a.ctx.Err() != nil {
		a.give()
		return rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "app %q is stopping", a.name)
	}
	return nil
}

func (a *App) give() { a.turn <- struct{}{} }

func (a *App) tell(stage, text string) {
	if a.progress != nil {
		a.progress(stage, text)
	}
}

// start brings the app from its records to running. Records that are missing or
// bad leave no trace in the table; later failures leave a broken app.
func (a *App) start() error {
	if err := a.take(); err != nil {
		return err
	}
	defer a.give()
	rel, err := a.load(a.ctx, a.profile)
	if err != nil {
		a.cancel()
		a.n.drop(a)
		return err
	}
	if err := a.launch(rel); err != nil {
		if a.ctx.Err() != nil {
			a.n.drop(a)
			return rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "start of app %q was interrupted", a.name)
		}
		a.set(Broken, err)
		a.log.Error("app is broken", "cause", err)
		return err
	}
	return nil
}

// launch spools a release, starts its engine and publishes the app.
func (a *App) launch(rel *release) error {
	a.tell("spool", "unpacking the code")
	if err := a.spool(a.ctx, rel); err != nil {
		return err
	}
	e, err := a.engine(rel)
	if err != nil {
		return err
	}
	if err := e.Start(); err != nil {
		return coded(err, idl.NodeSpoolFailed)
	}
	a.current.Store(e)
	pub, err := a.n.o.Publisher.Open(a.ctx, a.name, engine.Service(a, rpc.MuxOptions{Log: a.log}))
	if err != nil {
		a.current.Store(nil)
		return errors.Join(coded(err, idl.NodePublishFailed), e.Stop(canceled()))
	}
	a.mu.Lock()
	a.release, a.pub = rel, pub
	a.mu.Unlock()
	if err := a.publish(); err != nil {
		a.current.Store(nil)
		return errors.Join(coded(err, idl.NodePublishFailed), pub.Close(canceled()), e.Stop(canceled()))
	}
	a.set(Running, nil)
	a.wg.Go(a.watch)
	a.n.o.Spooler.Keep(a.name, rel.digest)
	a.log.Info("app is running", "release", rel.number, "profile", rel.profileName)
	return nil
}

// coded gives an error without a code one of the node's.
func coded(err error, code int) error {
	if _, ok := errors.AsType[*rpc.Error](err); ok {
		return err
	}
	return fmt.Errorf("%w: %w", rpc.Errorf(idl.CategoryNode, code, "%v", err), err)
}

// canceled is a context that has ended: for a stop that must not wait.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// engine makes the engine of a release.
func (a *App) engine(rel *release) (*engine.Engine, error) {
	iso := a.n.o.Isolates[rel.profile.Isolate.Type]
	if iso == nil {
		return nil, rpc.Errorf(idl.CategoryRepository, idl.RepositoryNotAvailable,
			"cannot start app %q: there is no isolate %q", a.name, rel.profile.Isolate.Type)
	}
	endpoint, err := a.endpoint(rel)
	if err != nil {
		return nil, err
	}
	o := engine.Options{
		App: a.name, Release: strconv.Itoa(rel.number), Manifest: *rel.manifest,
		Profile: *rel.profile, ProfileName: rel.profileName, Dir: rel.dir,
		Endpoint: endpoint, Locator: a.n.o.Locator, Isolate: iso,
		Crashed: a.n.crashed, Changed: a.wake, Session: a.n.o.Session, Log: a.n.log,
	}
	if a.n.o.Output != nil {
		o.Output = func(worker string, line []byte, stderr bool) { a.n.o.Output(a.name, worker, line, stderr) }
	}
	return engine.New(o), nil
}

// maxSocketPath is what the kernel takes for the path of a unix socket.
const maxSocketPath = 107

// endpoint is the path of the workers' socket: the original's app.pid, and the
// number of the release for all but the first of this process.
func (a *App) endpoint(rel *release) (string, error) {
	name := fmt.Sprintf("%s.%d", a.name, os.Getpid())
	if a.current.Load() != nil {
		name += "." + strconv.Itoa(rel.number)
	}
	path := filepath.Join(a.n.o.RuntimeDir, name)
	if len(path) > maxSocketPath {
		path = filepath.Join(a.n.o.RuntimeDir, fmt.Sprintf("%.12s.%d.%d", rel.digest, os.Getpid(), rel.number))
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("cannot start app %q: socket path %q is longer than %d bytes", a.name, path, maxSocketPath)
	}
	return path, nil
}

// replace brings a new release up beside the running one.
func (a *App) replace(ctx context.Context, profile string, progress func(stage, text string)) error {
	if err := a.take(); err != nil {
		return err
	}
	defer a.give()
	if s := a.State(); s != Running {
		return rpc.Errorf(idl.CategoryNode, idl.NodeAlreadyStarted, "cannot deploy app %q: it is %s", a.name, s)
	}
	a.progress = progress
	defer func() { a.progress = nil }()
	rel, err := a.load(a.ctx, profile)
	if err != nil {
		return err
	}
	a.tell("spool", "unpacking the code")
	if err := a.spool(a.ctx, rel); err != nil {
		return err
	}
	next, err := a.engine(rel)
	if err != nil {
		return err
	}
	if err := next.Start(); err != nil {
		return coded(err, idl.NodeSpoolFailed)
	}
	a.tell("start", "starting a worker")
	if err := awaitWorker(ctx, next, a.changed); err != nil {
		return errors.Join(err, next.Stop(canceled()))
	}
	a.swap(rel, next)
	a.tell("ready", "release "+strconv.Itoa(rel.number)+" is ready")
	return nil
}

// swap sends requests to the new engine and lets the old one drain.
func (a *App) swap(rel *release, next *engine.Engine) {
	old := a.current.Swap(next)
	a.mu.Lock()
	was := a.release
	a.release, a.profile, a.since = rel, rel.profileName, time.Now()
	a.mu.Unlock()
	a.wake()
	a.log.Info("release took over", "release", rel.number, "was", was.number)
	a.wg.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, was.profile.SealTimeout)
		defer cancel()
		if err := old.Stop(ctx); err != nil {
			a.log.Warn("old release did not finish in time", "release", was.number, "cause", err)
		}
		a.n.o.Spooler.Keep(a.name, rel.digest)
	})
}

// awaitReady waits for the first worker after a start.
func (a *App) awaitReady(ctx context.Context, progress func(stage, text string)) error {
	progress("start", "starting a worker")
	if err := awaitWorker(ctx, a.current.Load(), a.changed); err != nil {
		return err
	}
	a.wake()
	progress("ready", "release 1 is ready")
	return nil
}

// awaitWorker makes an engine start a worker and waits until it takes requests.
func awaitWorker(ctx context.Context, e *engine.Engine, changed <-chan struct{}) error {
	e.Warm()
	tick := time.NewTicker(20 * time.Millisecond) // a failure to start changes no number of active workers
	defer tick.Stop()
	for {
		if e.Active() > 0 {
			return nil
		}
		if crash, failures := e.LastCrash(); failures > 0 && crash != nil {
			return rpc.Errorf(idl.CategoryNode, idl.NodeNoResources, "%s", crash.Sentence())
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("no worker became ready: %w", context.Cause(ctx))
		}
	}
}

// pause stops the app. Only the first call works; others wait for it.
func (a *App) pause(ctx context.Context) error {
	a.cancel() // interrupts a start or a replacement
	<-a.turn   // no limit: whoever holds the token was just interrupted
	defer a.give()
	a.mu.Lock()
	if a.paused {
		a.mu.Unlock()
		return nil
	}
	a.paused = true
	a.state = Stopping
	pub, rel := a.pub, a.release
	a.mu.Unlock()
	defer a.n.drop(a)
	if pub != nil {
		pub.Hide()
	}
	var err error
	if e := a.current.Load(); e != nil {
		limit, cancel := context.WithTimeout(ctx, rel.profile.SealTimeout)
		err = e.Stop(limit)
		cancel()
	}
	if pub != nil {
		_ = pub.Close(canceled()) // what was under way is finished or answered by now
	}
	a.wg.Wait()
	a.log.Info("app is stopped")
	if err != nil {
		a.log.Warn("app did not finish in time", "cause", err)
	}
	return nil
}

// wake tells the watcher that the number of active workers may have changed. It
// is called under the engine's lock.
func (a *App) wake() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// watch publishes and hides the app as its workers come and go (publish-on,
// unpublish-under).
func (a *App) watch() {
	for {
		select {
		case <-a.changed:
			if err := a.publish(); err != nil {
				a.log.Error("cannot publish app", "cause", err)
			}
		case <-a.ctx.Done():
			return
		}
	}
}

// publish shows or hides the name according to the active workers.
func (a *App) publish() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.current.Load()
	if a.pub == nil || e == nil || a.paused {
		return nil
	}
	n := e.Active()
	switch {
	case !a.shown && n >= a.release.profile.PublishOn:
		if err := a.pub.Show(a.ctx); err != nil {
			return err
		}
		a.shown = true
	case a.shown && n < a.release.profile.UnpublishUnder:
		a.pub.Hide()
		a.shown = false
	}
	return nil
}
