// Package filestore reads what the `files` storage of the original runtime has
// left on a disk:
//
//	DIR/COLLECTION/KEY         an object: a file
//	DIR/COLLECTION/TAG/KEY     a tag of it: a symbolic link to the object
//
// It only reads, never follows a link, and never leaves the directory: every path
// is opened through os.Root. Links are taken for what they say, not for where they
// lead, because a copied directory still links to where it once was.
//
// A Store may be used by several goroutines.
package filestore

import (
	"context"
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

// Errors of entries that cannot be taken.
var (
	// ErrLink is an object that is a symbolic link.
	ErrLink = errors.New("it is a symbolic link")
	// ErrOutside is the link of a tag that does not lead to the object that it is
	// named after.
	ErrOutside = errors.New("the link leads to something else than the object of its name")
	// ErrStray is something that a storage does not make: a file where there are
	// only directories, a directory where there are only files, a device.
	ErrStray = errors.New("a storage has no such thing at this place")
	// ErrTooLarge is an object larger than the caller takes.
	ErrTooLarge = errors.New("it is too large")
)

// An Object is one value.
type Object struct {
	Collection, Key string
	Size            int64
	Tags            []string // sorted
}

// Path is where the object lies, relative to the directory.
func (o *Object) Path() string { return path.Join(o.Collection, o.Key) }

// A Problem is an entry that cannot be taken, and why.
type Problem struct {
	Path string // relative to the directory
	Err  error
}

// A Listing is what a directory holds.
type Listing struct {
	Objects  []Object // by collection and key
	Problems []Problem
	Stale    int // links of objects that are gone, which the original leaves behind
}

// A Store is an open directory.
type Store struct{ root *os.Root }

// Open opens a directory. Close it when done.
func Open(dir string) (*Store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Store{root}, nil
}

// Close closes the directory.
func (s *Store) Close() error { return s.root.Close() }

// List walks the directory. An entry that cannot be taken is a Problem; that the
// directory itself cannot be read is an error, and so is the end of ctx.
func (s *Store) List(ctx context.Context) (*Listing, error) {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	l := new(Listing)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case e.IsDir():
			s.collection(l, e.Name())
		case e.Type()&fs.ModeSymlink != 0:
			l.problem(e.Name(), ErrLink)
		default:
			l.problem(e.Name(), ErrStray)
		}
	}
	return l, nil
}

func (l *Listing) problem(path string, err error) {
	l.Problems = append(l.Problems, Problem{path, err})
}

// collection lists the objects and then the tags of a collection.
func (s *Store) collection(l *Listing, name string) {
	entries, err := fs.ReadDir(s.root.FS(), name)
	if err != nil {
		l.problem(name, cause(err))
		return
	}
	var tags []string
	objects := make(map[string]*Object)
	for _, e := range entries {
		at := path.Join(name, e.Name())
		info, err := e.Info()
		switch {
		case err != nil:
			l.problem(at, cause(err))
		case info.IsDir():
			tags = append(tags, e.Name())
		case info.Mode()&fs.ModeSymlink != 0:
			l.problem(at, ErrLink)
		case !info.Mode().IsRegular():
			l.problem(at, ErrStray)
		default:
			objects[e.Name()] = &Object{Collection: name, Key: e.Name(), Size: info.Size()}
		}
	}
	for _, tag := range tags { // sorted, as ReadDir gives them
		s.tag(l, name, tag, objects)
	}
	for _, e := range entries {
		if o := objects[e.Name()]; o != nil {
			l.Objects = append(l.Objects, *o)
		}
	}
}

// tag gives a tag to the objects that it has links of.
func (s *Store) tag(l *Listing, collection, tag string, objects map[string]*Object) {
	dir := path.Join(collection, tag)
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		l.problem(dir, cause(err))
		return
	}
	for _, e := range entries {
		at := path.Join(dir, e.Name())
		if e.Type()&fs.ModeSymlink == 0 {
			l.problem(at, ErrStray)
			continue
		}
		target, err := s.root.Readlink(at)
		switch {
		case err != nil:
			l.problem(at, cause(err))
		case !leadsTo(target, collection, e.Name()):
			l.problem(at, fmt.Errorf("%w: %s", ErrOutside, target))
		case objects[e.Name()] == nil:
			l.Stale++
		default:
			o := objects[e.Name()]
			o.Tags = append(o.Tags, tag)
		}
	}
}

// leadsTo reports whether a link is one that the original makes: its target is the
// path of the storage, whatever that was, the collection and the key.
func leadsTo(target, collection, key string) bool {
	parts := strings.Split(filepath.ToSlash(target), "/")
	n := len(parts)
	return n >= 2 && parts[n-1] == key && parts[n-2] == collection && !slices.Contains(parts, "..")
}

// Read returns the value of an object of at most limit bytes.
func (s *Store) Read(o *Object, limit int64) ([]byte, error) {
	f, err := s.root.Open(o.Path())
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, cause(err)
	}
	if int64(len(value)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return value, nil
}

// cause takes the path off an error: whoever reports it knows it.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
