package logging

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Query says which records are wanted.
type Query struct {
	// Last is how many old records are wanted at most, over all apps; negative
	// means all that are kept.
	Last int
	// Follow goes on with new records until the context ends.
	Follow bool
	// Since leaves out records from before. If zero, it does not.
	Since time.Time
	// MinSeverity leaves out less severe records.
	MinSeverity int
}

func (q Query) match(r Record) bool {
	return r.Severity >= q.MinSeverity && !r.Time.Before(q.Since)
}

// Tail yields records of some apps, of all for an empty list: old ones first,
// merged by time, then, if the query follows, new ones as they are written, of
// apps that appear later as well. What was emitted before the call is seen.
//
// An error is yielded once, as the last step. Following ends without an error when
// ctx ends, and with ErrClosed when the store is closed.
func (s *Store) Tail(ctx context.Context, apps []string, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		t := &tail{store: s, apps: apps, query: q, cursors: make(map[*appLog]*cursor)}
		defer t.close()
		err := t.run(ctx, func(r Record) bool { return yield(r, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(Record{}, fmt.Errorf("cannot read log: %w", err))
		}
	}
}

// tail is one iteration of Tail.
type tail struct {
	store   *Store
	apps    []string
	query   Query
	cursors map[*appLog]*cursor
}

// errStopped means that the caller has left the loop.
var errStopped = errors.New("stopped")

func (t *tail) run(ctx context.Context, yield func(Record) bool) error {
	if t.store.isClosed() {
		return ErrClosed
	}
	changed := t.store.change() // before the first look, so that nothing is missed
	drop, err := t.begin()
	if err != nil {
		return err
	}
	if err := t.drain(ctx, yield, drop); err != nil {
		return err
	}
	for t.query.Follow {
		closing := false
		select {
		case <-changed:
		case <-t.store.done:
			closing = true
		case <-ctx.Done():
			return nil
		}
		changed = t.store.change()
		if err := t.advance(); err != nil {
			return err
		}
		if err := t.drain(ctx, yield, 0); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if closing {
			return ErrClosed
		}
	}
	return nil
}

// begin places a cursor in each log, and returns how many of the records that
// they are going to give are not among the last.
func (t *tail) begin() (drop int, err error) {
	total := 0
	for _, l := range t.store.logs(t.apps) {
		if err := l.flush(); err != nil {
			t.store.complain(err) // what is on disk can be read all the same
		}
		c := &cursor{log: l}
		if c.view, err = l.view(); err != nil {
			return 0, err
		}
		t.cursors[l] = c
		n, err := t.place(c)
		if err != nil {
			return 0, err
		}
		total += n
	}
	t.store.announce() // others may be waiting for what was flushed here
	if t.query.Last < 0 {
		return 0, nil
	}
	return max(0, total-t.query.Last), nil
}

// place puts a cursor where the last records begin, and returns how many there
// are from there on.
func (t *tail) place(c *cursor) (total int, err error) {
	want := t.query.Last
	segments := c.view.segments
	first := len(segments)
	for first > 0 && (want < 0 || total < want) && !segments[first-1].last.Before(t.query.Since) {
		first--
		if want < 0 {
			continue
		}
		n, err := t.count(c.log, segments[first])
		if err != nil {
			return 0, err
		}
		total += n
	}
	c.start(first)
	if want >= 0 && total > want {
		c.skip, total = total-want, want
	}
	return total, nil
}

// count tells how many records of a segment match.
func (t *tail) count(l *appLog, s segment) (n int, err error) {
	c := &cursor{log: l, view: view{segments: []segment{s}}}
	defer c.close()
	for {
		r, ok, err := c.read()
		if !ok || err != nil {
			return n, err
		}
		if t.query.match(r) {
			n++
		}
	}
}

// advance lets the cursors see what was written since, and finds new apps.
func (t *tail) advance() error {
	logs := t.store.logs(t.apps)
	for l, c := range t.cursors {
		if !slices.Contains(logs, l) {
			c.close() // all its records were too old and are gone
			delete(t.cursors, l)
		}
	}
	for _, l := range logs {
		c := t.cursors[l]
		if c == nil {
			c = &cursor{log: l}
			t.cursors[l] = c
		}
		var err error
		if c.view, err = l.view(); err != nil {
			return err
		}
	}
	return nil
}

// drain yields all records that the cursors may read, by time, but for the first
// ones.
func (t *tail) drain(ctx context.Context, yield func(Record) bool, drop int) error {
	var h merge
	for _, c := range t.cursors {
		if err := h.push(t, c); err != nil {
			return err
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		top := h[0]
		r, ok, err := t.next(top.cursor)
		if err != nil {
			return err
		}
		out := top.record
		if ok {
			h[0].record = r
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
		if drop > 0 {
			drop--
			continue
		}
		if !yield(out) {
			return errStopped
		}
	}
	return nil
}

// next reads the next record of a cursor that matches.
func (t *tail) next(c *cursor) (Record, bool, error) {
	for {
		r, ok, err := c.read()
		if !ok || err != nil {
			return Record{}, false, err
		}
		if !t.query.match(r) {
			continue
		}
		if c.skip > 0 {
			c.skip--
			continue
		}
		return r, true, nil
	}
}

func (t *tail) close() {
	for _, c := range t.cursors {
		c.close()
	}
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// merge is a heap of the next record of each cursor, the oldest first.
type merge []mergeItem

type mergeItem struct {
	record Record
	cursor *cursor
}

func (h *merge) push(t *tail, c *cursor) error {
	r, ok, err := t.next(c)
	if ok {
		*h = append(*h, mergeItem{r, c})
	}
	return err
}

func (h merge) Len() int { return len(h) }
func (h merge) Less(i, j int) bool {
	if c := h[i].record.Time.Compare(h[j].record.Time); c != 0 {
		return c < 0
	}
	return h[i].record.App < h[j].record.App
}
func (h merge) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *merge) Push(x any)   { *h = append(*h, x.(mergeItem)) }
func (h *merge) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
