package worker_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/worker"
)

// asWorker makes the test binary a worker: what a process does, only a process
// can show.
const asWorker = "COCAINE_TEST_AS_WORKER"

func runAsWorker() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		panic(err)
	}
	worker.Handle(w, "greet", greet)
	worker.Handle(w, "slow", func(_ context.Context, in string) (string, error) {
		time.Sleep(100 * time.Millisecond)
		return in, nil
	})
	w.Main()
}

// spawn starts a worker process on a real socket.
func spawn(t *testing.T, args ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	stderr := new(strings.Builder)
	cmd.Env, cmd.Stderr = append(os.Environ(), asWorker+"=1"), stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended if all went well
	return cmd, stderr
}

func spawnConnected(t *testing.T) (*exec.Cmd, *rpctest.Peer) {
	t.Helper()
	dir, err := os.MkdirTemp("", "w") // the path of a socket is at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cmd, _ := spawn(t, "--app", "app", "--endpoint", path, "--locator", "127.0.0.1:1", "--protocol", "1", "--uuid", uuid)
	if err := ln.(*net.UnixListener).SetDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := rpctest.Play(t, conn)
	p.Want(1, heartbeat, uuid)
	p.Want(1, heartbeat)
	return cmd, p
}

func exitStatus(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func TestProcess(t *testing.T) {
	cmd, p := spawnConnected(t)
	p.Send(2, invoke, "greet")
	p.Send(2, write, "\x81\xa4name\xa3Ann")
	p.Send(2, closing)
	p.Want(2, write, "\x81\xa4text\xa9hello Ann")
	p.Want(2, closing)
	p.Send(1, terminate, 11, "stop")
	p.Want(1, terminate, 11, "stop")
	p.Close()
	if status := exitStatus(t, cmd); status != 0 {
		t.Errorf("exit status %d after a requested end", status)
	}
}

func TestProcessOnSIGTERM(t *testing.T) {
	cmd, p := spawnConnected(t)
	p.Send(2, invoke, "slow")
	p.Send(2, write, packed("x"))
	p.Send(2, closing)
	p.Send(3, invoke, "nobody")
	p.WantError(3, 42, 200) // it has read everything
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.Want(2, write, packed("x"))
	p.Want(2, closing)
	p.Want(1, terminate, 1, "worker was told to stop")
	p.Close()
	if status := exitStatus(t, cmd); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
}

func TestProcessLosesItsRuntime(t *testing.T) {
	cmd, p := spawnConnected(t)
	p.Close()
	if status := exitStatus(t, cmd); status != 1 {
		t.Errorf("exit status %d after the loss of the runtime", status)
	}
}

func TestProcessWithoutRuntime(t *testing.T) {
	cmd, stderr := spawn(t)
	if status := exitStatus(t, cmd); status != 2 || !strings.Contains(stderr.String(), "cocaine dev .") {
		t.Errorf("exit status %d, says %q", status, stderr)
	}
}
