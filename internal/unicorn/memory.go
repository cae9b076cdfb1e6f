package unicorn

import (
	"context"
	"log/slog"
	"sync"
)

// Memory is a Store that lasts as long as its process, for tests.
type Memory struct {
	core

	mu  sync.Mutex // orders the changes
	rev uint64
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := new(Memory)
	m.init((*memoryJournal)(m), slog.New(slog.DiscardHandler))
	return m
}

// Close ends every watch and every Held. Later calls fail with ErrClosed.
func (m *Memory) Close() error {
	m.end()
	return nil
}

// memoryJournal keeps the records in the tree and nowhere else.
type memoryJournal Memory

func (m *memoryJournal) write(_ context.Context, path string, r record, prev uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(path, prev); err != nil {
		return 0, err
	}
	m.rev++
	m.t.set(path, r, m.rev)
	return m.rev, nil
}

func (m *memoryJournal) remove(_ context.Context, path string, prev uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(path, prev); err != nil {
		return 0, err
	}
	m.rev++
	m.t.remove(path, m.rev)
	return m.rev, nil
}

func (m *memoryJournal) check(path string, prev uint64) error {
	v, err := m.t.view(path)
	if err == nil && v.rev != prev {
		err = errConflict
	}
	return err
}

func (m *memoryJournal) load(_ context.Context, path string) (record, uint64, error) {
	v, err := m.t.view(path)
	return v.record, v.rev, err
}

func (m *memoryJournal) session() (string, error) { return "memory", nil }

func (m *memoryJournal) exclusive() bool { return true }
