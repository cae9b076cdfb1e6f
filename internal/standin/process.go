package standin

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// UUID is the identity of the workers that Spawn starts.
const UUID = "5d2c7a10-0000-4000-8000-000000000001"

// asProcess tells a test's binary that it was started by Start or Spawn.
const asProcess = "COCAINE_TEST_AS_PROCESS"

// AsProcess reports whether this test's binary is to be the program and not the
// test of it. TestMain asks first thing.
func AsProcess() bool { return os.Getenv(asProcess) != "" }

// patience is how long a process may take for what it must do.
const patience = 30 * time.Second

// A Process runs the test's binary as a program.
type Process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr output
}

// output is read while the process writes it.
type output struct {
	mu    sync.Mutex
	b     strings.Builder
	grown chan struct{} // closed when there is more; nil when nobody waits
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.grown != nil {
		close(o.grown)
		o.grown = nil
	}
	return o.b.Write(p)
}

// more is closed when what there is now is not all any more.
func (o *output) more() (now string, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.grown == nil {
		o.grown = make(chan struct{})
	}
	return o.b.String(), o.grown
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start starts the test's binary with arguments. It is killed when the test ends.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{t: t, cmd: exec.Command(exe, args...)}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), asProcess+"=1"), &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended if all went well
		_ = p.cmd.Wait()
		if t.Failed() && p.stderr.String() != "" {
			t.Logf("the process says:\n%s", &p.stderr)
		}
	})
	return p
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Wait waits for the end and gives the exit status.
func (p *Process) Wait() int {
	p.t.Helper()
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return 0
}

// AwaitStderr waits until the process has written what the expression matches to
// its standard error. It returns the match and its groups.
func (p *Process) AwaitStderr(expr string) []string {
	p.t.Helper()
	re, limit := regexp.MustCompile(expr), time.After(patience)
	for {
		text, more := p.stderr.more()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-more:
		case <-limit:
			p.t.Fatalf("the process does not say %q but %q", expr, text)
		}
	}
}

// Stderr is what the process has written to its standard error.
func (p *Process) Stderr() string { return p.stderr.String() }

// Spawn starts the test's binary as a worker, with the command line that a runtime
// gives it, and plays the runtime's side of its socket. The handshake and the first
// heartbeat have been read.
func Spawn(t testing.TB, app, locator string) (*Process, *rpctest.Peer) {
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
	p := Start(t, "--app", app, "--endpoint", path, "--locator", locator, "--protocol", "1", "--uuid", UUID)
	if err := ln.(*net.UnixListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer := rpctest.Play(t, conn)
	peer.Want(1, 0, UUID)
	peer.Want(1, 0)
	return p, peer
}
