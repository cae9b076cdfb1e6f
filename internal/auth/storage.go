package auth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Where the records of collections are: in this collection, under the name of the
// collection, with this tag.
const (
	aclCollection = ".collection-acls"
	aclTag        = "storage-acls"
)

// Blobs is the part of a storage in which the records of its collections lie.
type Blobs interface {
	// Read returns the value of a key; of a missing one the error is fs.ErrNotExist.
	Read(ctx context.Context, collection, key string) ([]byte, error)
	// Amend replaces the value of a key by what change makes of it, with no other
	// write in between. change gets nil for a missing key, and may return nil for
	// leaving it as it is; its error is returned, wrapped.
	Amend(ctx context.Context, collection, key string, tags []string, change func(old []byte) ([]byte, error)) error
}

// Collections keep the permissions of the collections of a storage.
type Collections struct {
	blobs Blobs
}

// NewCollections keeps the permissions in the storage that they are for.
func NewCollections(b Blobs) *Collections { return &Collections{blobs: b} }

// Authorize says whether a method of the storage service may run. What is done with a
// record of a collection counts as done with that collection.
func (s *Collections) Authorize(ctx context.Context, who Identity, c *rpc.Call) error {
	r := c.Reader()
	collection := r.String()
	if collection == aclCollection && c.Method.Name != "find" {
		collection = r.String()
	}
	if r.Err() != nil {
		return rpc.BadArgs(c, r.Err())
	}
	need := Write
	if c.Method.Name == "read" || c.Method.Name == "find" {
		need = Read
	}
	return s.Allow(ctx, who, collection, need)
}

// Allow says whether an identity may do something with a collection. One that belongs
// to nobody becomes that of the first known identity that may write because of that.
func (s *Collections) Allow(ctx context.Context, who Identity, collection string, need Access) error {
	rec, err := s.read(ctx, collection)
	switch {
	case err != nil:
		return coded(err, object(collection))
	case !rec.Empty():
		return verdict(rec, who, collection, need)
	case need&Write == 0 || who.Anonymous():
		return nil
	}
	return s.Edit(ctx, &who, collection, func(*Record) {})
}

func verdict(rec Record, who Identity, collection string, need Access) error {
	if rec.Permits(who, need) {
		return nil
	}
	if need&Write == 0 {
		return denied("read", object(collection))
	}
	return denied("write to", object(collection))
}

func object(collection string) string { return "collection " + strconv.Quote(collection) }

func (s *Collections) read(ctx context.Context, collection string) (Record, error) {
	blob, err := s.blobs.Read(ctx, aclCollection, collection)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, err
	}
	return parseRecord(blob, intKeys)
}

// Edit changes the record of a collection on behalf of an identity, which has to be
// permitted to write; of a collection that belongs to nobody it becomes the owner
// first, if it is known. With no identity nothing is checked.
func (s *Collections) Edit(ctx context.Context, who *Identity, collection string, change func(*Record)) error {
	err := s.blobs.Amend(ctx, aclCollection, collection, []string{aclTag}, func(old []byte) ([]byte, error) {
		var rec Record
		if old != nil {
			var err error
			if rec, err = parseRecord(old, intKeys); err != nil {
				return nil, err
			}
		}
		if who != nil && !rec.Empty() {
			if err := verdict(rec, *who, collection, Write); err != nil {
				return nil, err
			}
		} else if who != nil {
			rec = ownedBy(*who)
		}
		change(&rec)
		if next := rec.append(nil, intKeys); !slices.Equal(next, old) && !(old == nil && rec.Empty()) {
			return next, nil
		}
		return nil, nil
	})
	if err != nil {
		err = coded(err, object(collection))
		if _, ok := errors.AsType[*rpc.Error](err); !ok {
			err = fmt.Errorf("cannot change permissions of %s: %w", object(collection), err)
		}
	}
	return err
}
