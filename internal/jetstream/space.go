package jetstream

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// The engine does not get over a write that its disk did not take: it answers no
// further write to that stream until it is opened again. So writes are refused while
// there is still some room, which others who write to the disk may use up meanwhile,
// and which the engine needs to write its files anew.
const (
	reserve = 32 << 20
	// reserveForRemoval is less: removing is what makes room.
	reserveForRemoval = 8 << 20
)

// ErrFull means that the disk of the state directory is full, or nearly so. It matches
// syscall.ENOSPC.
var ErrFull error = syscall.ENOSPC

// checkSpace refuses a write of n bytes for which there is no room beside a reserve.
func (s *State) checkSpace(n, reserve int) error {
	if s.engine == nil {
		return nil // the engine's disk is not ours
	}
	var st unix.Statfs_t
	if unix.Statfs(s.opts.Dir, &st) != nil {
		return nil // then nothing is known, and the write will tell
	}
	if free := st.Bavail * uint64(st.Bsize); free < uint64(n)+uint64(reserve) {
		return fmt.Errorf("%w: %d MiB are free in %s, and %d MiB have to stay free", ErrFull, free>>20, s.opts.Dir, reserve>>20)
	}
	return nil
}
