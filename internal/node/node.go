package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

// Storage is where the records of apps live. Read of a missing key returns an
// error that is fs.ErrNotExist.
type Storage interface {
	Read(ctx context.Context, collection, key string) ([]byte, error)
	Write(ctx context.Context, collection, key string, value []byte, tags []string) error
	// Amend is read, change and write with no other write in between; see package
	// storage.
	Amend(ctx context.Context, collection, key string, tags []string, change func(old []byte) ([]byte, error)) error
	Remove(ctx context.Context, collection, key string) error
	Find(ctx context.Context, collection string, tags []string) ([]string, error)
}

// A Publisher opens the services of apps.
type Publisher interface {
	// Open listens for clients of an app and serves them with a.
	Open(ctx context.Context, name string, a rpc.Acceptor) (Publication, error)
}

// A Publication is one app's listener.
type Publication interface {
	// Show makes the name resolve. It fails if the name is taken.
	Show(ctx context.Context) error
	// Hide makes it resolve no longer; open connections stay.
	Hide()
	// Close hides the name, stops listening and closes the connections, idle ones
	// at once and the others when they become idle or ctx ends.
	Close(ctx context.Context) error
}

// A Spooler unpacks the code of apps.
type Spooler interface {
	// Spool returns a directory with the archive's content. The digest names the
	// content: the same digest may give the same directory.
	Spool(ctx context.Context, app, digest string, archive io.Reader) (dir string, err error)
	// Keep tells which digests of an app are in use; others may be removed.
	Keep(app string, digests ...string)
}

// Options configure a Node. Storage, Publisher, Spooler and Isolates are required.
type Options struct {
	Storage   Storage
	Publisher Publisher
	Spooler   Spooler
	// Isolates by the profile's isolate.type.
	Isolates map[string]isolate.Isolate
	// RuntimeDir holds the workers' sockets.
	RuntimeDir string
	// Locator is handed to workers: a comma-separated list of host:port.
	Locator string
	// Runlist names the record of what ought to run. If empty, nothing is
	// remembered.
	Runlist string
	// Output, if not nil, gets the lines that workers print. It must not block.
	Output func(app, worker string, line []byte, stderr bool)
	// Crashed, if not nil, gets each crash after it was recorded.
	Crashed func(engine.Crash)
	// Listen, if not nil, opens the workers' sockets in place of unix sockets, for
	// tests in virtual time.
	Listen func(path string) (net.Listener, error)
	// Session configures workers' connections.
	Session rpc.SessionOptions
	// CrashLimit is how many crash records an app keeps. If zero, 100.
	CrashLimit int
	// Service, if not nil, gives the options of the Mux of an app's service. Its log is
	// that of the app.
	Service func(app string) rpc.MuxOptions
	// Token, if not nil, gives the token that the workers of an app are started with;
	// see engine.Options.
	Token func(ctx context.Context, app string) (typ, body string, err error)
	// Log receives the life of apps. If nil, nothing is logged.
	Log *slog.Logger
}

// Node is the table of apps.
type Node struct {
	o      Options
	log    *slog.Logger
	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	wg     sync.WaitGroup
	list   chan struct{} // token: whoever holds it may rewrite the runlist
	calls  timing.Timer  // of the service's own enqueue

	mu   sync.Mutex
	apps map[string]*App
	done bool
}

// New makes a node with no apps.
func New(o Options) *Node {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CrashLimit <= 0 {
		o.CrashLimit = 100
	}
	n := &Node{o: o, log: o.Log, apps: make(map[string]*App), list: make(chan struct{}, 1)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.list <- struct{}{}
	return n
}

// Start starts an app with a profile and remembers it in the runlist. It returns
// once the app runs. An app that is broken is replaced; one in any other state is
// refused with [node, already started]. The start goes on when ctx ends; only Stop
// and Pause interrupt it.
func (n *Node) Start(ctx context.Context, name, profile string) error {
	a, err := n.insert(name, profile)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	return a.inTurn(ctx, func() error {
		if err := a.start(silent); err != nil {
			return err
		}
		return n.remember(ctx, name, profile)
	})
}

// insert reserves the name.
func (n *Node) insert(name, profile string) (*App, error) {
	if err := manifest.CheckAppName(name); err != nil {
		return nil, rpc.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "%v", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done {
		return nil, stopping()
	}
	if a := n.apps[name]; a != nil {
		if s := a.State(); s != Broken {
			return nil, rpc.Errorf(idl.CategoryNode, idl.NodeAlreadyStarted, "cannot start app %q: it is %s", name, s)
		}
	}
	a := newApp(n, name, profile)
	n.apps[name] = a
	return a, nil
}

// renew puts a fresh app in the place of a broken one, unless somebody else has
// done something about it.
func (n *Node) renew(broken *App) (*App, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done || n.apps[broken.name] != broken {
		return nil, false
	}
	a := newApp(n, broken.name, broken.profile)
	n.apps[a.name] = a
	return a, true
}

func stopping() error {
	return rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "the runtime is shutting down")
}

// drop removes an app from the table, unless another one has taken its place.
func (n *Node) drop(a *App) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.apps[a.name] == a {
		delete(n.apps, a.name)
	}
}

// App finds an app by name.
func (n *Node) App(name string) (*App, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.apps[name]; a != nil {
		return a, nil
	}
	return nil, rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "app %q is not running", name)
}

// Pause stops an app: it drains for the profile's seal-timeout, or until ctx ends,
// and is gone when Pause returns. It is forgotten by the runlist; if that fails
// the app is gone all the same.
func (n *Node) Pause(ctx context.Context, name string) error {
	a, err := n.App(name)
	if err != nil {
		return err
	}
	return a.pause(ctx, true)
}

// Deploy brings an app to what storage holds now, with a profile. If it runs, the
// new release starts beside it and takes over once its workers are ready; if that
// does not happen the old release stays. An app that does not run is started, and
// is gone again if no worker becomes ready. progress, if not nil, is told each
// step. The end of ctx interrupts it.
func (n *Node) Deploy(ctx context.Context, name, profile string, progress func(stage, text string)) error {
	if progress == nil {
		progress = silent
	}
	n.mu.Lock()
	a := n.apps[name]
	n.mu.Unlock()
	if a != nil && a.State() != Broken {
		return a.inTurn(ctx, func() error {
			if err := a.replace(ctx, profile, progress); err != nil {
				return err
			}
			return n.remember(ctx, name, profile)
		})
	}
	a, err := n.insert(name, profile)
	if err != nil {
		return err
	}
	return a.inTurn(context.WithoutCancel(ctx), func() error { // it is in the table: something has to become of it
		if err := a.start(progress); err != nil {
			return err
		}
		if err := a.ready(ctx, progress); err != nil {
			a.stop(canceled())
			return err
		}
		return n.remember(ctx, name, profile)
	})
}

// Names are the apps in any state, sorted.
func (n *Node) Names() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.apps))
}

// Info is what node.info answers.
func (n *Node) Info(name string, flags int) (map[string]any, error) {
	a, err := n.App(name)
	if err != nil {
		return nil, unknown(name)
	}
	return a.Report(flags), nil
}

// unknown is what info says of an app that the node does not have.
func unknown(name string) error {
	return rpc.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "app %q is not running", name)
}

// Boot starts what the runlist names, each app on its own, and keeps trying those
// that fail, until Stop. It returns at once.
func (n *Node) Boot(ctx context.Context) error {
	list, err := n.runlist(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done {
		return stopping()
	}
	for name, profile := range list {
		n.wg.Go(func() { n.boot(name, profile) })
	}
	return nil
}

// boot starts one app, again after 1, 2, 4 ... 60 s, until it runs, somebody else
// has done something about it or the node stops. Meanwhile it is in the table as
// broken.
func (n *Node) boot(name, profile string) {
	a, err := n.insert(name, profile)
	if err != nil {
		n.log.Warn("app of the runlist is not started", "app", name, "cause", err)
		return
	}
	for delay := time.Second; ; delay = min(2*delay, time.Minute) {
		if err := a.inTurn(n.ctx, a.boot); err == nil {
			n.log.Info("app is running again", "app", name, "profile", profile)
			return
		}
		select {
		case <-time.After(delay):
		case <-n.ctx.Done():
			return
		}
		var ok bool
		if a, ok = n.renew(a); !ok {
			return
		}
	}
}

// Stop stops every app, all at once, each draining until ctx ends. The runlist
// stays as it is.
func (n *Node) Stop(ctx context.Context) error {
	n.mu.Lock()
	n.done = true
	apps := slices.Collect(maps.Values(n.apps))
	n.mu.Unlock()
	n.cancel()
	errs := make([]error, len(apps))
	var wg sync.WaitGroup
	for i, a := range apps {
		wg.Go(func() { errs[i] = a.pause(ctx, false) })
	}
	wg.Wait()
	n.wg.Wait()
	return errors.Join(errs...)
}

// runlist reads the record; a missing one is empty.
func (n *Node) runlist(ctx context.Context) (manifest.Runlist, error) {
	if n.o.Runlist == "" {
		return nil, nil
	}
	record, err := n.o.Storage.Read(ctx, "runlists", n.o.Runlist)
	if errors.Is(err, fs.ErrNotExist) {
		return manifest.Runlist{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read runlist %q: %w", n.o.Runlist, err)
	}
	return manifest.DecodeRunlist(n.o.Runlist, record)
}

// remember has the app started again with the runtime. An app that runs and cannot
// be remembered goes on running.
func (n *Node) remember(ctx context.Context, name, profile string) error {
	err := n.edit(ctx, func(l manifest.Runlist) bool {
		if l[name] == profile {
			return false
		}
		l[name] = profile
		return true
	})
	if err != nil {
		return fmt.Errorf("app %q runs, but will not be started with the runtime: %w", name, err)
	}
	return nil
}

func (n *Node) forget(ctx context.Context, name string) error {
	err := n.edit(ctx, func(l manifest.Runlist) bool {
		_, ok := l[name]
		delete(l, name)
		return ok
	})
	if err != nil {
		return fmt.Errorf("app %q is stopped, but will be started with the runtime: %w", name, err)
	}
	return nil
}

// editing is how long a change of the runlist may take. It does not end with the
// call that wants it: the app has been started or stopped.
const editing = 30 * time.Second

// edit rewrites the runlist if change says so. One edit at a time; the table of
// apps is not locked meanwhile. Nodes that share their state may edit one runlist:
// change is called again if another one was faster.
func (n *Node) edit(ctx context.Context, change func(manifest.Runlist) bool) error {
	if n.o.Runlist == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), editing)
	defer cancel()
	select {
	case <-n.list:
		defer func() { n.list <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := n.o.Storage.Amend(ctx, "runlists", n.o.Runlist, []string{"runlist"}, func(old []byte) ([]byte, error) {
		list := manifest.Runlist{}
		if old != nil {
			var err error
			if list, err = manifest.DecodeRunlist(n.o.Runlist, old); err != nil {
				return nil, err
			}
		}
		if !change(list) {
			return nil, nil
		}
		return list.Encode()
	})
	if err != nil {
		return fmt.Errorf("cannot change runlist %q: %w", n.o.Runlist, err)
	}
	return nil
}
