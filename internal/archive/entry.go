package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"io/fs"
	"time"
)

// entry is one member of an archive.
type entry struct {
	name  string // as spelt in the archive
	kind  entryKind
	link  string // target of symlink and hardlink
	mode  fs.FileMode
	size  int64 // as claimed; the body may be shorter, never longer
	mtime time.Time
	body  io.Reader
}

type entryKind int

const (
	file entryKind = iota
	directory
	symlink
	hardlink
	special // whatever we do not unpack
)

// open recognises the format by its first bytes. Errors are the decoder's own or
// those of r, see source.
func open(r io.Reader, limits Limits) (*tarEntries, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	start, err := in.Peek(512) // shorter at the end of the source, which is fine
	if len(start) == 0 {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		return nil, err
	}
	switch {
	case isTar(start):
		return openTar(in, limits, nil)
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return nil, errors.New("zip is not supported, use tar.gz")
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		return openTar(z, limits, err)
	case bytes.HasPrefix(start, []byte("BZh")):
		return openTar(bzip2.NewReader(in), limits, nil)
	case isZlib(start):
		z, err := zlib.NewReader(in)
		return openTar(z, limits, err)
	case bytes.HasPrefix(start, []byte("\xfd7zXZ\x00")):
		return nil, errors.New("xz compression is not supported, use gzip")
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return nil, errors.New("zstd compression is not supported, use gzip")
	default:
		return openTar(in, limits, nil)
	}
}

// isTar tells a plain tar by the mark that every format since 1988 puts into the
// first header, so that its first file may have any name.
func isTar(start []byte) bool {
	return len(start) >= 262 && string(start[257:262]) == "ustar"
}

// isZlib checks the two header bytes (RFC 1950 section 2.2) of the levels that
// are in use.
func isZlib(start []byte) bool {
	return len(start) >= 2 && start[0] == 0x78 && bytes.IndexByte([]byte{0x01, 0x5e, 0x9c, 0xda}, start[1]) >= 0
}

// tarEntries yields the members of an archive.
type tarEntries struct {
	r *tar.Reader
}

func openTar(r io.Reader, limits Limits, err error) (*tarEntries, error) {
	if err != nil {
		return nil, err
	}
	return &tarEntries{tar.NewReader(&boundedReader{r: r, left: limits.stream()})}, nil
}

// next returns io.EOF after the last member.
func (t *tarEntries) next() (*entry, error) {
	for {
		h, err := t.r.Next()
		if err == io.EOF {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // comments of git archive and the like
		}
		return &entry{
			name: h.Name, kind: tarKind(h.Typeflag), link: h.Linkname,
			mode: fs.FileMode(h.Mode) & fs.ModePerm, size: h.Size, mtime: h.ModTime, body: t.r,
		}, nil
	}
}

func tarKind(flag byte) entryKind {
	switch flag {
	case tar.TypeReg, '\x00', tar.TypeGNUSparse, tar.TypeCont:
		return file
	case tar.TypeDir:
		return directory
	case tar.TypeSymlink:
		return symlink
	case tar.TypeLink:
		return hardlink
	default:
		return special
	}
}
