package daemon

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

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
		s := newBoundedStore(stuck)
		var wg sync.WaitGroup
		for range operations + 1 {
			wg.Go(func() {
				if v, err := s.Read(t.Context(), "c", "k"); err != nil || string(v) != "value" {
					t.Errorf("a read that waited gave %q, %v", v, err)
				}
			})
		}
		synctest.Wait()
		if stuck.running != operations {
			t.Errorf("%d operations run at once, want %d", stuck.running, operations)
		}
		gone, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("gone"))
		if err := s.Remove(gone, "c", "k"); err == nil || err.Error() != "gone" {
			t.Errorf("whoever has gone gets %v", err)
		}
		close(stuck.release)
		wg.Wait()
		if n := len(s.slots); n != 0 {
			t.Errorf("%d slots are still taken", n)
		}
	})
}
