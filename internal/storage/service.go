package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// maxTags bounds the list of tags in one call.
const maxTags = 1 << 12

// Service is a store as the service `storage` (docs/PROTOCOL.md, storage).
func Service(s Store, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Storage, o)
	svc := service{s}
	m.Unary("read", svc.read)
	m.Change("write", svc.write)
	m.Change("remove", svc.remove)
	m.Unary("find", svc.find)
	return m
}

type service struct{ store Store }

func (s service) read(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	collection, key := r.String(), r.String()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	value, err := s.store.Read(ctx, collection, key)
	if err != nil {
		return nil, coded(err, collection, key)
	}
	const header = 1 + 5 // of the array and of the longest raw
	result := msgpack.AppendArray(make([]byte, 0, header+len(value)), 1)
	return msgpack.AppendBytes(result, value), nil
}

func (s service) write(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	collection, key, value := r.String(), r.String(), r.Bytes()
	var tags []string
	if c.NArgs > 3 {
		var err error
		if tags, err = readTags(&r); err != nil {
			return nil, rpc.BadArgs(c, err)
		}
	}
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	return nil, coded(s.store.Write(ctx, collection, key, value, tags), collection, key)
}

func (s service) remove(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	collection, key := r.String(), r.String()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	return nil, coded(s.store.Remove(ctx, collection, key), collection, key)
}

func (s service) find(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	collection := r.String()
	tags, err := readTags(&r)
	if err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	keys, err := s.store.Find(ctx, collection, tags)
	if err != nil {
		return nil, coded(err, collection, "")
	}
	result := msgpack.AppendArray(nil, 1)
	result = msgpack.AppendArray(result, len(keys))
	for _, key := range keys {
		result = msgpack.AppendString(result, key)
	}
	return result, nil
}

func readTags(r *msgpack.Reader) ([]string, error) {
	n := r.Array()
	if err := r.Err(); err != nil {
		return nil, err
	}
	if n > maxTags {
		return nil, fmt.Errorf("more than %d tags", maxTags)
	}
	tags := make([]string, n)
	for i := range tags {
		tags[i] = r.String()
	}
	return tags, r.Err()
}

// coded gives an error the code that the original's files backend used. A missing
// key reads as it did there, but for the directory: tools show it to people.
func coded(err error, collection, key string) error {
	code := syscall.EIO
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericNotFound, "%s/%s: No such file or directory", collection, key)
	case errors.Is(err, ErrBadName):
		code = syscall.EINVAL
	case errors.Is(err, ErrTooLarge):
		code = syscall.EFBIG
	case errors.Is(err, syscall.ENOSPC):
		code = syscall.ENOSPC
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return rpc.AsError(err)
	}
	return rpc.Errorf(idl.CategoryGeneric, int(code), "%s", err)
}
