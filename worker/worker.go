package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/cocaine/cocaine-go"
)

// A Worker is this process as the runtime sees it: a set of handlers. Make it with
// New or FromArgs, bind handlers, then run it, once.
type Worker struct {
	opts       Options
	log        *slog.Logger
	mux        mux          // read only once running
	middleware []Middleware // likewise, as are the hooks
	onStart    []func(context.Context) error
	onStop     []func(context.Context) error
	alone      *standalone // what stands in for the runtime; nil when there is one

	mu      sync.Mutex
	running bool
	client  *cocaine.Client // made on demand
}

// New makes a worker. What the options leave open comes from the command line of
// the process.
func New(o Options) (*Worker, error) { return newWorker(o, commandLine()) }

// FromArgs makes a worker from the command line that the runtime gave it, without
// the program: os.Args[1:].
func FromArgs(args []string) (*Worker, error) { return newWorker(Options{}, args) }

func newWorker(o Options, args []string) (*Worker, error) {
	if err := o.fill(args); err != nil {
		return nil, err
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	w := &Worker{opts: o, log: o.Logger, mux: newMux()}
	if o.standsAlone() {
		w.alone = newStandalone(w)
	}
	return w, nil
}

// App is the name of the app that the worker belongs to. Without a runtime it is
// that of the program, or "" for a worker that does not stand alone.
func (w *Worker) App() string { return w.opts.App }

// UUID is the worker's identity. Without a runtime the worker gives itself one,
// unless it does not stand alone.
func (w *Worker) UUID() string { return w.opts.UUID }

// Client gives a client of the runtime's services, the same one every time. Run
// closes it when the last handler is done. That of a worker which stands alone knows
// no service but the worker's own, and only while it runs, unless
// Options.Locators or the environment name a runtime.
func (w *Worker) Client() (*cocaine.Client, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.client == nil {
		o := cocaine.Options{Locators: w.opts.Locators, Logger: w.log, Dial: w.opts.Dial, Token: w.opts.Token, Observer: w.opts.CallObserver}
		if o.Token == nil {
			o.Token = cocaine.EnvironmentToken()
		}
		if w.alone != nil {
			w.alone.clientOptions(&o)
		}
		c, err := cocaine.New(o)
		if err != nil {
			return nil, err
		}
		w.client = c
	}
	return w.client, nil
}

func (w *Worker) closeClient() {
	w.mu.Lock()
	c := w.client
	w.mu.Unlock()
	if c != nil {
		c.Close()
	}
}

// start marks the worker as running.
func (w *Worker) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		return errors.New("cannot run worker: it has been run")
	}
	w.running = true
	w.mux.compose(w.middleware)
	return nil
}

// Main runs the worker and ends the process: with status 0 when it was told to
// stop, 2 for ErrNoEndpoint, 1 when anything went wrong, which standard error tells:
// the runtime has closed the connection, or does not answer (ErrDisowned). It is the
// last line of a program's main.
//
// From then on writing to a broken pipe is an error and no signal: a runtime that is
// gone does not read what its workers say.
func (w *Worker) Main() {
	// Standard error is a pipe to the runtime. Without this a line of log would be the
	// end of a worker whose runtime is gone, by a signal, whatever it was about to do.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(w.main(context.Background(), os.Stderr))
}

// main is Main without the end of the process.
func (w *Worker) main(ctx context.Context, stderr io.Writer) int {
	switch err := w.Run(ctx); {
	case err == nil:
		return 0
	case errors.Is(err, ErrNoEndpoint):
		fmt.Fprintln(stderr, err)
		return 2
	default:
		fmt.Fprintln(stderr, err)
		return 1
	}
}
