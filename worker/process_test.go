package worker_test

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/standin"
	"github.com/cocaine/cocaine-go/worker"
)

// runAsWorker is the program that the tests below start: what a process does, only
// a process can show.
func runAsWorker() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		panic(err)
	}
	worker.Handle(w, "greet", greet)
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	worker.Handle(w, "slow", func(_ context.Context, in string) (string, error) {
		<-told // under way when the worker is told to stop
		return in, nil
	})
	w.Main()
}

func TestProcess(t *testing.T) {
	process, p := standin.Spawn(t, "app", "127.0.0.1:1")
	p.Send(2, invoke, "greet")
	p.Send(2, write, "\x81\xa4name\xa3Ann")
	p.Send(2, closing)
	p.Want(2, write, "\x81\xa4text\xa9hello Ann")
	p.Want(2, closing)
	p.Send(1, terminate, 11, "stop")
	p.Want(1, terminate, 11, "stop")
	p.Close()
	if status := process.Wait(); status != 0 {
		t.Errorf("exit status %d after a requested end", status)
	}
}

func TestProcessOnSIGTERM(t *testing.T) {
	process, p := standin.Spawn(t, "app", "127.0.0.1:1")
	p.Send(2, invoke, "slow")
	p.Send(2, write, packed("x"))
	p.Send(2, closing)
	p.Send(3, invoke, "nobody")
	p.WantError(3, 42, 200) // it has read everything
	process.Signal(syscall.SIGTERM)
	p.Want(2, write, packed("x"))
	p.Want(2, closing)
	p.Want(1, terminate, 1, "worker was told to stop")
	p.Close()
	if status := process.Wait(); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
}

func TestProcessLosesItsRuntime(t *testing.T) {
	process, p := standin.Spawn(t, "app", "127.0.0.1:1")
	p.Close()
	if status := process.Wait(); status != 1 || !strings.Contains(process.Stderr(), "connection lost") {
		t.Errorf("exit status %d after the loss of the runtime, says %q", status, process.Stderr())
	}
}

func TestProcessWithoutRuntime(t *testing.T) {
	t.Setenv(worker.ListenVariable, worker.ListenNone)
	process := standin.Start(t)
	if status := process.Wait(); status != 2 || !strings.Contains(process.Stderr(), "cocaine dev") {
		t.Errorf("exit status %d, says %q", status, process.Stderr())
	}
}

func TestProcessAlone(t *testing.T) {
	process := standin.Start(t, "--listen", "127.0.0.1:0")
	said := process.AwaitStderr(`worker serves on (\S+); try: cocaine --locator (\S+) call worker greet '{...}'\n`)
	if said[1] != said[2] {
		t.Errorf("it says %q", said[0])
	}
	client, err := cocaine.New(cocaine.Options{Locators: said[1:2]})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	app := client.App("worker")
	if got, err := cocaine.Invoke[greeting](ctx, app, "greet", person{"Ann"}); err != nil || got.Text != "hello Ann" {
		t.Errorf("got %v, %v", got, err)
	}
	slow, err := app.Enqueue(ctx, "slow", []byte(packed("x")))
	if err == nil {
		err = slow.CloseSend(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := cocaine.Invoke[greeting](ctx, app, "nobody", nil); err == nil { // it has read what came before
		t.Error("an event without a handler was answered")
	}
	process.Signal(os.Interrupt)
	if got, err := slow.Recv(ctx); string(got) != packed("x") || err != nil {
		t.Errorf("a request that was under way: %q, %v", got, err)
	}
	if status := process.Wait(); status != 0 {
		t.Errorf("exit status %d after Ctrl-C, says %q", status, process.Stderr())
	}
}
