package storage

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
)

// Memory is a Store that lasts as long as its process, for tests.
type Memory struct {
	mu     sync.RWMutex
	values map[place][]byte
	index  *index
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{values: make(map[place][]byte), index: newIndex()}
}

// Read implements Store.
func (m *Memory) Read(ctx context.Context, collection, key string) ([]byte, error) {
	if err := checkCall(ctx, collection, key, nil); err != nil {
		return nil, cannot("read", collection, key, err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.values[place{collection, key}]
	if !ok {
		return nil, missing(collection, key)
	}
	return bytes.Clone(value), nil
}

// Write implements Store.
func (m *Memory) Write(ctx context.Context, collection, key string, value []byte, tags []string) error {
	if err := checkCall(ctx, collection, key, tags); err != nil {
		return cannot("write", collection, key, err)
	}
	if err := checkSize(value); err != nil {
		return cannot("write", collection, key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := place{collection, key}
	m.values[p] = append([]byte{}, value...)
	m.index.set(p, indexed{tags: union(m.index.records[p].tags, tags)})
	return nil
}

// Amend implements Store.
func (m *Memory) Amend(ctx context.Context, collection, key string, tags []string, change func(old []byte) ([]byte, error)) error {
	err := checkCall(ctx, collection, key, tags)
	if err == nil {
		err = m.amend(place{collection, key}, tags, change)
	}
	if err != nil {
		return cannot("change", collection, key, err)
	}
	return nil
}

func (m *Memory) amend(p place, tags []string, change func(old []byte) ([]byte, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, err := change(bytes.Clone(m.values[p]))
	if err != nil || value == nil {
		return err
	}
	if err := checkSize(value); err != nil {
		return err
	}
	m.values[p] = append([]byte{}, value...)
	m.index.set(p, indexed{tags: union(m.index.records[p].tags, tags)})
	return nil
}

// Remove implements Store.
func (m *Memory) Remove(ctx context.Context, collection, key string) error {
	if err := checkCall(ctx, collection, key, nil); err != nil {
		return cannot("remove", collection, key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := place{collection, key}
	delete(m.values, p)
	m.index.remove(p)
	return nil
}

// Find implements Store.
func (m *Memory) Find(ctx context.Context, collection string, tags []string) ([]string, error) {
	if err := checkFind(ctx, collection, tags); err != nil {
		return nil, fmt.Errorf("cannot find keys: %w", err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.index.find(collection, tags), nil
}

func checkCall(ctx context.Context, collection, key string, tags []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return checkNames(collection, key, tags)
}

func checkFind(ctx context.Context, collection string, tags []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckName(collection); err != nil {
		return fmt.Errorf("collection: %w", err)
	}
	return checkTags(tags)
}

func checkSize(value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: a value of %d bytes, at most %d are allowed", ErrTooLarge, len(value), MaxValue)
	}
	return nil
}

// union merges two sets of tags into a sorted one. It changes neither.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
