package cocainetest

import (
	"context"
	"slices"
	"sync"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// Storage is a storage that keeps in memory what is written to it: the methods for
//
//	rt.Service("storage", cocainetest.Storage())
func Storage() Methods {
	s := &storage{blobs: make(map[storageKey]blob)}
	return Methods{"read": Func(s.read), "write": Func(s.write), "remove": Func(s.remove), "find": Func(s.find)}
}

type storage struct {
	mu    sync.Mutex
	blobs map[storageKey]blob
}

type storageKey struct{ collection, key string }

type blob struct {
	value []byte
	tags  []string
}

func (s *storage) read(_ context.Context, c *Call) (any, error) {
	var k storageKey
	if err := c.Bind(&k.collection, &k.key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[k]
	if !ok {
		return nil, cocaine.Errorf(idl.CategoryGeneric, idl.GenericNotFound, "no key %q in collection %q", k.key, k.collection)
	}
	return b.value, nil
}

func (s *storage) write(_ context.Context, c *Call) (any, error) {
	var k storageKey
	var b blob
	if err := c.Bind(&k.collection, &k.key, &b.value, &b.tags); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[k] = b
	return nil, nil
}

func (s *storage) remove(_ context.Context, c *Call) (any, error) {
	var k storageKey
	if err := c.Bind(&k.collection, &k.key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, k) // a missing key is no error
	return nil, nil
}

// find gives the keys that have all the tags; without tags none.
func (s *storage) find(_ context.Context, c *Call) (any, error) {
	var collection string
	var tags []string
	if err := c.Bind(&collection, &tags); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []string{}
	for k, b := range s.blobs {
		missing := func(tag string) bool { return !slices.Contains(b.tags, tag) }
		if k.collection == collection && len(tags) > 0 && !slices.ContainsFunc(tags, missing) {
			found = append(found, k.key)
		}
	}
	slices.Sort(found)
	return found, nil
}
