package daemon

import (
	"context"
	"sync/atomic"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/storage"
)

const (
	// operations is how many operations of the storage run at once. The state
	// engine drops answers of which more than 64 MiB wait for this process, and
	// whoever waits for one waits in vain; an answer has 64 KiB at most, or comes in
	// pieces as it is read. More than this at once is no faster.
	operations = 128
	// waiting is how many operations of clients may wait for those. What is beyond
	// is refused: clients that ask and go away must not pile up.
	waiting = 4096
)

// boundedStore makes operations beyond the bound wait, as long as their contexts
// let them. Finding keys takes no operation of the engine.
type boundedStore struct {
	storage.Store
	slots chan struct{}
	queue *atomic.Int64 // those that wait; nil if any number may
}

func newBoundedStore(s storage.Store) *boundedStore {
	return &boundedStore{Store: s, slots: make(chan struct{}, operations)}
}

// forClients is the same store for the clients of the storage service, who have to
// do without when too many of them wait. What the runtime itself has to keep waits
// its turn.
func (s *boundedStore) forClients() *boundedStore {
	return &boundedStore{Store: s.Store, slots: s.slots, queue: new(atomic.Int64)}
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

// Remove implements storage.Store.
func (s *boundedStore) Remove(ctx context.Context, collection, key string) error {
	return s.inTurn(ctx, func() error { return s.Store.Remove(ctx, collection, key) })
}

func (s *boundedStore) inTurn(ctx context.Context, f func() error) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	defer func() { <-s.slots }()
	return f()
}

// wait takes a slot.
func (s *boundedStore) wait(ctx context.Context) error {
	if s.queue != nil {
		defer s.queue.Add(-1)
		if s.queue.Add(1) > waiting {
			return rpc.Errorf(idl.CategoryGeneric, idl.GenericUnavailable, "storage is busy: %d operations are waiting", waiting)
		}
	}
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
