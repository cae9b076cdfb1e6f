package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// limit sets the limits that are not a cgroup's. They are inherited by what the
// worker starts from now on, and hold for each of its processes by itself.
func (w *worker) limit(l isolate.Limits) error {
	for _, limit := range []struct {
		name     string
		resource int
		value    int64
	}{
		{"open files", unix.RLIMIT_NOFILE, l.Files},
		{"address space", unix.RLIMIT_AS, l.AddressSpace},
	} {
		if limit.value == 0 {
			continue
		}
		value := unix.Rlimit{Cur: uint64(limit.value), Max: uint64(limit.value)}
		err := w.prlimit(limit.resource, &value)
		if err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended already
			return fmt.Errorf("cannot limit %s to %d: %w", limit.name, limit.value, err)
		}
	}
	return nil
}

func (w *worker) prlimit(resource int, value *unix.Rlimit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reaped {
		return unix.ESRCH
	}
	return unix.Prlimit(w.pid, resource, value, nil)
}
