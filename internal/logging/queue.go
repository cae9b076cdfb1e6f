package logging

import (
	"fmt"
	"sync"
	"time"
)

// queue holds encoded records that wait for a writer. It is bounded in bytes: a
// push into a full queue drops the oldest. Safe for concurrent use.
type queue struct {
	limit int

	mu      sync.Mutex
	items   [][]byte
	bytes   int
	dropped uint64
}

// push adds an item and keeps it. It reports whether the queue was empty.
func (q *queue) push(item []byte) (first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first = len(q.items) == 0
	q.items = append(q.items, item)
	q.bytes += len(item)
	for q.bytes > q.limit && len(q.items) > 1 {
		q.bytes -= len(q.items[0])
		q.items[0] = nil
		q.items = q.items[1:]
		q.dropped++
	}
	return first
}

// take empties the queue and tells how many items were dropped before those that
// it returns.
func (q *queue) take() (items [][]byte, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, dropped = q.items, q.dropped
	q.items, q.bytes, q.dropped = nil, 0, 0
	return items, dropped
}

func (q *queue) pending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) > 0 || q.dropped > 0
}

// droppedRecord takes the place of records that were dropped.
func droppedRecord(n uint64) Record {
	return Record{Time: time.Now(), Severity: Warning, Source: "logging", Message: fmt.Sprintf("dropped %d records", n)}
}

// missedRecord takes the place of records that a reader came too late for.
func missedRecord(app string, at time.Time, n uint64) Record {
	return Record{Time: at, Severity: Warning, App: app, Source: "logging", Message: fmt.Sprintf("missed %d records", n)}
}
