package source

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copySource copies what the plan packs into an empty directory.
func copySource(ctx context.Context, p *Plan, dst string, out io.Writer) error {
	if p.Files != nil {
		for _, name := range p.Files {
			if err := copyFile(ctx, filepath.Join(p.Dir, name), filepath.Join(dst, name), 0o755); err != nil {
				return err
			}
		}
		return nil
	}
	return filepath.WalkDir(p.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		rel, err := filepath.Rel(p.Dir, path)
		if err != nil || rel == "." {
			return err
		}
		if notPacked(p, rel, entry) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return copyEntry(ctx, path, filepath.Join(dst, rel), entry, out)
	})
}

// notPacked tells whether an entry of the source stays at home. Of a compiled Go
// program the source is not needed.
func notPacked(p *Plan, rel string, entry fs.DirEntry) bool {
	name := entry.Name()
	if ignored(name, entry.IsDir()) || p.ignore.Match(filepath.ToSlash(rel), entry.IsDir()) {
		return true
	}
	if p.GoOutput == "" {
		return false
	}
	if entry.IsDir() {
		return rel == "vendor" && isFile(filepath.Join(p.Dir, "vendor/modules.txt"))
	}
	return isGoSource(name)
}

func copyEntry(ctx context.Context, src, dst string, entry fs.DirEntry, out io.Writer) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return os.Mkdir(dst, info.Mode().Perm()|0o700)
	case info.Mode().IsRegular():
		return copyFile(ctx, src, dst, info.Mode().Perm())
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		return os.Symlink(target, dst)
	}
	_, err = fmt.Fprintf(out, "%s is not packed: it is no file, directory or link\n", src)
	return err
}

func copyFile(ctx context.Context, src, dst string, perm fs.FileMode) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	to, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, reader{ctx, in}); err != nil {
		to.Close()
		return err
	}
	return to.Close()
}

// reader reads until its context ends.
type reader struct {
	ctx context.Context
	in  io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.in.Read(p)
}
