package worker_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// An aloneWorker is a worker that stands alone in this process.
type aloneWorker struct {
	*worker.Worker
	t       *testing.T
	locator string
	client  *cocaine.Client
	stop    context.CancelFunc
	result  chan error
}

// alone runs a worker that stands alone.
func alone(t *testing.T, o worker.Options, bind func(w *worker.Worker)) *aloneWorker {
	t.Helper()
	locator := make(chan string, 1)
	o.Announce = func(addr string) { locator <- addr }
	o.Signals = []os.Signal{}
	o.Logger = slog.New(slog.DiscardHandler)
	w, err := worker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	bind(w)
	a := &aloneWorker{Worker: w, t: t, result: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	a.stop = cancel
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.result <- w.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case a.locator = <-locator:
	case err := <-a.result:
		t.Fatalf("Run returned %v", err)
	}
	a.client, err = cocaine.New(cocaine.Options{Locators: []string{a.locator}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.client.Close() })
	return a
}

func TestStandalone(t *testing.T) {
	a := alone(t, worker.Options{App: "hello", Listen: "127.0.0.1:0"}, func(w *worker.Worker) {
		worker.Handle(w, "greet", greet)
		w.HandleStream("echo", func(ctx context.Context, s *worker.Stream) error {
			for chunk, err := range s.All(ctx) {
				if err != nil {
					return err
				}
				if err := s.Send(ctx, chunk); err != nil {
					return err
				}
			}
			return nil
		})
	})
	ctx, app := t.Context(), a.client.App("hello")
	for range 2 {
		if got, err := cocaine.Invoke[greeting](ctx, app, "greet", person{"Ann"}); err != nil || got.Text != "hello Ann" {
			t.Errorf("got %v, %v", got, err)
		}
	}
	st, err := app.Enqueue(ctx, "echo")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, chunk := range []string{"one", "two"} {
		if err := st.Send(ctx, []byte(chunk)); err != nil {
			t.Fatal(err)
		}
		if got, err := st.Recv(ctx); err != nil || string(got) != chunk {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := st.CloseSend(ctx); err != nil {
		t.Error(err)
	}
	if _, err := st.Recv(ctx); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := cocaine.Invoke[greeting](ctx, app, "nobody", nil); !errors.Is(err, cocaine.Errorf(42, 200, "")) {
		t.Errorf("an event without a handler: %v", err)
	}
	a.stop()
	if err := await(t, a.result, "the end of Run"); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if err := cocaine.Exec(ctx, app.Service(), "enqueue", "greet"); err == nil {
		t.Error("it serves after its end")
	}
}

// What the command line asks of a runtime, a worker alone answers or declines.
func TestStandaloneServices(t *testing.T) {
	a := alone(t, worker.Options{App: "hello", Listen: "127.0.0.1:0"}, func(w *worker.Worker) { worker.Handle(w, "greet", greet) })
	ctx := t.Context()
	if _, err := cocaine.Invoke[greeting](ctx, a.client.App("hello"), "greet", person{"Ann"}); err != nil {
		t.Fatal(err)
	}
	if apps, err := a.client.Node().List(ctx); err != nil || len(apps) != 1 || apps[0] != "hello" {
		t.Errorf("apps are %v, %v", apps, err)
	}
	type status struct {
		Locator string `codec:"locator"`
		Apps    []struct {
			Name, State string
			Pool        struct {
				Slaves map[string]struct {
					PID      int    `codec:"pid"`
					Accepted uint64 `codec:"accepted"`
				} `codec:"slaves"`
			} `codec:"pool"`
		} `codec:"apps"`
	}
	s, err := cocaine.Get[status](ctx, a.client.Service("admin"), "status")
	if err != nil || s.Locator != a.locator || len(s.Apps) != 1 {
		t.Fatalf("status is %+v, %v", s, err)
	}
	if w := s.Apps[0].Pool.Slaves[a.UUID()]; w.PID != os.Getpid() || w.Accepted != 1 {
		t.Errorf("status is %+v", s)
	}
	if _, err := cocaine.Get[map[string]any](ctx, a.client.Service("node"), "info", "other"); err == nil {
		t.Error("an app of another name has info")
	}
	if err := cocaine.Exec(ctx, a.client.Service("admin"), "remove", "hello"); !errors.Is(err, cocaine.Errorf(12, 95, "")) || !strings.Contains(err.Error(), "stands alone") {
		t.Errorf("remove: %v", err)
	}
	if err := a.client.Service("storage").Connect(ctx); !errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Errorf("there is no storage, but: %v", err)
	}
}

func TestStandaloneClient(t *testing.T) {
	t.Setenv(cocaine.LocatorVariable, "")
	var client *cocaine.Client
	a := alone(t, worker.Options{App: "hello", Listen: "127.0.0.1:0"}, func(w *worker.Worker) {
		var err error
		if client, err = w.Client(); err != nil {
			t.Fatal(err)
		}
		if err := client.Service("hello").Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "does not run") {
			t.Errorf("before Run: %v", err)
		}
		worker.Handle(w, "greet", greet)
		worker.Handle(w, "twice", func(ctx context.Context, p person) (greeting, error) {
			return cocaine.Invoke[greeting](ctx, client.App("hello"), "greet", p)
		})
		worker.Handle(w, "store", func(ctx context.Context, _ any) (any, error) {
			return nil, client.Service("storage").Connect(ctx)
		})
	})
	app := a.client.App("hello")
	if got, err := cocaine.Invoke[greeting](t.Context(), app, "twice", person{"Ann"}); err != nil || got.Text != "hello Ann" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := cocaine.Invoke[any](t.Context(), app, "store", nil); !errors.Is(err, cocaine.ErrServiceNotFound) {
		t.Errorf("got %v", err)
	}
}

// The environment's runtime is the one that a client means.
func TestStandaloneClientOfARuntime(t *testing.T) {
	t.Setenv(cocaine.LocatorVariable, "127.0.0.1:1")
	w, err := worker.New(worker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := w.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Service("storage").Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("the client does not ask the runtime: %v", err)
	}
}

func TestStandaloneDrains(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	a := alone(t, worker.Options{App: "hello", Listen: "127.0.0.1:0"}, func(w *worker.Worker) {
		worker.Handle(w, "wait", func(_ context.Context, in string) (string, error) {
			close(entered)
			<-leave
			return in, nil
		})
	})
	app := a.client.App("hello")
	f := cocaine.Go(t.Context(), func(ctx context.Context) (string, error) { return cocaine.Invoke[string](ctx, app, "wait", "x") })
	await(t, entered, "the handler")
	a.stop()
	close(leave)
	if got, err := f.Wait(t.Context()); got != "x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := await(t, a.result, "the end of Run"); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestStandaloneListens(t *testing.T) {
	t.Setenv(worker.ListenVariable, "")
	bind := func(w *worker.Worker) { worker.Handle(w, "greet", greet) }
	if ln, err := net.Listen("tcp", cocaine.DefaultLocator); err == nil { // else somebody else has taken it
		defer ln.Close()
	}
	a := alone(t, worker.Options{App: "hello"}, bind)
	if a.locator == cocaine.DefaultLocator || !strings.HasPrefix(a.locator, "127.0.0.1:") {
		t.Errorf("it listens on %s", a.locator)
	}
	w, err := worker.FromArgs([]string{"--listen", a.locator})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use\nhint: --listen 127.0.0.1:0") {
		t.Errorf("on a port that is taken, Run returned %v", err)
	}
	t.Setenv(worker.ListenVariable, "[::1]:0")
	if ln, err := net.Listen("tcp", "[::1]:0"); err == nil { // this machine has IPv6
		ln.Close()
		if a := alone(t, worker.Options{App: "hello"}, bind); !strings.HasPrefix(a.locator, "[::1]:") {
			t.Errorf("it listens on %s", a.locator)
		}
	}
	t.Setenv(worker.ListenVariable, worker.ListenNone)
	if w, err = worker.New(worker.Options{}); err != nil || w.App() != "" || w.UUID() != "" {
		t.Errorf("%q %q %v", w.App(), w.UUID(), err)
	}
	if err := w.Run(t.Context()); !errors.Is(err, worker.ErrNoEndpoint) {
		t.Errorf("Run returned %v", err)
	}
}

// An app that nobody named is called after its program.
func TestStandaloneName(t *testing.T) {
	w, err := worker.New(worker.Options{Listen: "127.0.0.1:0"})
	if err != nil || w.App() != "worker" || len(w.UUID()) != 36 {
		t.Errorf("%q %q %v", w.App(), w.UUID(), err)
	}
}
