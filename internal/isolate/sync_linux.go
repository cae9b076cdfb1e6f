package isolate

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncTree writes a directory with all below it to disk. One syncfs is one
// commit of the journal; an fsync for each file would be one for each file.
func syncTree(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(d.Fd())))
}
