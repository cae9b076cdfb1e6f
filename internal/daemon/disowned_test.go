//go:build unix

package daemon_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/worker"
)

// TestWorkerOutlivesItsRuntime shows how a worker ends, a process of a real runtime,
// whose runtime is killed or stops answering: by itself, with status 1, and with a line
// that says why. The kernel kills what the runtime itself has started, but not what that
// has started in turn, as with this test's shell; nor is there anybody to kill a worker
// while the runtime hangs.
func TestWorkerOutlivesItsRuntime(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		log    bool // the worker's log is kept; else it goes to the runtime, which may be no more
		says   string
	}{
		{"killed", syscall.SIGKILL, true, "connection lost"},
		{"killed, and nobody reads what the worker says", syscall.SIGKILL, false, ""},
		{"hanging", syscall.SIGSTOP, true, worker.ErrDisowned.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOutliving(t, c.log)
			r := startRuntime(t, o.dir)
			client := dial(t, r.locator)
			a := newApp("echo")
			a.program = o.script
			a.deploy(t, client)
			if err := echo(t.Context(), client, "echo", "are you there"); err != nil {
				t.Fatal(err)
			}
			if err := r.cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if got := o.status(t); got != "1" {
				t.Errorf("exit status %s", got)
			}
			if said := o.said(t); !strings.Contains(said, c.says) {
				t.Errorf("the worker says %q", said)
			}
		})
	}
}

// outliving is a program that runs a worker which is no child of the runtime's, and
// tells of its end.
type outliving struct {
	dir, script, log string
	end              *os.File // a pipe: the exit status comes from it
}

const outlivingScript = `#!/bin/sh
export IMPATIENT=1
( %s "$@"; echo $? > %s ) &
wait
`

func newOutliving(t *testing.T, keepLog bool) *outliving {
	t.Helper()
	dir := directory(t)
	o := &outliving{dir: dir, script: filepath.Join(dir, "worker.sh")}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := quoted(self)
	if keepLog {
		o.log = filepath.Join(dir, "log")
		run = "exec 2>" + quoted(o.log) + "; " + run
	}
	pipe := filepath.Join(dir, "end")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if o.end, err = os.OpenFile(pipe, os.O_RDWR, 0); err != nil { // for reading alone it would wait for the writer
		t.Fatal(err)
	}
	t.Cleanup(func() { o.end.Close() })
	if err := os.WriteFile(o.script, fmt.Appendf(nil, outlivingScript, run, quoted(pipe)), 0o700); err != nil {
		t.Fatal(err)
	}
	return o
}

// quoted is a word for the shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// status waits for the end of the worker.
func (o *outliving) status(t *testing.T) string {
	t.Helper()
	if err := o.end.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(o.end).ReadString('\n')
	if err != nil {
		t.Fatalf("the worker does not end: %v\n%s", err, o.said(t))
	}
	return strings.TrimSpace(line)
}

// said is what the worker has logged, if that was kept.
func (o *outliving) said(t *testing.T) string {
	t.Helper()
	if o.log == "" {
		return ""
	}
	said, err := os.ReadFile(o.log)
	if err != nil {
		t.Error(err)
	}
	return string(said)
}

// A runtimeProcess is a runtime in a process of its own.
type runtimeProcess struct {
	cmd     *exec.Cmd
	locator string
}

func startRuntime(t *testing.T, dir string) *runtimeProcess {
	t.Helper()
	r := &runtimeProcess{cmd: exec.Command(os.Args[0])}
	r.cmd.Env = append(os.Environ(), child+"=runtime", "DIR="+filepath.Join(dir, "s"))
	r.cmd.Stderr = os.Stderr
	in, err := r.cmd.StdinPipe() // whose end would stop it
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait() // it says that it was killed
		in.Close()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, err2 := fmt.Sscanf(line, "ready %s", &r.locator); err != nil || err2 != nil {
		t.Fatalf("the runtime does not start: %v, %q", err, line)
	}
	return r
}
