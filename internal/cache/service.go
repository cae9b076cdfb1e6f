package cache

import (
	"context"
	"errors"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Service is a cache as the service `cache`.
func Service(c *Cache, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Cache, o)
	s := service{c}
	m.Inline("get", s.get)
	m.Inline("put", s.put)
	return m
}

type service struct{ cache *Cache }

// missing is the answer [false, ""].
var missing = msgpack.AppendBytes(msgpack.AppendBool(msgpack.AppendArray(nil, 2), false), nil)

func (s service) get(_ context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	key := r.Bytes()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	if answer := s.cache.get(key); answer != nil {
		return answer, nil
	}
	return missing, nil
}

func (s service) put(_ context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	key, value := r.String(), r.Bytes()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	err := s.cache.put(key, value)
	if errors.Is(err, ErrTooLarge) {
		return nil, rpc.Errorf(idl.CategoryGeneric, int(syscall.EFBIG), "%v", err)
	}
	return nil, err
}
