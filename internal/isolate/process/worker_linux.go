package process

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// worker is a running process. Its supervisor goroutine brings it from one state
// to the next; the others only look, and send signals while that is safe.
//
//	running ──▶ dead (zombie: pid and group are still its own) ──▶ reaped ──▶ done
type worker struct {
	pid   int
	pidfd *os.File // nil if the kernel has none
	group *group   // nil without cgroups
	out   *output
	done  chan struct{}

	mu     sync.Mutex
	reaped bool // pid is no longer ours
	killed bool
	exit   isolate.Exit
}

var _ isolate.Process = (*worker)(nil)

func newWorker(pid, pidfd int, g *group) *worker {
	w := &worker{pid: pid, group: g, done: make(chan struct{}), exit: isolate.Exit{Code: -1, Err: isolate.ErrRunning}}
	if pidfd >= 0 && unix.SetNonblock(pidfd, true) == nil { // a sign for NewFile to poll it
		w.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	} else if pidfd >= 0 {
		unix.Close(pidfd)
	}
	return w
}

// PID implements isolate.Process.
func (w *worker) PID() int { return w.pid }

// Done implements isolate.Process.
func (w *worker) Done() <-chan struct{} { return w.done }

// Exit implements isolate.Process.
func (w *worker) Exit() isolate.Exit {
	select {
	case <-w.done:
	default:
		return isolate.Exit{Code: -1, Err: isolate.ErrRunning}
	}
	return w.exit
}

// Signal implements isolate.Process.
func (w *worker) Signal(sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("cannot signal worker: %v is no signal", sig)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reaped {
		return os.ErrProcessDone
	}
	return w.signal(s)
}

// Kill implements isolate.Process.
func (w *worker) Kill() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reaped {
		return nil
	}
	w.killed = true
	return w.killAll()
}

// killAll ends everything of the worker that can be found; mu is held and the
// worker is not reaped.
func (w *worker) killAll() error {
	// The cgroup holds what has left the process group as well.
	groupErr := w.group.kill()
	err := w.signal(unix.SIGKILL)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(groupErr, err)
}

// signal sends to the process group, and to the worker if it has left it; mu is
// held and the worker is not reaped.
func (w *worker) signal(sig syscall.Signal) error {
	err := unix.Kill(-w.pid, sig)
	if pgid, pgidErr := unix.Getpgid(w.pid); pgidErr == nil && pgid != w.pid {
		err = unix.Kill(w.pid, sig)
	}
	switch {
	case errors.Is(err, unix.ESRCH):
		return os.ErrProcessDone
	case err != nil:
		return fmt.Errorf("cannot signal worker: %w", err)
	}
	return nil
}

// supervise sees the worker to its end.
func (w *worker) supervise(waitDelay time.Duration) {
	err := w.awaitDeath()
	w.mu.Lock()
	if err == nil {
		w.killAll() // what it left running; its pid is still taken
	} else {
		w.group.kill()
	}
	exit := w.reap()
	w.reaped = true
	w.mu.Unlock()
	if w.pidfd != nil {
		w.pidfd.Close()
	}
	w.out.finish(waitDelay)
	w.exit = exit
	close(w.done)
	w.group.remove()
	w.out.wait() // a deliver that blocks: whoever waits for us waits for it
}

// awaitDeath returns when the worker is dead and not yet reaped.
func (w *worker) awaitDeath() error {
	if w.pidfd != nil {
		if err := w.pollDeath(); err == nil {
			return nil
		}
	}
	return ignoringEINTR(func() error {
		return unix.Waitid(unix.P_PID, w.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	})
}

// pollDeath waits in Go's poller until the pidfd is readable.
func (w *worker) pollDeath() error {
	conn, err := w.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var waitErr error
	err = conn.Read(func(fd uintptr) bool {
		var info unix.Siginfo
		waitErr = ignoringEINTR(func() error {
			return unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		})
		return waitErr != nil || info.Signo != 0 // zero: nothing to report yet
	})
	return errors.Join(err, waitErr)
}

// reap learns how the worker ended and gives its pid back; mu is held.
func (w *worker) reap() isolate.Exit {
	var status unix.WaitStatus
	var usage unix.Rusage
	err := ignoringEINTR(func() error {
		_, err := unix.Wait4(w.pid, &status, 0, &usage)
		return err
	})
	if err != nil {
		return isolate.Exit{Code: -1, Killed: w.killed, Err: fmt.Errorf("cannot wait for process %d: %w", w.pid, err)}
	}
	exit := isolate.Exit{
		Code: status.ExitStatus(), Killed: w.killed, OOM: w.group.ranOutOfMemory(),
		User: time.Duration(usage.Utime.Nano()), System: time.Duration(usage.Stime.Nano()), MaxRSS: int64(usage.Maxrss) << 10,
	}
	if status.Signaled() {
		exit.Signal = syscall.Signal(status.Signal())
	}
	return exit
}

// ignoringEINTR repeats a call that a signal to the runtime interrupted.
func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
