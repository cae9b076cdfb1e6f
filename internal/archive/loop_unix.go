//go:build unix

package archive

import (
	"errors"
	"syscall"
)

// isLoop reports links in a circle; os.Root gives up on them as the kernel does.
func isLoop(err error) bool {
	return errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}
