package worker

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// FileInfo is the state of a file, as the fs driver of a runtime saw it when the
// file had changed.
type FileInfo struct {
	Mode     uint32 // type and permissions, as stat(2) has them
	Ino, Dev uint64
	Nlink    uint64
	UID, GID uint32
	Size     int64 // bytes
	// Atime, Mtime and Ctime are when the file was read, was written, and when its
	// inode changed.
	Atime, Mtime, Ctime time.Time
}

// FileMode gives the mode in the form that package os uses.
func (i FileInfo) FileMode() fs.FileMode {
	mode := fs.FileMode(i.Mode & 0o777)
	mode |= fileTypes[i.Mode>>12&0xf]
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if i.Mode&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

// fileTypes are indexed by the four bits in which stat(2) has the type.
var fileTypes = [16]fs.FileMode{
	0o01: fs.ModeNamedPipe, 0o02: fs.ModeDevice | fs.ModeCharDevice, 0o04: fs.ModeDir, 0o06: fs.ModeDevice,
	0o12: fs.ModeSymlink, 0o14: fs.ModeSocket,
}

// FileEvent makes a Handler of the events that the fs driver of a runtime emits when a
// file changes. The chunk of such an event is an array of ten
// numbers: mode, inode, device, links, user, group, size, and the times of access,
// modification and change in seconds.
//
// A chunk that is something else is answered with [12, 22], invalid argument.
//
// Of nil it makes nil, which cannot be bound.
func FileEvent(f func(ctx context.Context, info FileInfo) error) HandlerFunc {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, s *Stream) error {
		chunk, err := s.Recv(ctx)
		if err != nil && err != io.EOF {
			return err
		}
		info, err := parseFileInfo(chunk)
		if err != nil {
			return cocaine.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "cannot read file event: %v", err)
		}
		return f(ctx, info)
	}
}

// statFields is how many numbers a file event has.
const statFields = 10

func parseFileInfo(b []byte) (FileInfo, error) {
	r := msgpack.NewReader(b)
	if n := r.Array(); n != statFields && r.Err() == nil {
		return FileInfo{}, fmt.Errorf("it has %d numbers, want %d", n, statFields)
	}
	i := FileInfo{
		Mode: uint32(r.Uint()), Ino: r.Uint(), Dev: r.Uint(), Nlink: r.Uint(), UID: uint32(r.Uint()), GID: uint32(r.Uint()), Size: r.Int(),
		Atime: readTime(&r), Mtime: readTime(&r), Ctime: readTime(&r),
	}
	if err := r.Err(); err != nil {
		return FileInfo{}, err
	}
	if r.Len() > 0 {
		return FileInfo{}, fmt.Errorf("%d bytes after the end", r.Len())
	}
	return i, nil
}

// readTime reads seconds since 1970, whole ones or with a fraction.
func readTime(r *msgpack.Reader) time.Time {
	if r.Kind() != msgpack.KindFloat {
		return time.Unix(r.Int(), 0)
	}
	whole, fraction := math.Modf(r.Float())
	return time.Unix(int64(whole), int64(fraction*1e9))
}
