package isolate

import (
	"context"
	"io"
	"os"

	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/manifest"
)

// An Isolate starts workers. Its methods may be called concurrently.
type Isolate interface {
	// Spawn starts a worker. It returns once the process runs; an error, usually a
	// *SpawnError, says that none does. Ending ctx interrupts the start only, not
	// the process.
	Spawn(ctx context.Context, s Spawn) (Process, error)
}

// A SpoolingIsolate is an isolate that also puts code where its workers find it.
type SpoolingIsolate interface {
	Isolate
	// Spool makes the code that s describes available and returns the directory
	// to start its workers in. Calls for one app are served one after another;
	// a later one finds the work of an earlier one done. Ending ctx abandons the
	// work and leaves nothing behind.
	Spool(ctx context.Context, s Spec) (dir string, err error)
}

// A Spec describes code to be spooled.
type Spec struct {
	App string
	// Digest is the lower-case hexadecimal sha256 of the archive. If empty, it is
	// learnt by reading the archive; if not, an archive that has another one is
	// refused, and a release that is there already is used without opening it.
	Digest string
	// Open returns the archive. It is called at most once, from within Spool.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Settings are the profile's isolate.args, see ParseSettings.
	Settings map[string]any
	// Progress, if not nil, is called during the unpacking, from within Spool.
	Progress func(archive.Progress)
}

// A Spawn describes a worker to be started.
type Spawn struct {
	App    string
	Worker string // uuid
	Dir    string // working directory: the unpacked code
	Path   string // of the executable: absolute, relative to Dir, or a bare name to be found in PATH
	Args   []string
	Env    []string // "NAME=value"; added to the environment, replacing equal names
	// Limits bound the worker; so may Settings, which win.
	Limits manifest.Limits
	// Settings are the profile's isolate.args, see ParseSettings.
	Settings map[string]any
	// Output gets each line the worker prints, without its newline. It is called
	// by one goroutine at a time and may not keep the line. It may block: then the
	// worker waits in its next write. Lines longer than MaxLine come in pieces. If
	// nil, output is thrown away.
	Output func(line []byte, stderr bool)
}

// MaxLine is the longest line that Output gets in one piece.
const MaxLine = 64 << 10

// A Process is a running worker and everything it has started. Its methods may
// be called concurrently, at any time.
type Process interface {
	// PID is the process id of the worker, which leads its process group.
	PID() int
	// Done is closed when the process has ended and its output was delivered.
	Done() <-chan struct{}
	// Exit is how it ended. Before Done is closed its Err is ErrRunning.
	Exit() Exit
	// Signal signals the whole group. It returns os.ErrProcessDone after the end.
	Signal(sig os.Signal) error
	// Kill ends the worker and what it has started at once, without asking. It
	// does not wait for the end. It returns nil after the end.
	Kill() error
}
