package source

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Digest returns a name for what the bundle does: equal for bundles with equal
// files, manifest and profile, whenever they were built. (A Go program holds the
// path it was built in.) Times and owners do not count, and of permissions only the
// one to execute.
func (b *Bundle) Digest(ctx context.Context) (string, error) {
	d := digester{ctx: ctx, hash: sha256.New()}
	if err := d.bundle(b); err != nil {
		return "", fmt.Errorf("cannot digest %s: %w", b.Name, err)
	}
	return hex.EncodeToString(d.hash.Sum(nil)), nil
}

type digester struct {
	ctx  context.Context
	hash hash.Hash
}

func (d *digester) bundle(b *Bundle) error {
	record, err := b.Manifest.Encode()
	if err != nil {
		return err
	}
	d.part(record)
	if record, err = b.Profile.Encode(); err != nil {
		return err
	}
	d.part(record)
	if b.archive != "" {
		return d.file(b.archive)
	}
	return filepath.WalkDir(b.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(b.Dir, path)
		if err != nil || rel == "." {
			return err
		}
		return d.entry(path, filepath.ToSlash(rel), entry)
	})
}

// part writes bytes so that what follows cannot be taken for more of them.
func (d *digester) part(p []byte) {
	_ = binary.Write(d.hash, binary.BigEndian, uint64(len(p))) // a hash takes everything
	d.hash.Write(p)
}

func (d *digester) entry(path, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	d.part([]byte(name))
	switch {
	case info.IsDir():
		d.part([]byte("dir"))
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		d.part([]byte("link"))
		d.part([]byte(target))
	case info.Mode()&0o111 != 0:
		d.part([]byte("program"))
		return d.file(path)
	default:
		d.part([]byte("file"))
		return d.file(path)
	}
	return nil
}

// file adds the digest of a file's contents, which has a fixed length.
func (d *digester) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	contents := sha256.New()
	if _, err := io.Copy(contents, reader{d.ctx, f}); err != nil {
		return err
	}
	d.part(contents.Sum(nil))
	return nil
}
