package daemon

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/storage"
)

const (
	// operations is how many operations of the storage run at once. The state
	// engine drops answers of which more than 64 MiB wait for this process, and
	// whoever waits for one waits in vain; an answer has 64 KiB at most, or comes in
	// pieces as it is read.
	operations = 128
	// clientOperations is how many of those clients of the storage service have
	// together. More are no faster, and each of them is a few goroutines more that
	// everybody else has to wait for.
	clientOperations = 16
)

// boundedStore makes operations beyond the bound wait, as long as their contexts
// let them. Finding keys takes no operation of the engine.
type boundedStore struct {
	storage.Store
	slots chan struct{}
}

func newBoundedStore(s storage.Store) *boundedStore {
	return &boundedStore{Store: s, slots: make(chan struct{}, operations)}
}

// Read implements storage.Store.
func (s *boundedStore) Read(ctx context.Context, collection, key string) (value []byte, err error) {
	err = s.inTurn(ctx, func() error {
		value, err = s.Store.Read(ctx, collection, key)
		return err
	})
	return value, err
}

// Write implements storage.Store.
func (s *boundedStore) Write(ctx context.Context, collection, key string, value []byte, tags []string) error {
	return s.inTurn(ctx, func() error { return s.Store.Write(ctx, collection, key, value, tags) })
}

// Amend implements storage.Store.
func (s *boundedStore) Amend(ctx context.Context, collection, key string, tags []string, change func(old []byte) ([]byte, error)) error {
	return s.inTurn(ctx, func() error { return s.Store.Amend(ctx, collection, key, tags, change) })
}

// Remove implements storage.Store.
func (s *boundedStore) Remove(ctx context.Context, collection, key string) error {
	return s.inTurn(ctx, func() error { return s.Store.Remove(ctx, collection, key) })
}

func (s *boundedStore) inTurn(ctx context.Context, f func() error) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.slots }()
	return f()
}
