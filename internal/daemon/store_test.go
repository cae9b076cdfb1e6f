package daemon

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/storage"
	"github.com/cocaine/cocaine-go/internal/storage/storagetest"
)

// stuckStore is one whose operations last until they are let go.
type stuckStore struct {
	storage.Store
	release chan struct{}

	mu      sync.Mutex
	running int
}

func (s *stuckStore) Read(context.Context, string, string) ([]byte, error) {
	s.mu.Lock()
	s.running++
	s.mu.Unlock()
	<-s.release
	return []byte("value"), nil
}

func TestBoundedStoreIsAStore(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return newBoundedStore(storage.NewMemory()) })
}

func TestBoundedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &stuckStore{release: make(chan struct{})}
		own := newBoundedStore(stuck)
		clients := own.forClients()
		var wg sync.WaitGroup
		read := func(s *boundedStore) {
			wg.Go(func() {
				if v, err := s.Read(t.Context(), "c", "k"); err != nil || string(v) != "value" {
					t.Errorf("a read that waited gave %q, %v", v, err)
				}
			})
		}
		for range operations + waiting {
			read(clients)
		}
		synctest.Wait()
		if stuck.running != operations {
			t.Errorf("%d operations run at once, want %d", stuck.running, operations)
		}
		busy := &rpc.Error{Category: idl.CategoryGeneric, Code: idl.GenericUnavailable}
		if _, err := clients.Read(t.Context(), "c", "k"); !errors.Is(err, busy) {
			t.Errorf("one client more gets %v, want %v", err, busy)
		}
		if err := clients.Write(t.Context(), "c", "k", nil, nil); !errors.Is(err, busy) {
			t.Errorf("one writer more gets %v, want %v", err, busy)
		}
		read(own) // the runtime itself waits
		synctest.Wait()
		gone, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("gone"))
		if err := own.Remove(gone, "c", "k"); err == nil || err.Error() != "gone" {
			t.Errorf("whoever has gone gets %v", err)
		}
		close(stuck.release)
		wg.Wait()
		if n := clients.queue.Load(); n != 0 {
			t.Errorf("%d operations are still counted", n)
		}
		if len(own.slots) != 0 {
			t.Errorf("%d slots are still taken", len(own.slots))
		}
	})
}
