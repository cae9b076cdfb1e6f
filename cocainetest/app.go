package cocainetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/host"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/worker"
)

// AppOptions are what a profile says of an app. The zero value is ready.
type AppOptions struct {
	// Release is what the app's answers say of it to those who ask.
	Release string
	// Queue is how many requests wait for a worker; further ones get
	// cocaine.ErrQueueFull. If zero, 100.
	Queue int
	// Concurrency is how many requests the worker gets at once. If zero, all.
	Concurrency int
	// RequestTimeout is the life of a request without a deadline of its own. If
	// zero, a day.
	RequestTimeout time.Duration
}

// An App is the service of an app. Requests wait for its worker, which Worker or
// Serve starts. It has one worker at a time.
type App struct {
	*Service
	host     *host.Host
	endpoint string

	mu     sync.Mutex
	worker *Worker // the one that has not ended; nil when there is none
}

// App adds an app that has no worker yet. Worker and Serve add one with no options
// where there is none. It fails the test if there is a service of that name.
func (r *Runtime) App(name string, o AppOptions) *App {
	r.t.Helper()
	a := &App{endpoint: "/cocainetest/" + name}
	a.host = host.New(host.Options{App: name, Release: o.Release, Queue: o.Queue, Concurrency: o.Concurrency,
		RequestTimeout: o.RequestTimeout, Log: r.log})
	a.Service = r.add(name, idl.App, a.host.Service())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apps[name] = a
	r.places[a.endpoint] = a.workerPlace()
	return a
}

// app gives the app of that name.
func (r *Runtime) app(name string) *App {
	r.t.Helper()
	r.mu.Lock()
	a := r.apps[name]
	r.mu.Unlock()
	if a == nil {
		a = r.App(name, AppOptions{})
	}
	return a
}

// workerPlace is where the workers of the app connect to.
type workerPlace struct{ a *App }

func (a *App) workerPlace() place { return workerPlace{a} }

func (p workerPlace) accept(context.Context) (net.Conn, error) {
	a, r := p.a, p.a.runtime
	a.mu.Lock()
	w := a.worker
	a.mu.Unlock()
	near, far := faultnet.Pipe(faultnet.PipeOptions{Names: [2]string{"worker", a.endpoint}})
	served := make(chan struct{})
	ok := w != nil && r.spawn(func() {
		defer close(served)
		_ = a.host.Serve(context.Background(), far) // the worker knows how it ended
	})
	if !ok {
		return nil, refused("unix", a.endpoint)
	}
	w.conn, w.served = far, served
	close(w.connected) // a worker dials once
	return r.recorder.tap(near, "worker of "+a.name, "runtime", [2]*idl.Protocol{idl.Worker, idl.Invoke}), nil
}

// Ready waits until the app has a worker that has shaken hands. Requests do so by
// themselves, in the queue.
func (a *App) Ready(ctx context.Context) error { return a.host.Ready(ctx) }

// WorkerOptions are what worker.New needs to make a worker of an app, for Serve.
// Whoever changes them leaves App, Endpoint, UUID and Dial alone. It fails the test if
// a service that is no app has the name.
func (r *Runtime) WorkerOptions(app string) worker.Options {
	r.t.Helper()
	a := r.app(app)
	return worker.Options{
		App: app, UUID: uuid.NewString(), Endpoint: a.endpoint, Locators: []string{r.locator.addr},
		Logger: r.log, Signals: []os.Signal{}, Dial: r.Dial,
	}
}

// Worker makes a worker of an app, has bind bind its handlers, and runs it. Its
// client is one of this runtime. It fails the test while the app has a worker.
func (r *Runtime) Worker(app string, bind func(w *worker.Worker)) *Worker {
	r.t.Helper()
	if bind == nil {
		r.t.Fatalf("cannot make worker of app %q: nothing binds its handlers", app)
	}
	w, err := worker.New(r.WorkerOptions(app))
	if err != nil {
		r.t.Fatal(err)
	}
	bind(w)
	return r.Serve(w)
}

// A Worker is one that runs.
type Worker struct {
	app    *App
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned
	err    error         // what it returned; set before ended is closed

	connected chan struct{}      // closed when what follows is set
	conn      *faultnet.PipeConn // the runtime's end of its connection
	served    chan struct{}      // closed when the runtime has done with it
}

// Serve runs a worker that was made with WorkerOptions. It fails the test while its
// app has one.
func (r *Runtime) Serve(w *worker.Worker) *Worker {
	r.t.Helper()
	r.mu.Lock()
	a := r.apps[w.App()]
	r.mu.Unlock()
	if a == nil {
		r.t.Fatalf("cannot serve worker of app %q: it was not made with WorkerOptions", w.App())
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := &Worker{app: a, cancel: cancel, ended: make(chan struct{}), connected: make(chan struct{})}
	a.mu.Lock()
	occupied := a.worker != nil
	if !occupied {
		a.worker = running
	}
	a.mu.Unlock()
	if occupied {
		cancel()
		r.t.Fatalf("cannot serve worker of app %q: it has one; Stop or Kill it first", w.App())
	}
	r.mu.Lock()
	r.workers[w.UUID()] = running
	r.mu.Unlock()
	if !r.spawn(func() { running.run(ctx, w) }) {
		running.err = fmt.Errorf("runtime is closed")
		close(running.ended)
	}
	return running
}

func (w *Worker) run(ctx context.Context, program *worker.Worker) {
	defer w.cancel()
	w.err = program.Run(ctx)
	select {
	case <-w.connected:
		<-w.served
	default:
	}
	r := w.app.runtime
	r.mu.Lock()
	delete(r.workers, program.UUID())
	r.mu.Unlock()
	w.app.mu.Lock()
	w.app.worker = nil
	w.app.mu.Unlock()
	close(w.ended)
}

// Wait waits for the end of the worker and returns what its Run did.
func (w *Worker) Wait() error {
	<-w.ended
	return w.err
}

// Stop tells the worker to stop, as a signal does: it finishes its requests. It
// waits for the end and returns what Run did.
func (w *Worker) Stop() error {
	w.cancel()
	return w.Wait()
}

// Kill ends the worker as a crash does: its connection is reset, its requests fail,
// and what waits goes to the next worker. It waits for the end, which handlers that
// ignore their contexts put off by a second.
func (w *Worker) Kill() {
	select {
	case <-w.connected:
		_ = w.conn.Reset() // always succeeds
	case <-w.ended: // it never was
	}
	<-w.ended
}
