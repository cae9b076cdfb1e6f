package main

import (
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestMain(m *testing.M) {
	if standin.AsProcess() {
		main()
	}
	goleak.VerifyTestMain(m)
}

func TestEcho(t *testing.T) {
	process, runtime := standin.Spawn(t, "echo", "127.0.0.1:1")
	runtime.Send(2, 0, "echo") // invoke
	runtime.Send(3, 0, "echo")
	for _, chunk := range []string{"one", "", strings.Repeat("long ", 100_000)} {
		runtime.Send(2, 0, chunk)
		runtime.Want(2, 0, chunk)
	}
	runtime.Send(3, 0, "another conversation")
	runtime.Want(3, 0, "another conversation")
	runtime.Send(2, 2)
	runtime.Want(2, 2)
	runtime.Send(3, 1, []any{5, 2}, "End of file") // the caller goes away
	runtime.WantError(3, 5, 2)

	runtime.Send(4, 0, "ping")
	runtime.Send(4, 2)
	runtime.Want(4, 0, "\xa4pong")
	runtime.Want(4, 2)

	process.Signal(syscall.SIGTERM)
	runtime.Want(1, 1, 1, "worker was told to stop")
	runtime.Close()
	if status := process.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
