package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// ErrInUse means that another runtime owns the state directory.
var ErrInUse = errors.New("another runtime uses it")

// makeDirs makes the directories of the runtime and takes the one of the state for
// itself.
func (d *Daemon) makeDirs() error {
	for _, dir := range []string{d.conf.Paths.State, d.conf.Paths.Runtime, d.conf.Paths.Spool} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("cannot create directory: %w", err)
		}
	}
	lock, err := lockDir(d.conf.Paths.State)
	if err != nil {
		return fmt.Errorf("cannot use directory %s: %w", d.conf.Paths.State, err)
	}
	d.onStop("lock of the state directory", func(context.Context) error { return lock.Close() })
	sweepSockets(d.conf.Paths.Runtime)
	return nil
}

// lockDir makes this process the owner of a directory until the file is closed,
// which the kernel does when the process ends in whatever way. The state engine
// guards its own directory; this is for the logs and the spool beside it, and for
// a state that is kept elsewhere.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			owner, _ := io.ReadAll(io.LimitReader(f, 32)) // for the message only
			return nil, fmt.Errorf("%w (pid %s)", ErrInUse, strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("cannot lock it: %w", err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// workerSocket is the name of a socket for the workers of an app: app.pid, or
// app.pid.number.
var workerSocket = regexp.MustCompile(`\.([0-9]+)(\.[0-9]+)?$`)

// sweepSockets removes the sockets of runtimes that were killed. The directory may
// be shared with runtimes that live.
func sweepSockets(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the first app will say so
	}
	for _, e := range entries {
		m := workerSocket.FindStringSubmatch(e.Name())
		if m == nil || e.Type()&fs.ModeSocket == 0 {
			continue
		}
		if pid, err := strconv.Atoi(m[1]); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.Remove(filepath.Join(dir, e.Name())) // somebody else did
		}
	}
}

// identity is the node's uuid: made once, then kept beside the state.
func (d *Daemon) identity() (string, error) {
	path := filepath.Join(d.conf.Paths.State, "node.uuid")
	b, err := os.ReadFile(path)
	if err == nil {
		id := strings.TrimSpace(string(b))
		if _, err := uuid.Parse(id); err != nil {
			return "", fmt.Errorf("cannot read the node's uuid in %s: %w", path, err)
		}
		return id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot read the node's uuid: %w", err)
	}
	fresh, err := uuid.NewRandomFromReader(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("cannot make the node's uuid: %w", err)
	}
	if err := writeWhole(path, fresh.String()+"\n"); err != nil {
		return "", fmt.Errorf("cannot keep the node's uuid: %w", err)
	}
	return fresh.String(), nil
}

// writeWhole writes a file so that it is there whole or not at all, even after a
// loss of power.
func writeWhole(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
