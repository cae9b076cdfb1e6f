package v011

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Store is what the storage service is made of. Every method may be called from any
// goroutine. A key that is missing is an error that is fs.ErrNotExist, for Read alone.
type Store interface {
	Read(ctx context.Context, collection, key string) ([]byte, error)
	Write(ctx context.Context, collection, key string, value []byte, tags []string) error
	Remove(ctx context.Context, collection, key string) error
	Find(ctx context.Context, collection string, tags []string) ([]string, error)
}

// Storage is the storage service over a store. Its methods are those of v0.12; what it
// says of a missing key is what the tools of v0.11 show.
func Storage(store Store, o rpc.MuxOptions) *ClientService {
	m := rpc.NewMux(oldStorage, o)
	s := oldStore{store}
	m.Unary("read", s.read)
	m.Change("write", s.write)
	m.Change("remove", s.remove)
	m.Unary("find", s.find)
	return newClientService(oldStorage, m)
}

type oldStore struct{ store Store }

func (s oldStore) read(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	collection, key := r.String(), r.String()
	if r.Err() != nil {
		return nil, errArgument
	}
	blob, err := s.store.Read(ctx, collection, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(collection, key)
	}
	if err != nil {
		return nil, failed(err, "unable to access object '%s' in '%s'", key, collection)
	}
	const heads = 1 + 5 // of the array and of the longest raw
	return msgpack.AppendBytes(msgpack.AppendArray(make([]byte, 0, heads+len(blob)), 1), blob), nil
}

func (s oldStore) write(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	collection, key, blob := r.String(), r.String(), r.Bytes()
	var tags []string
	ok := true
	if c.NArgs > 3 {
		tags, ok = readStrings(&r)
	}
	if r.Err() != nil || !ok {
		return nil, errArgument
	}
	return nil, failed(s.store.Write(ctx, collection, key, blob, tags), "unable to access object '%s' in '%s'", key, collection)
}

func (s oldStore) remove(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	collection, key := r.String(), r.String()
	if r.Err() != nil {
		return nil, errArgument
	}
	return nil, failed(s.store.Remove(ctx, collection, key), "unable to remove object '%s' from '%s'", key, collection)
}

func (s oldStore) find(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	collection := r.String()
	tags, ok := readStrings(&r)
	if r.Err() != nil || !ok {
		return nil, errArgument
	}
	keys, err := s.store.Find(ctx, collection, tags)
	if err != nil {
		return nil, fmt.Errorf("cannot find keys in %q: %w", collection, err)
	}
	return appendStrings(msgpack.AppendArray(nil, 1), keys), nil
}

func notFound(collection, key string) error {
	return oldErrorf(invocationError, "object '%s' has not been found in '%s'", key, collection)
}

// failed puts an error of a store in the words of v0.11, unless somebody has given it
// a code of its own: then it is not the store that has failed.
func failed(err error, format, key, collection string) error {
	if _, ok := errors.AsType[*rpc.Error](err); err == nil || ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return oldErrorf(invocationError, format, key, collection)
}

// maxList bounds the lists and maps that a call may have for an argument.
const maxList = 1 << 16

// readStrings reads a list of strings. ok is false if it is too long; r tells what
// else may be wrong.
func readStrings(r *msgpack.Reader) (list []string, ok bool) {
	n := r.Array()
	if n > maxList {
		return nil, false
	}
	list = make([]string, 0, n)
	for i := 0; i < n && r.Err() == nil; i++ {
		list = append(list, r.String())
	}
	return list, true
}

func appendStrings(dst []byte, list []string) []byte {
	dst = msgpack.AppendArray(dst, len(list))
	for _, s := range list {
		dst = msgpack.AppendString(dst, s)
	}
	return dst
}
