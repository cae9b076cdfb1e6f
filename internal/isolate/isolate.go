// Package isolate says what keeps workers apart from the runtime and from each
// other. An Isolate starts processes; internal/isolate/process is the one built
// into the runtime.
package isolate

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/manifest"
)

// An Isolate starts workers. Its methods may be called concurrently.
type Isolate interface {
	// Spawn starts a worker. It returns once the process runs; an error says that
	// none does. Ending ctx interrupts the start only, not the process.
	Spawn(ctx context.Context, s Spawn) (Process, error)
}

// A Spawn describes a worker to be started.
type Spawn struct {
	App    string
	Worker string // uuid
	Dir    string // working directory: the unpacked code
	Path   string // of the executable, absolute or a bare name to be found in PATH
	Args   []string
	Env    []string // added to the environment, replacing equal names
	Limits manifest.Limits
	// Output gets each line the worker prints, without its newline. It is called
	// by one goroutine at a time and may not keep the line.
	Output func(line []byte, stderr bool)
}

// A Process is a running worker and everything it has started.
type Process interface {
	PID() int
	// Done is closed when the process has ended and its output was delivered.
	Done() <-chan struct{}
	// Exit is how it ended; valid once Done is closed.
	Exit() Exit
	// Signal signals the whole group.
	Signal(sig os.Signal) error
	// Kill ends the whole group at once.
	Kill() error
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit status; -1 if a signal ended it
	Signal syscall.Signal // 0 if it exited by itself
	OOM    bool           // the kernel killed it for want of memory
}

// String gives the exit in words.
func (e Exit) String() string {
	switch {
	case e.OOM:
		return "out of memory"
	case e.Signal != 0:
		return "killed by " + e.Signal.String()
	default:
		return fmt.Sprintf("exit status %d", e.Code)
	}
}
