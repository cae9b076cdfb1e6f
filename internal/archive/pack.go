package archive

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// PackOptions say what to pack. The zero value packs a whole directory.
type PackOptions struct {
	// Files are slash-separated names relative to the directory. If not nil, only
	// these are packed, directories with all that is below them; naming a file
	// packs it even if it is ignored.
	Files []string
	// Ignore says what to leave out. If nil, the rules of IgnoreFile in the
	// directory. Version control and the tool's own files are always left out.
	Ignore *Ignore
	// Limits end the packing early; they should be those of the unpacking side.
	Limits Limits
	// Progress, if not nil, is called after each entry, on the caller's goroutine.
	Progress func(Progress)
}

// Pack writes a gzipped tar of dir to w.
//
// Symbolic links are kept if they lead to something inside dir and refused
// otherwise, as no runtime would unpack them. Hard links become files. Sockets,
// fifos and devices are left out and listed in the summary.
func Pack(ctx context.Context, w io.Writer, dir string, o PackOptions) (Summary, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Summary{}, fmt.Errorf("cannot pack %q: %w", dir, err)
	}
	defer root.Close()
	ignore := o.Ignore
	if ignore == nil {
		if ignore, err = readIgnore(root); err != nil {
			return Summary{}, err
		}
	}
	p := newPacker(ctx, w, root, o)
	names, err := p.collect(ignore)
	if err != nil {
		return Summary{}, err
	}
	for _, name := range names {
		if err := p.add(name); err != nil {
			return Summary{}, entryError("pack", name, err)
		}
	}
	return p.finish()
}

func readIgnore(root *os.Root) (*Ignore, error) {
	text, err := root.ReadFile(IgnoreFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", IgnoreFile, err)
	}
	return ParseIgnore(text)
}

// packer writes one archive: tar into gzip into the digest and the caller's writer.
type packer struct {
	ctx     context.Context
	root    *os.Root
	o       PackOptions
	tar     *tar.Writer
	gzip    *gzip.Writer
	out     *countingWriter
	ledger  ledger
	skipped []string
}

func newPacker(ctx context.Context, w io.Writer, root *os.Root, o PackOptions) *packer {
	out := &countingWriter{w: w, sum: sha256.New()}
	// The gzip header carries neither a name nor a time unless asked to.
	zip, _ := gzip.NewWriterLevel(out, gzip.DefaultCompression) // the level is valid
	return &packer{
		ctx: ctx, root: root, o: o, out: out, gzip: zip, tar: tar.NewWriter(zip),
		ledger: ledger{limits: o.Limits.withDefaults()},
	}
}

// collect lists what is to be packed, sorted and without repetition.
func (p *packer) collect(ignore *Ignore) ([]string, error) {
	starts := p.o.Files
	if starts == nil {
		starts = []string{"."}
	}
	var names []string
	for _, start := range starts {
		if start = path.Clean(filepath.ToSlash(start)); !filepath.IsLocal(start) {
			return nil, &EntryError{Op: "pack", Name: start, Err: ErrPath}
		}
		found, err := p.below(start, ignore)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// below lists start and what is below it, less what is ignored.
func (p *packer) below(start string, ignore *Ignore) ([]string, error) {
	var names []string
	err := fs.WalkDir(p.root.FS(), start, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return entryError("pack", name, err)
		case p.ctx.Err() != nil:
			return p.ctx.Err()
		case name == ".":
			return nil
		case name != start && ignore.Match(name, d.IsDir()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.Type()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice|fs.ModeIrregular) != 0:
			p.skipped = append(p.skipped, name)
			return nil
		}
		names = append(names, name)
		return nil
	})
	return names, err
}

// add writes one entry.
func (p *packer) add(name string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	info, err := p.root.Lstat(name)
	if err != nil {
		return err
	}
	if err := p.ledger.addFile(); err != nil {
		return err
	}
	switch {
	case info.IsDir():
		err = p.tar.WriteHeader(header(name+"/", tar.TypeDir, 0o755))
	case info.Mode()&fs.ModeSymlink != 0:
		err = p.addLink(name)
	default:
		err = p.addFile(name)
	}
	if err == nil && p.o.Progress != nil {
		p.o.Progress(Progress{Name: name, Files: p.ledger.files, Bytes: p.ledger.bytes})
	}
	return err
}

// header is all that an entry tells of its file; owner and time stay zero.
func header(name string, typ byte, mode int64) *tar.Header {
	return &tar.Header{Name: name, Typeflag: typ, Mode: mode, Format: tar.FormatPAX}
}

func (p *packer) addLink(name string) error {
	target, err := p.root.Readlink(name)
	if err != nil {
		return err
	}
	if err := checkTarget(name, target); err != nil {
		return &EntryError{Op: "pack", Name: name, Link: target, Err: err}
	}
	if err := checkLeads(p.root, name); err != nil {
		return &EntryError{Op: "pack", Name: name, Link: target, Err: err}
	}
	h := header(name, tar.TypeSymlink, 0o777)
	h.Linkname = filepath.ToSlash(target)
	return p.tar.WriteHeader(h)
}

func (p *packer) addFile(name string) error {
	f, err := p.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := p.ledger.addBytes(info.Size()); err != nil {
		return err
	}
	h := header(name, tar.TypeReg, 0o644)
	if info.Mode()&0o111 != 0 {
		h.Mode = 0o755
	}
	h.Size = info.Size()
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(p.tar, &source{ctx: p.ctx, r: f})
	switch {
	case errors.Is(err, tar.ErrWriteTooLong), err == nil && n < h.Size:
		return errors.New("file changes while it is packed")
	}
	return err
}

func (p *packer) finish() (Summary, error) {
	if err := errors.Join(p.tar.Close(), p.gzip.Close()); err != nil {
		return Summary{}, fmt.Errorf("cannot write archive: %w", err)
	}
	slices.Sort(p.skipped)
	return Summary{
		Files: p.ledger.files, Bytes: p.ledger.bytes,
		Digest: hex.EncodeToString(p.out.sum.Sum(nil)), Size: p.out.n,
		Skipped: p.skipped,
	}, nil
}

// entryError names the entry, unless the error does so already or is about the
// caller's context.
func entryError(op, name string, err error) error {
	if _, ok := errors.AsType[*EntryError](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &EntryError{Op: op, Name: strings.TrimSuffix(name, "/"), Err: err}
}
