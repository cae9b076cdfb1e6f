package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestMain(m *testing.M) {
	if standin.AsProcess() {
		main()
	}
	goleak.VerifyTestMain(m)
}

func TestHello(t *testing.T) {
	process, runtime := standin.Spawn(t, "hello", "127.0.0.1:1")
	runtime.Send(2, 0, "greet") // invoke
	runtime.Send(2, 0, "\x81\xa4name\xa3Ann")
	runtime.Send(2, 2)
	runtime.Want(2, 0, "\x81\xa4text\xa9hello Ann")
	runtime.Want(2, 2)

	runtime.SendHeaders([]hpack.Header{{Name: "content-type", Value: "application/json"}}, 3, 0, "greet")
	runtime.Send(3, 0, `{"name":"Ann"}`)
	runtime.Send(3, 2)
	runtime.Want(3, 0, `{"text":"hello Ann"}`)
	runtime.Want(3, 2)

	runtime.Send(4, 0, "greet")
	runtime.Send(4, 2)
	if text := runtime.WantError(4, 43, 1); text != "cannot greet: the name is empty" {
		t.Errorf("the error reads %q", text)
	}

	runtime.Send(1, 1, 1, "stop")
	runtime.Want(1, 1, 1, "stop")
	runtime.Close()
	if status := process.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestHelloByHand(t *testing.T) {
	process := standin.Start(t, "--listen", "127.0.0.1:0")
	locator := process.AwaitStderr(`hello serves on (\S+); try: cocaine`)[1]
	client, err := cocaine.New(cocaine.Options{Locators: []string{locator}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got, err := cocaine.Invoke[Greeting](t.Context(), client.App("hello"), "greet", Person{"Ann"})
	if err != nil || got.Text != "hello Ann" {
		t.Errorf("got %v, %v", got, err)
	}
	process.Signal(os.Interrupt)
	if status := process.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
