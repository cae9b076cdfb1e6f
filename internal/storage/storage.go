package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// MaxValue is the size of the largest value. Values are handled in memory.
const MaxValue = 256 << 20

// Store is what the services need of the storage. See the package comment for
// what each implementation guarantees.
type Store interface {
	// Read returns the value of a key. If there is none, the error is
	// fs.ErrNotExist.
	Read(ctx context.Context, collection, key string) ([]byte, error)
	// Write sets the value of a key and adds tags to those it has. When the error
	// is that of ctx, the value may have been written.
	Write(ctx context.Context, collection, key string, value []byte, tags []string) error
	// Amend replaces the value of a key by what change makes of it, and adds tags to
	// those it has, so that no other write comes in between: change is called again
	// if one did. It is given nil, not an empty value, if the key is missing, and may
	// return nil for leaving everything as it is. Its error is returned, wrapped. It
	// must not call the store.
	Amend(ctx context.Context, collection, key string, tags []string, change func(old []byte) ([]byte, error)) error
	// Remove deletes a key and its tags. A missing key is no error.
	Remove(ctx context.Context, collection, key string) error
	// Find returns the keys that have all the tags, sorted bytewise. The result is
	// never nil; without tags it is empty.
	Find(ctx context.Context, collection string, tags []string) ([]string, error)
}

var (
	// ErrBadName means that a collection, key or tag is not a name. See CheckName.
	ErrBadName = errors.New("bad name")
	// ErrTooLarge means that a value is larger than MaxValue or that a key would
	// have more tags than fit in its record.
	ErrTooLarge = errors.New("too large")
	// ErrDamaged means that a record is there but its value cannot be read.
	ErrDamaged = errors.New("value is damaged")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("storage is closed")
)

// maxName is the longest name in bytes. The original's limit was that of a file
// name, 255; ours leaves room, and keeps the engine's subjects below their limit
// when every byte has to be escaped.
const maxName = 512

// CheckName tells whether s can name a collection, a key or a tag. A name is 1 to
// 512 bytes of any kind but NUL; it does not start with a slash, and none of the
// parts between slashes is "." or "..". So every name that a file could have is
// allowed, and none that would lead a store of files outside of its directory:
// the original did not look, and "../manifests/app" was a way around every
// permission. The error wraps ErrBadName.
func CheckName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: it is empty", ErrBadName)
	case len(s) > maxName:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrBadName, maxName)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%w %q: it contains NUL", ErrBadName, s)
	case s[0] == '/':
		return fmt.Errorf("%w %q: it starts with a slash", ErrBadName, s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "." || part == ".." {
			return fmt.Errorf("%w %q: it has a part %q", ErrBadName, s, part)
		}
	}
	return nil
}

func checkNames(collection, key string, tags []string) error {
	if err := CheckName(collection); err != nil {
		return fmt.Errorf("collection: %w", err)
	}
	if err := CheckName(key); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	return checkTags(tags)
}

func checkTags(tags []string) error {
	for _, tag := range tags {
		if err := CheckName(tag); err != nil {
			return fmt.Errorf("tag: %w", err)
		}
	}
	return nil
}

// cannot wraps the cause of a failed operation.
func cannot(verb, collection, key string, err error) error {
	return fmt.Errorf("cannot %s %s: %w", verb, object(collection, key), err)
}

// object names a record in messages: as it is if it can be printed.
func object(collection, key string) string {
	s := collection + "/" + key
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

// missing is the error of a key that is not there.
func missing(collection, key string) error {
	return cannot("read", collection, key, absent{collection, key})
}

// absent is fs.ErrNotExist that knows of which key, for those who have to say it in
// other words.
type absent struct{ collection, key string }

func (absent) Error() string                      { return fs.ErrNotExist.Error() }
func (absent) Unwrap() error                      { return fs.ErrNotExist }
func (a absent) Absent() (collection, key string) { return a.collection, a.key }
