package isolate

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrRunning is in the Exit of a process that has not ended.
var ErrRunning = errors.New("process is running")

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit status; -1 if a signal ended it or nothing is known
	Signal syscall.Signal // 0 if it exited by itself
	OOM    bool           // the kernel killed it, or a process of it, for want of memory
	Killed bool           // Kill was called before the end
	Err    error          // why the rest is unknown; nil if it is known
	User   time.Duration  // processor time spent by it and the children it waited for
	System time.Duration
	MaxRSS int64 // most memory it ever had resident, bytes
}

// String gives the exit in words: "exit status 3", "killed by SIGKILL", "out of
// memory".
func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return "unknown end: " + e.Err.Error()
	case e.OOM:
		return "out of memory"
	case e.Signal != 0:
		return "killed by " + SignalName(e.Signal)
	default:
		return fmt.Sprintf("exit status %d", e.Code)
	}
}

// SignalName spells a signal as manuals do: "SIGTERM", or "signal 70".
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
