package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

func TestWorkerArgs(t *testing.T) {
	for _, line := range []string{
		"--app hello --endpoint /run/s --locator 127.0.0.1:10053 --protocol 1 --uuid U",
		"--uuid U --protocol 1 --locator 127.0.0.1:10053 --endpoint /run/s --app hello",
		"--app=hello --endpoint=/run/s --locator=127.0.0.1:10053 --protocol=1 --uuid=U",
		"serve --app hello --verbose --endpoint /run/s --uuid U --other=x -- --uuid no",
		"--app no --app hello --endpoint /run/s --uuid U --locator 127.0.0.1:10053,[::1]:10053",
	} {
		w, err := worker.FromArgs(strings.Fields(line))
		if err != nil || w.App() != "hello" || w.UUID() != "U" {
			t.Errorf("%s: %+v, %v", line, w, err)
		}
	}
	for _, line := range []string{
		"--app hello --endpoint /run/s",                          // no uuid
		"--app hello --endpoint /run/s --uuid",                   // no value
		"--app hello --endpoint /run/s --uuid U --protocol 0",    // another protocol
		"--app hello --endpoint /run/s --uuid U --locator a:b:c", // no address
	} {
		if w, err := worker.FromArgs(strings.Fields(line)); err == nil || !strings.HasPrefix(err.Error(), "cannot make worker: ") {
			t.Errorf("%s: %+v, %v", line, w, err)
		}
	}
}

func TestWorkerOptions(t *testing.T) {
	for _, o := range []worker.Options{
		{Heartbeat: 2 * time.Second, Disown: time.Second},
		{Concurrency: -1},
		{Endpoint: "/run/s"},
		{Listen: "10053"},
		{Listen: "0.0.0.0:10053"},
		{Listen: "192.0.2.1:10053"},
	} {
		if _, err := worker.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := worker.New(worker.Options{Heartbeat: time.Minute}); err != nil {
		t.Errorf("a slow heart: %v", err)
	}
}

func TestWorkerNoSocket(t *testing.T) {
	w, err := worker.FromArgs([]string{"--listen", "none"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(context.Background()); !errors.Is(err, worker.ErrNoEndpoint) || !strings.Contains(err.Error(), "cocaine dev") {
		t.Errorf("Run returned %v", err)
	}
	for _, endpoint := range []string{t.TempDir() + "/nobody", "127.0.0.1:1"} {
		w, err = worker.FromArgs([]string{"--uuid", "U", "--endpoint", endpoint})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Run(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "cannot connect to runtime: ") {
			t.Errorf("Run returned %v", err)
		}
	}
}

// What cannot run says so.
func TestRunMisuse(t *testing.T) {
	w, err := worker.New(worker.Options{Listen: "127.0.0.1:0", Announce: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"nil context": w.Run(context.Context(nil)),
		"zero worker": new(worker.Worker).Run(t.Context()),
	} {
		if !errors.Is(err, cocaine.ErrBadArgument) || !strings.HasPrefix(err.Error(), "cannot run worker: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(over); err != nil {
		t.Errorf("a worker that is told to stop: %v", err)
	}
	if err := w.Run(over); err == nil || err.Error() != "cannot run worker: it has been run" {
		t.Errorf("the second time: %v", err)
	}
}

func TestClient(t *testing.T) {
	w, err := worker.FromArgs([]string{"--locator", "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if b, err := w.Client(); err != nil || a != b {
		t.Errorf("another client: %v", err)
	}
	if _, err := a.Node().List(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("the client does not use the runtime's locator: %v", err)
	}
}
