package storage

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

// watchedIndex is an index that follows the bucket. One goroutine applies the
// watch's events; close waits for it.
type watchedIndex struct {
	log     *slog.Logger
	watcher *jetstream.Watcher
	stop    context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended

	mu    sync.RWMutex
	index *index
	// fresh is what this process has written and the watch has not yet shown. A
	// record without tags and blob may be a removal, which makes no difference:
	// all it is asked for is what the next write has to build on.
	fresh  map[place]indexed
	seen   uint64        // revision up to which the index is right
	wanted uint64        // highest revision that this process has written
	moved  chan struct{} // closed when seen moves; nil if nobody waits
	failed error         // why the watch has ended
}

// watchIndex returns when all that is in the bucket is in the index.
func watchIndex(ctx context.Context, kv *jetstream.KV, log *slog.Logger) (*watchedIndex, error) {
	w, err := kv.Watch(ctx, ">", jetstream.WatchOptions{KeysOnly: true})
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	x := &watchedIndex{log: log, watcher: w, stop: stop, done: make(chan struct{}), index: newIndex(), fresh: make(map[place]indexed)}
	for {
		e, err := w.Next(ctx)
		if err != nil {
			stop()
			w.Stop()
			return nil, err
		}
		if e.Synced {
			break
		}
		x.apply(e)
	}
	go x.follow(life)
	return x, nil
}

func (x *watchedIndex) follow(ctx context.Context) {
	defer close(x.done)
	for {
		e, err := x.watcher.Next(ctx)
		if err != nil {
			x.mu.Lock()
			x.failed = ErrClosed
			x.wake()
			x.mu.Unlock()
			if ctx.Err() == nil {
				x.log.Warn("storage: the index of tags is lost", "cause", err)
			}
			return
		}
		x.apply(e)
	}
}

func (x *watchedIndex) apply(e jetstream.Event) {
	p, err := parseKVKey(e.Key)
	var r record
	if err == nil && !e.Deleted {
		r, err = parseRecord(e.Meta)
	}
	if err != nil {
		x.log.Warn("storage: a record cannot be read", "key", e.Key, "cause", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seen = e.Revision
	if err != nil || e.Deleted {
		x.index.remove(p)
	} else {
		x.index.set(p, indexed{tags: r.tags, blob: r.blob, rev: e.Revision})
	}
	if x.fresh[p].rev <= e.Revision {
		delete(x.fresh, p)
	}
	x.wake()
}

// wake lets those go on that wait for the index. The lock is held.
func (x *watchedIndex) wake() {
	if x.moved != nil {
		close(x.moved)
		x.moved = nil
	}
}

// wrote notes what this process has written: find waits until the watch shows it.
func (x *watchedIndex) wrote(p place, r indexed) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wanted = max(x.wanted, r.rev)
	if x.seen < r.rev {
		x.fresh[p] = r
	}
}

// current is the newest that is known of a key. It may be out of date, if another
// process writes the key, but its revision tells.
func (x *watchedIndex) current(p place) indexed {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if r, ok := x.fresh[p]; ok {
		return r
	}
	return x.index.records[p]
}

func (x *watchedIndex) err() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.failed
}

func (x *watchedIndex) find(ctx context.Context, collection string, tags []string) ([]string, error) {
	x.mu.RLock()
	wanted := x.wanted
	if x.failed == nil && x.seen >= wanted {
		defer x.mu.RUnlock()
		return x.index.find(collection, tags), nil
	}
	x.mu.RUnlock()
	if err := x.await(ctx, wanted); err != nil {
		return nil, err
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.index.find(collection, tags), nil
}

// await waits until the index has seen a revision.
func (x *watchedIndex) await(ctx context.Context, rev uint64) error {
	for {
		x.mu.Lock()
		if x.failed != nil || x.seen >= rev {
			defer x.mu.Unlock()
			return x.failed
		}
		if x.moved == nil {
			x.moved = make(chan struct{})
		}
		moved := x.moved
		x.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("the index of tags is behind: %w", ctx.Err())
		}
	}
}

func (x *watchedIndex) close() {
	x.stop()
	x.watcher.Stop()
	<-x.done
}

// blobs returns the names of all blobs in use.
func (x *watchedIndex) blobs() map[string]bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.index.blobs()
}
