package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// Isolate starts workers as processes. All methods may be called concurrently.
type Isolate struct {
	o       Options
	spooler *isolate.Spooler
	slots   chan struct{} // capacity: how many workers may be starting
	thread  *thread
	null    *os.File
	tree    *tree // nil without cgroups
	why     error // why there are none
	told    sync.Once

	mu      sync.Mutex
	closed  bool
	workers map[*worker]struct{}
	running sync.WaitGroup // supervisors, and starts that their caller gave up
}

var _ isolate.SpoolingIsolate = (*Isolate)(nil)

// New returns an isolate. Close it after its last use.
func New(o Options) (*Isolate, error) {
	o = o.withDefaults()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot set up process isolation: %w", err)
	}
	keepDescriptors()
	tree, why := openTree(o.Cgroup)
	if why != nil && o.Cgroup != CgroupAuto && o.Cgroup != CgroupOff {
		null.Close()
		return nil, fmt.Errorf("cannot set up process isolation: %w", why)
	}
	return &Isolate{
		o: o, spooler: isolate.NewSpooler(o.Spool), slots: make(chan struct{}, o.Concurrency),
		thread: startThread(), null: null, tree: tree, why: why, workers: make(map[*worker]struct{}),
	}, nil
}

// keepDescriptors keeps what the runtime has inherited from its workers. Go opens
// everything close-on-exec, but whoever started the runtime may not have.
func keepDescriptors() {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// Spool implements isolate.SpoolingIsolate with the spooler of Options.Spool.
func (iso *Isolate) Spool(ctx context.Context, s isolate.Spec) (string, error) {
	return iso.spooler.Place(ctx, s)
}

// Spooler is where Spool puts code.
func (iso *Isolate) Spooler() *isolate.Spooler { return iso.spooler }

// Enforces tells which limits hold on this machine.
func (iso *Isolate) Enforces() Enforcement {
	e := Enforcement{Files: true, AddressSpace: true, Why: iso.why}
	if iso.tree != nil {
		e.Memory, e.CPU, e.PIDs = iso.tree.has("memory"), iso.tree.has("cpu"), iso.tree.has("pids")
	}
	return e
}

// Close kills the workers that still run, waits for their end, and gives
// everything back. Output that blocks keeps it from returning.
func (iso *Isolate) Close() error {
	iso.mu.Lock()
	if iso.closed {
		iso.mu.Unlock()
		return nil
	}
	iso.closed = true
	left := make([]*worker, 0, len(iso.workers))
	for w := range iso.workers {
		left = append(left, w)
	}
	iso.mu.Unlock()

	var errs []error
	for _, w := range left {
		errs = append(errs, w.Kill())
	}
	iso.running.Wait()
	iso.thread.stop() // only now: its end would kill workers
	if iso.tree != nil {
		errs = append(errs, iso.tree.close())
	}
	return errors.Join(append(errs, iso.spooler.Close(), iso.null.Close())...)
}

// adopt makes the isolate the owner of a worker. It fails once Close was called.
func (iso *Isolate) adopt(w *worker) bool {
	iso.mu.Lock()
	defer iso.mu.Unlock()
	if iso.closed {
		return false
	}
	iso.workers[w] = struct{}{}
	return true
}

func (iso *Isolate) forget(w *worker) {
	iso.mu.Lock()
	defer iso.mu.Unlock()
	delete(iso.workers, w)
}

// enter counts a start that Close has to wait for.
func (iso *Isolate) enter() error {
	iso.mu.Lock()
	defer iso.mu.Unlock()
	if iso.closed {
		return ErrClosed
	}
	iso.running.Add(1)
	return nil
}

// warn says once that limits are asked for and not enforced.
func (iso *Isolate) warn(s isolate.Spawn, l isolate.Limits) {
	missing := iso.Enforces().missing(l)
	if len(missing) == 0 {
		return
	}
	iso.told.Do(func() {
		iso.o.Log.Warn("limits are not enforced", slog.String("app", s.App), slog.Any("limits", missing), slog.Any("cause", iso.why))
	})
}
