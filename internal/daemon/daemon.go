// Package daemon is the runtime as a value: New wires and binds, Start serves,
// Stop drains and ends. Tests, `cocaine dev` and `cocaine server` build the same
// one.
//
//	jetstream ─▶ storage ─▶ locator ─▶ isolate ─▶ node ─▶ services, one listener each
//
// What is built first is closed last. Only this package knows all the others; none
// of them imports a sibling.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/admin"
	"github.com/cocaine/cocaine-go/internal/auth"
	"github.com/cocaine/cocaine-go/internal/cluster"
	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/isolate/process"
	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/node"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/storage"
	"github.com/cocaine/cocaine-go/internal/tlsconn"
	"github.com/cocaine/cocaine-go/internal/unicorn"
	"github.com/cocaine/cocaine-go/internal/v011"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// Daemon is one runtime.
type Daemon struct {
	o      Options
	conf   *config.Config
	log    *slog.Logger
	stats  *rpc.Stats
	turns  *rpc.Turns
	memory *rpc.Memory
	gate   *auth.Gate
	tokens *auth.Tokens // nil unless callers need one
	ports  *ports
	born   time.Time
	id     string       // the node's uuid
	debug  net.Listener // of the debug pages; nil without

	state    *jetstream.State
	store    *boundedStore
	unicorn  *unicorn.JetStream
	records  *logging.Store
	locator  *locator.Locator
	links    *cluster.Links // nil unless there is a cluster and a gateway to it
	iso      *process.Isolate
	node     *node.Node
	services []*service
	apps     appServices
	starters []func(ctx context.Context) error // called when the services are resolvable

	multicast *cluster.Multicast // nil unless nodes are found this way
	directory *v011.Directory    // of the services for clients of v0.11

	ready atomic.Bool // Start has come to its end

	mu      sync.Mutex
	cleanup []step // run last in, first out
	stopped bool
	stopErr error
}

// locatorName is the name of the locator's own service.
const locatorName = "locator"

// step is one thing to be undone.
type step struct {
	name string
	undo func(ctx context.Context) error
}

// New builds a daemon and binds its listeners; nobody is served before Start. On
// an error everything that was built is undone.
func New(ctx context.Context, o Options) (*Daemon, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{o: o, conf: o.Config, log: o.Log, stats: new(rpc.Stats), born: time.Now(),
		turns: rpc.NewTurns(max(1, runtime.GOMAXPROCS(0)/2))} // the other half is for the apps
	d.directory = v011.NewDirectory()
	d.memory = rpc.NewMemory(o.Config.Limits.Memory)
	d.ports = newPorts(&o.Config.Network)
	if o.Config.Authentication.Type == config.ByToken {
		d.tokens = auth.NewTokens(o.Config.Authentication.Workers)
	}
	d.gate = d.newGate()
	if err := d.build(ctx); err != nil {
		return nil, errors.Join(err, d.unwind(ctx))
	}
	return d, nil
}

// onStop registers a step. Steps run in the reverse of the order of construction.
func (d *Daemon) onStop(name string, undo func(ctx context.Context) error) {
	d.cleanup = append(d.cleanup, step{name, undo})
}

// build is long because it is one thought: the order in which things come up, and
// with it the order in which they go down.
func (d *Daemon) build(ctx context.Context) (err error) {
	if t := d.conf.TLS; t.Cert != "" {
		if d.ports.tls, err = (tlsconn.Server{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA}).Config(); err != nil {
			return err
		}
	}
	if err := d.makeDirs(); err != nil {
		return err
	}
	locatorService, err := d.newService(locatorName, idl.Locator, nil, v011.Locator(d.directory, (*groups)(d), d.clustered(), d.mux(locatorName)), d.sessions())
	if err != nil {
		return err
	}
	d.services = append(d.services, locatorService)
	d.onStop("locator service", locatorService.Close)
	if err := d.listenDebug(); err != nil {
		return err
	}

	if d.state, err = jetstream.Open(ctx, jetstream.Options{Dir: filepath.Join(d.conf.Paths.State, "jetstream"),
		URL: d.conf.State.URL, Log: d.log}); err != nil {
		return err
	}
	d.onStop("state", func(context.Context) error { return d.state.Close() })
	if err := d.openTokens(ctx); err != nil {
		return err
	}
	store, err := storage.NewJetStream(ctx, d.state)
	if err != nil {
		return err
	}
	d.onStop("storage", func(context.Context) error { return store.Close() })
	d.store = newBoundedStore(store)
	if d.unicorn, err = unicorn.NewJetStream(ctx, d.state); err != nil {
		return err
	}
	d.onStop("unicorn", d.closeUnicorn)
	if d.records, err = d.openRecords(); err != nil {
		return err
	}
	d.onStop("log store", func(context.Context) error { return d.records.Close() })

	if d.id, err = d.identity(); err != nil {
		return err
	}
	if err := d.newLinks(); err != nil {
		return err
	}
	if d.locator, err = locator.Open(ctx, d.locatorOptions()); err != nil {
		return err
	}
	d.onStop("locator", func(context.Context) error { d.directory.Close(); d.locator.Close(); return nil })
	locatorService.loc, locatorService.a = d.locator, d.locator.Mux(d.mux(locatorName))

	if d.iso, err = d.isolation(); err != nil {
		return err
	}
	d.node = node.New(node.Options{
		Storage: d.store, Publisher: (*publisher)(d), Spooler: d.iso.Spooler(),
		Isolates:   map[string]isolate.Isolate{"process": d.iso, "legacy_process": d.iso},
		RuntimeDir: d.conf.Paths.Runtime, Locator: d.workerLocator(locatorService.addr()),
		Runlist: d.conf.Node.Runlist, Output: d.workerOutput, Session: d.sessions(), Log: d.appLog(),
		Service: d.mux, Token: d.workerToken,
	})
	if err := d.newServices(); err != nil {
		return err
	}
	// Before the services: subscriptions and locks go on for as long as their clients
	// like, and their service would wait for them.
	d.onStop("unicorn", d.closeUnicorn)
	if err := d.newUnicatIfNeeded(); err != nil {
		return err
	}
	if err := d.newExtras(); err != nil { // they may use unicorn
		return err
	}
	d.starters = append(d.starters, d.joinCluster)
	d.onStop("cluster", d.leaveCluster) // once the apps, which may need other nodes, have ended
	d.onStop("apps", d.stopApps)
	return nil
}

// closeUnicorn may run twice: its first place in the order is for an end of New.
func (d *Daemon) closeUnicorn(context.Context) error { return d.unicorn.Close() }

// newServices binds the services of the runtime besides the locator.
func (d *Daemon) newServices() error {
	o := d.sessions()
	big := o // a value of 100 MiB has to fit in a frame
	big.Limits.MaxFrame = max(big.Limits.MaxFrame, 128<<20)
	inTurns := d.mux("storage")
	inTurns.Calls = clientOperations
	records := d.loggingService()
	for _, s := range []struct {
		name  string
		proto *idl.Protocol
		a     rpc.Acceptor
		old   *v011.ClientService // nil: as it is
		o     rpc.SessionOptions
	}{
		{"storage", idl.Storage, storage.Service(d.store, inTurns), v011.Storage(d.store, inTurns), big},
		{"unicorn", idl.Unicorn, unicorn.Service(d.unicorn, d.mux("unicorn")), nil, o},
		{"logging", idl.Logging, records, v011.Logging(records, logging.Debug, d.mux("logging")), o},
		{"node", idl.NodeService, d.node.Service(d.mux("node")), v011.Node(d.node, d.mux("node")), o},
		{"admin", idl.Admin, admin.Service((*backend)(d), d.mux("admin")), nil, o},
	} {
		if _, replaced := d.conf.Services[s.name]; replaced {
			continue
		}
		if s.old == nil {
			s.old = v011.Generic(s.proto, s.a)
		}
		svc, err := d.newService(s.name, s.proto, s.a, s.old, s.o)
		if err != nil {
			return err
		}
		d.services = append(d.services, svc)
		d.onStop(s.name+" service", svc.Close)
	}
	return nil
}

// mux are the options of a service's Mux.
func (d *Daemon) mux(service string) rpc.MuxOptions {
	return d.gate.Guard(service, rpc.MuxOptions{Log: d.log, Turns: d.turns})
}

// sessions are the options of every connection.
func (d *Daemon) sessions() rpc.SessionOptions {
	l := d.conf.Limits
	return rpc.SessionOptions{Limits: wire.Limits{MaxFrame: int(l.Frame)}, Buffer: int(l.Buffer), Stall: l.Stall,
		Channels: l.Channels, Calls: l.Calls, Memory: d.memory, Log: d.log, Stats: d.stats}
}

// workerLocator is what workers are told of the locator: an address they can
// reach on this machine.
func (d *Daemon) workerLocator(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		a = netip.AddrPortFrom(loopback, a.Port())
	}
	return a.String()
}

// isolation makes the isolate that starts workers, and unpacks their code.
func (d *Daemon) isolation() (*process.Isolate, error) {
	iso, err := process.New(process.Options{Log: d.log,
		Spool: isolate.SpoolerOptions{Dir: d.conf.Paths.Spool, Log: d.log}})
	if err != nil {
		return nil, err
	}
	d.onStop("isolate", func(context.Context) error { return iso.Close() })
	return iso, nil
}

// Start serves: the services become reachable and resolvable, the apps of the
// runlist are started in the background.
func (d *Daemon) Start(ctx context.Context) error {
	d.serveDebug()
	for _, s := range d.services {
		s.serve()
		if err := s.Show(ctx); err != nil {
			return errors.Join(err, d.Stop(ctx))
		}
	}
	for _, start := range d.starters {
		if err := start(ctx); err != nil {
			return errors.Join(err, d.Stop(ctx))
		}
	}
	if err := d.node.Boot(ctx); err != nil {
		return errors.Join(err, d.Stop(ctx))
	}
	giveBack()
	d.ready.Store(true)
	d.log.Info("ready", "locator", d.Addr(), "node", d.id, "state", d.conf.Paths.State, "took", time.Since(d.born).Round(time.Millisecond))
	return nil
}

// giveBack gives memory back to the system that reading a large state took once: else
// it stays with the process for minutes.
func giveBack() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapIdle-m.HeapReleased > 32<<20 {
		debug.FreeOSMemory()
	}
}

// Addr is where the locator listens.
func (d *Daemon) Addr() netip.AddrPort { return d.services[0].addr() }

// Stop ends the daemon: apps drain until ctx ends, then everything is closed in
// the reverse of the order it was built in. It may be called more than once; later
// calls return what the first did.
func (d *Daemon) Stop(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return d.stopErr
	}
	d.stopped = true
	if d.ready.Load() {
		d.log.Info("stopping", "apps", len(d.node.Names()))
		defer d.log.Info("stopped")
	}
	for _, s := range d.services {
		s.Hide()
	}
	d.stopErr = d.unwind(ctx)
	return d.stopErr
}

// farewell is how long workers may take to go once the time to drain is over.
const farewell = 2 * time.Second

// stopApps lets the apps drain until ctx ends. A profile may grant a worker much time
// to go, and a worker may heed nothing; neither holds up the end of the runtime for
// longer than farewell.
func (d *Daemon) stopApps(ctx context.Context) error {
	var wg sync.WaitGroup
	stopped := make(chan struct{})
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-stopped:
			return
		}
		select {
		case <-time.After(farewell):
			d.log.Warn("killing the workers that are left")
			_ = d.iso.Close() // the step of its own tells
		case <-stopped:
		}
	})
	err := d.node.Stop(ctx)
	close(stopped)
	wg.Wait()
	return err
}

// unwind runs the steps. One that fails keeps none from running.
func (d *Daemon) unwind(ctx context.Context) error {
	var errs []error
	for i := len(d.cleanup) - 1; i >= 0; i-- {
		s := d.cleanup[i]
		if err := s.undo(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			d.log.Error("cannot stop cleanly", "step", s.name, "cause", err)
			errs = append(errs, fmt.Errorf("cannot stop %s: %w", s.name, err))
		}
	}
	d.cleanup = nil
	return errors.Join(errs...)
}
