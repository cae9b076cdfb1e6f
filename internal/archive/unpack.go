package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// UnpackOptions bound and report an Unpack.
type UnpackOptions struct {
	Limits
	// Progress, if not nil, is called after each entry, on the caller's goroutine.
	Progress func(Progress)
}

// Unpack creates dst, if need be, and unpacks the archive r into it. See the
// package comment for what it guarantees. It reads r up to the last entry, which
// may be short of the end.
func Unpack(ctx context.Context, r io.Reader, dst string, o UnpackOptions) (Summary, error) {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return Summary{}, fmt.Errorf("cannot unpack into %q: %w", dst, err)
	}
	root, err := os.OpenRoot(dst)
	if err != nil {
		return Summary{}, fmt.Errorf("cannot unpack into %q: %w", dst, err)
	}
	defer root.Close()
	u := &unpacker{
		ctx: ctx, root: root, o: o, src: &source{ctx: ctx, r: r},
		ledger: ledger{limits: o.Limits.withDefaults()},
		seen:   map[string]entryKind{".": directory},
	}
	if err := u.run(); err != nil {
		return Summary{}, err
	}
	return Summary{Files: u.ledger.files, Bytes: u.ledger.bytes}, nil
}

// unpacker is one Unpack in progress.
type unpacker struct {
	ctx    context.Context
	root   *os.Root
	o      UnpackOptions
	src    *source
	ledger ledger
	// seen is what this archive has put at each path so far. It, and not the
	// file system, decides about duplicates and about paths through links.
	seen  map[string]entryKind
	links []*entry // symbolic links, to be followed once everything is there
}

func (u *unpacker) run() error {
	members, err := open(u.src, u.ledger.limits)
	if err != nil {
		return fmt.Errorf("cannot unpack: %w", u.src.blame(err))
	}
	for {
		e, err := members.next()
		if err == io.EOF {
			return u.finish()
		}
		if err != nil {
			return fmt.Errorf("cannot unpack: %w", u.src.blame(err))
		}
		if err := u.unpack(e); err != nil {
			return u.fault(e, err)
		}
	}
}

// fault names the entry in an error.
func (u *unpacker) fault(e *entry, err error) error {
	if cause := u.ctx.Err(); cause != nil {
		return fmt.Errorf("cannot unpack: %w", cause)
	}
	return &EntryError{Op: "unpack", Name: e.name, Link: e.link, Err: err}
}

// finish checks where links lead now that all of them exist.
func (u *unpacker) finish() error {
	for _, e := range u.links {
		name, _ := cleanName(e.name) // passed before
		if err := checkLeads(u.root, name); err != nil {
			return u.fault(e, err)
		}
	}
	return nil
}

func (u *unpacker) unpack(e *entry) error {
	if err := u.src.ctx.Err(); err != nil {
		return err
	}
	name, err := cleanName(e.name)
	if err != nil {
		return err
	}
	if err := u.ledger.addFile(); err != nil {
		return err
	}
	if e.kind == special {
		return ErrType
	}
	if name == "." {
		if e.kind != directory {
			return ErrDuplicate
		}
		return nil
	}
	if err := u.makeParents(path.Dir(name)); err != nil {
		return err
	}
	if err := u.place(name, e); err != nil {
		return err
	}
	if u.o.Progress != nil {
		u.o.Progress(Progress{Name: name, Files: u.ledger.files, Bytes: u.ledger.bytes})
	}
	return nil
}

// makeParents creates the directories that an entry implies, and refuses to pass
// through anything else.
func (u *unpacker) makeParents(dir string) error {
	if kind, ok := u.seen[dir]; ok {
		switch kind {
		case directory:
			return nil
		case symlink:
			return ErrThroughLink
		default:
			return ErrDuplicate
		}
	}
	if err := u.makeParents(path.Dir(dir)); err != nil {
		return err
	}
	if err := u.ledger.addFile(); err != nil {
		return err
	}
	return u.makeDir(dir, 0o755)
}

// place creates the entry at name, whose parents exist.
func (u *unpacker) place(name string, e *entry) error {
	if err := u.makeRoom(name, e.kind); err != nil {
		return err
	}
	switch e.kind {
	case directory:
		return u.makeDir(name, e.mode)
	case symlink:
		return u.makeLink(name, e)
	case hardlink:
		return u.makeHardLink(name, e)
	default:
		return u.makeFile(name, e)
	}
}

// makeRoom deals with a name that comes again: tar files that were appended to
// repeat a file, the last one counts; directories merge; all else is refused.
func (u *unpacker) makeRoom(name string, kind entryKind) error {
	before, ok := u.seen[name]
	switch {
	case !ok:
		return nil
	case before == directory && kind == directory:
		return nil
	case before == file && (kind == file || kind == hardlink):
		// Removed, not overwritten: the old file may have another name by now.
		return u.root.Remove(name)
	default:
		return ErrDuplicate
	}
}

func (u *unpacker) makeDir(name string, mode fs.FileMode) error {
	// The owner must be able to fill it, to read it and to remove it later.
	mode = mode.Perm() | 0o700
	err := u.root.Mkdir(name, mode)
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := u.root.Lstat(name); statErr != nil || !info.IsDir() {
			return ErrDuplicate
		}
		err = nil
	}
	u.seen[name] = directory
	return err
}

func (u *unpacker) makeFile(name string, e *entry) error {
	if err := u.ledger.addBytes(e.size); err != nil {
		return err // before a byte is written
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.mode.Perm()|0o400)
	if err != nil {
		return err
	}
	u.seen[name] = file
	if err := u.fill(f, e); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if e.mtime.IsZero() {
		return nil
	}
	// Some languages compare the times of sources and compiled files.
	return u.root.Chtimes(name, e.mtime, e.mtime)
}

// fill copies the entry's body, which must be as long as was claimed.
func (u *unpacker) fill(f *os.File, e *entry) error {
	n, err := io.Copy(f, io.LimitReader(e.body, e.size+1))
	switch {
	case isWriteError(err):
		return err
	case err != nil:
		return u.src.blame(err)
	case n > e.size:
		return ErrTooLarge
	case n < e.size:
		return fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	return nil
}

func (u *unpacker) makeLink(name string, e *entry) error {
	if err := checkTarget(name, e.link); err != nil {
		return err
	}
	if err := u.root.Symlink(e.link, name); err != nil {
		return err
	}
	u.seen[name] = symlink
	u.links = append(u.links, e)
	return nil
}

// makeHardLink links to a file of the same archive. Targets are spelt relative to
// the archive's root. A second name for a symbolic link is refused: its target
// would be resolved from another place.
func (u *unpacker) makeHardLink(name string, e *entry) error {
	target, err := cleanName(e.link)
	if err != nil {
		return ErrLink
	}
	switch kind, ok := u.seen[target]; {
	case !ok:
		return fmt.Errorf("%w: its target is not in the archive", ErrLink)
	case kind != file:
		return fmt.Errorf("%w: its target is not a file", ErrLink)
	}
	if err := u.root.Link(target, name); err != nil {
		return err
	}
	u.seen[name] = file
	return nil
}

// isWriteError tells an error of the destination from one of the archive.
func isWriteError(err error) bool {
	pathErr, ok := errors.AsType[*fs.PathError](err)
	return ok && pathErr.Op == "write"
}
