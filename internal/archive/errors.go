package archive

import (
	"errors"
	"fmt"
)

// What is wrong with an archive or with one of its entries. Match with errors.Is.
var (
	// ErrFormat: not an archive, or a damaged one.
	ErrFormat = errors.New("not a readable archive")
	// ErrPath: an absolute name, a name with "..", or one with a NUL byte.
	ErrPath = errors.New("path leads outside the archive")
	// ErrLink: a symbolic or hard link to something outside.
	ErrLink = errors.New("link leads outside the archive")
	// ErrThroughLink: an entry below a path that an earlier entry made a symbolic link.
	ErrThroughLink = errors.New("path goes through a symbolic link")
	// ErrType: a device, a fifo or another thing that code does not consist of.
	ErrType = errors.New("neither file, directory nor link")
	// ErrDuplicate: the name was taken by an earlier entry of another type.
	ErrDuplicate = errors.New("name is taken by an earlier entry")
	// ErrTooManyFiles: more entries than Limits.MaxFiles.
	ErrTooManyFiles = errors.New("too many files")
	// ErrTooLarge: more bytes than Limits.MaxBytes.
	ErrTooLarge = errors.New("too large")
)

// EntryError says which entry of an archive, or which file to be packed, is at fault.
type EntryError struct {
	Op   string // "pack" or "unpack"
	Name string // as the archive spells it
	Link string // target, if the entry is a link
	Err  error
}

// Error reads "cannot unpack "../x": path leads outside the archive".
func (e *EntryError) Error() string {
	if e.Link != "" {
		return fmt.Sprintf("cannot %s %q -> %q: %v", e.Op, e.Name, e.Link, e.Err)
	}
	return fmt.Sprintf("cannot %s %q: %v", e.Op, e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *EntryError) Unwrap() error { return e.Err }
