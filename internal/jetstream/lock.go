package jetstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dirLock is the ownership of a state directory: an flock on DIR/lock, which the
// kernel drops when the process ends, however it ends. The file holds the pid of
// its owner, for messages only.
type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	// os.OpenFile sets O_CLOEXEC, which keeps the lock out of worker processes.
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("cannot lock the directory: %w", err)
		}
		owner, _ := io.ReadAll(io.LimitReader(f, 32))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(owner))); err == nil {
			return nil, fmt.Errorf("%w (pid %d)", ErrInUse, pid)
		}
		return nil, ErrInUse
	}
	l := &dirLock{file: f}
	if err := l.write(fmt.Sprintln(os.Getpid())); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (l *dirLock) release() error {
	return errors.Join(l.write(""), l.file.Close())
}

func (l *dirLock) write(s string) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(s), 0)
	return err
}

// causeOf drops the operation and the path from a file error, where the message
// around it names them already.
func causeOf(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
