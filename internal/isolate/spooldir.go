package isolate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How long a spool directory that another runtime holds is waited for: a
// predecessor that is shutting down gives it free.
const (
	lockPatience = 5 * time.Second
	lockInterval = 20 * time.Millisecond
)

// spoolDir is a directory of apps. The runtime holds a lock on it, because two
// runtimes would take each other's half-unpacked releases for leftovers. The
// lock dies with the runtime.
type spoolDir struct {
	path string
	turn chan struct{} // capacity 1: the right to lock
	lock *os.File      // nil until locked
	done bool          // shut was called
}

func newSpoolDir(path string) *spoolDir {
	return &spoolDir{path: path, turn: make(chan struct{}, 1)}
}

// hold locks the directory, creating it if need be.
func (d *spoolDir) hold(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.done {
		return ErrSpoolerClosed
	}
	if d.lock != nil {
		return nil
	}
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.path, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := d.await(ctx, f); err != nil {
		return errors.Join(err, f.Close())
	}
	// For the message that another runtime gives; the lock itself is the kernel's.
	if err := f.Truncate(0); err == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	d.lock = f
	return d.sweep()
}

// sweep finishes removals of whole apps that a crash interrupted.
func (d *spoolDir) sweep() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefixOld) {
			if err := os.RemoveAll(filepath.Join(d.path, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// await waits for the lock. The kernel cannot be asked to wait and obey a context.
func (d *spoolDir) await(ctx context.Context, f *os.File) error {
	patience, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	tick := time.NewTicker(lockInterval)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		select {
		case <-tick.C:
		case <-patience.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("spool directory %s: %w%s", d.path, ErrSpoolTaken, holder(f))
		}
	}
}

// holder names the process that wrote itself into the lock file.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 20))
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" {
		return ""
	}
	return " (process " + pid + ")"
}

// shut makes every later hold fail.
func (d *spoolDir) shut() {
	d.turn <- struct{}{}
	d.done = true
	<-d.turn
}

func (d *spoolDir) unlock() error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}
