package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/admin"
	"github.com/cocaine/cocaine-go/internal/host"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

const (
	// ListenVariable is the environment variable that says where a worker that
	// stands alone listens, when neither Options nor the command line does.
	ListenVariable = "COCAINE_LISTEN"
	// ListenNone, as an address to listen on, keeps a worker from standing alone.
	ListenNone = "none"
)

// standalone is the life of a worker that no runtime started: it is its own host,
// with a locator on a port of this machine, so that
//
//	cocaine call APP EVENT
//
// reaches it like any app. Each service has a port of its own, as in a runtime.
//
//	client ── resolve ──▶ locator  (Options.Listen)
//	   └───── enqueue ──▶ app ──▶ host ══ pipe ══ run ──▶ handler
//
// open comes before anything else, connect when the worker is ready for requests,
// close last.
type standalone struct {
	w         *Worker
	born      time.Time
	host      *host.Host
	directory *host.Directory
	server    *rpc.Server // of all ports
	tasks     sync.WaitGroup
	moved     bool // the port that was wanted is taken

	mu      sync.Mutex
	locator string // where the locator listens; "" when it does not
}

// standsAlone reports whether a worker with these options is its own host.
func (o *Options) standsAlone() bool { return o.Endpoint == "" && o.Listen != ListenNone }

// completeAlone fills in who the worker is, since nobody else says so.
func (o *Options) completeAlone() error {
	if o.App == "" {
		o.App = thisProgram()
	}
	if o.UUID == "" {
		o.UUID = uuid.NewString()
	}
	if o.Listen == "" {
		return nil
	}
	name, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("cannot make worker: cannot listen on %q: %w\nhint: --listen %s", o.Listen, err, cocaine.DefaultLocator)
	}
	if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("cannot make worker: cannot listen on %q: a worker without a runtime serves its own machine only"+
			"\nhint: --listen %s; cocaine server is for others", o.Listen, cocaine.DefaultLocator)
	}
	return nil
}

// programName is what to call an app whose program nobody named: the program's own
// name or, where that says nothing, that of its package or directory.
func programName(args []string, packagePath, dir string) string {
	names := []string{"", path.Base(packagePath), filepath.Base(dir)}
	if len(args) > 0 {
		names[0] = filepath.Base(args[0])
	}
	for _, name := range names {
		name = strings.TrimSuffix(strings.TrimSuffix(name, ".exe"), ".test")
		switch {
		case name == "", name == ".", name == "/", name == "main": // go run main.go
		case name == "command-line-arguments", strings.HasPrefix(name, "__debug_bin"): // of the go command, of a debugger
		default:
			return name
		}
	}
	return "worker"
}

// thisProgram is programName of this process.
func thisProgram() string {
	packagePath := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		packagePath = info.Path
	}
	dir, _ := os.Getwd() // without one there is a name all the same
	return programName(os.Args, packagePath, dir)
}

func newStandalone(w *Worker) *standalone {
	a := &standalone{w: w, born: time.Now(), directory: host.NewDirectory(w.opts.UUID)}
	a.host = host.New(host.Options{App: w.opts.App, UUID: w.opts.UUID, Log: slog.New(slog.DiscardHandler)})
	a.server = rpc.NewServer(rpc.ServerOptions{Log: w.log})
	return a
}

// open makes the app and what goes with it known. Requests wait until the worker
// connects.
func (a *standalone) open(ctx context.Context) error {
	ln, err := a.listen(ctx)
	if err != nil {
		return err
	}
	a.serve(ln, a.directory.Service())
	a.mu.Lock()
	a.locator = ln.Addr().String()
	a.mu.Unlock()
	services := map[string]*rpc.Mux{"node": a.nodeService(), "admin": admin.Service(backend{a}, rpc.MuxOptions{})}
	services[a.w.opts.App] = a.host.Service()
	at, _, err := net.SplitHostPort(a.locator)
	for name, m := range services {
		if err == nil {
			err = a.publish(ctx, name, net.JoinHostPort(at, "0"), m)
		}
	}
	if err != nil {
		a.close()
		return fmt.Errorf("cannot serve: %w", err)
	}
	return nil
}

// listen takes the port that is wanted. The usual one may well be taken, by a
// runtime; then any other will do.
func (a *standalone) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	if want := a.w.opts.Listen; want != "" {
		ln, err := lc.Listen(ctx, "tcp", want)
		if err != nil {
			return nil, fmt.Errorf("cannot serve: %w\nhint: --listen 127.0.0.1:0 takes a port that is free", err)
		}
		return ln, nil
	}
	ln, err := lc.Listen(ctx, "tcp", cocaine.DefaultLocator)
	if errors.Is(err, syscall.EADDRINUSE) {
		a.moved = true
		ln, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot serve: %w", err)
	}
	return ln, nil
}

func (a *standalone) publish(ctx context.Context, name, addr string, m *rpc.Mux) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	a.serve(ln, m)
	return a.directory.Publish(name, m.Protocol(), ln.Addr().String())
}

func (a *standalone) serve(ln net.Listener, m *rpc.Mux) {
	a.tasks.Go(func() {
		if err := a.server.Serve(context.Background(), ln, m); err != nil {
			a.w.log.Error("a port is not served any more", "cause", err)
		}
	})
}

// connect gives the worker's end of its connection and tells the world.
func (a *standalone) connect() net.Conn {
	mine, its := net.Pipe()
	a.tasks.Go(func() { _ = a.host.Serve(context.Background(), its) }) // the worker tells how it ended
	announce := a.w.opts.Announce
	if announce == nil {
		announce = func(locator string) { fmt.Fprintln(os.Stderr, a.greeting(locator)) }
	}
	announce(a.address())
	return mine
}

// greeting tells a person at a terminal what to do next.
func (a *standalone) greeting(locator string) string {
	app, flag, note := a.w.opts.App, "", ""
	if locator != cocaine.DefaultLocator {
		flag = "--locator " + locator + " "
	}
	if a.moved {
		note = fmt.Sprintf(" (%s is taken)", cocaine.DefaultLocator)
	}
	events := a.w.events()
	if len(events) == 0 {
		return fmt.Sprintf("%s serves on %s%s, but has no events", app, locator, note)
	}
	return fmt.Sprintf("%s serves on %s%s; try: cocaine %scall %s %s '{...}'", app, locator, note, flag, app, events[0])
}

// close ends the services once the worker has left. Answers that are on their way
// have a moment to arrive.
func (a *standalone) close() {
	a.mu.Lock()
	a.locator = ""
	a.mu.Unlock()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = a.host.Stop(now) // its worker has had the time that there was
	soon, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	_ = a.server.Shutdown(soon) // who does not read has waited for nothing
	a.tasks.Wait()
}

// address is where the locator listens, "" when it does not.
func (a *standalone) address() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.locator
}

// errNotServing is what a client gets that calls before or after Run.
var errNotServing = errors.New("the worker stands alone and does not run")

// clientOptions lets a worker's client find its own locator, unless it was told
// of another.
func (a *standalone) clientOptions(o *cocaine.Options) {
	if len(o.Locators) > 0 || os.Getenv(cocaine.LocatorVariable) != "" {
		return
	}
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	o.Locators = []string{cocaine.DefaultLocator} // it stands for the one that is known when the worker runs
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != cocaine.DefaultLocator {
			return dial(ctx, network, address)
		}
		if address = a.address(); address == "" {
			return nil, errNotServing
		}
		return dial(ctx, network, address)
	}
}

// events are the names of the events that have handlers, sorted. Where all
// handlers are for prefixes, they are made up.
func (w *Worker) events() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := slices.Sorted(maps.Keys(w.mux.events))
	if len(names) == 0 {
		for _, b := range w.mux.prefixes {
			names = append(names, b.event+"EVENT")
		}
	}
	return names
}

// nodeService is what of the node service makes sense: list and info.
func (a *standalone) nodeService() *rpc.Mux {
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
	m.Inline("list", func(context.Context, *rpc.Call) ([]byte, error) {
		return msgpack.AppendValue(msgpack.AppendArray(nil, 1), []string{a.w.opts.App})
	})
	m.Inline("info", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		args := c.Reader()
		if name := args.String(); args.Err() != nil {
			return nil, rpc.BadArgs(c, args.Err())
		} else if name != a.w.opts.App {
			return nil, rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "application %s is not found", name)
		}
		return msgpack.AppendValue(msgpack.AppendArray(nil, 1), a.info())
	})
	for _, name := range []string{"start_app", "pause_app"} {
		m.Inline(name, func(context.Context, *rpc.Call) ([]byte, error) { return nil, errStandsAlone })
	}
	return m
}

func (a *standalone) info() map[string]any {
	info := a.host.Info()
	info["name"], info["state"], info["published"] = a.w.opts.App, "running", true
	return info
}

// backend is the node that a worker alone makes, for the command line.
type backend struct{ *standalone }

var _ admin.Backend = backend{}

// errStandsAlone is the answer to what takes a runtime.
var errStandsAlone = rpc.Errorf(idl.CategoryGeneric, int(syscall.EOPNOTSUPP), "this worker stands alone, without a runtime; cocaine dev runs it in one")

// Status implements admin.Backend.
func (b backend) Status(context.Context) (map[string]any, error) {
	services := make(map[string]any)
	for name, addr := range b.directory.Services() {
		services[name] = addr
	}
	return map[string]any{
		"node": b.w.opts.UUID, "version": "standalone", "uptime": int64(time.Since(b.born).Seconds()),
		"locator": b.address(), "services": services, "apps": []any{b.info()},
	}, nil
}

// Stats implements admin.Backend.
func (b backend) Stats(context.Context) (map[string]any, error) { return map[string]any{}, nil }

// Crashes implements admin.Backend: the only process is still alive.
func (b backend) Crashes(context.Context, string, int) ([]any, error) { return []any{}, nil }

// Deploy implements admin.Backend.
func (b backend) Deploy(context.Context, string, string, func(stage, text string)) error {
	return errStandsAlone
}

// Remove implements admin.Backend.
func (b backend) Remove(context.Context, string) error { return errStandsAlone }

// Logs implements admin.Backend: the log is on the worker's terminal.
func (b backend) Logs(context.Context, []string, admin.LogQuery) iter.Seq2[map[string]any, error] {
	return func(yield func(map[string]any, error) bool) { yield(nil, errStandsAlone) }
}
