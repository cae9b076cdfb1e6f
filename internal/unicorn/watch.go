package unicorn

import "context"

// Watch follows something in the tree: each Next gives what it is now, once, and
// then waits for a change. A reader that is slower than the changes sees the newest
// only; there is no queue. What it sees never goes back.
//
// Next belongs to one goroutine. Close may be called from any and ends the watch.
type Watch[T any] struct {
	t    *tree
	look func() T      // with t.mu held
	off  func()        // takes the watch off the tree's lists, with t.mu held
	wake chan struct{} // of one place: something has happened

	// Guarded by t.mu.
	changed bool  // since the last Next
	err     error // why the watch has ended
}

// Next waits until there is something new and returns it. When the watch has ended
// it returns why, at once and from then on: what has not been seen by then counts
// no more. When ctx ends first it returns its cause, and the watch goes on.
func (w *Watch[T]) Next(ctx context.Context) (T, error) {
	var zero T
	for {
		w.t.mu.Lock()
		if w.err != nil {
			defer w.t.mu.Unlock()
			return zero, w.err
		}
		if w.changed {
			defer w.t.mu.Unlock()
			w.changed = false
			return w.look(), nil
		}
		w.t.mu.Unlock()
		select {
		case <-w.wake:
		case <-ctx.Done():
			return zero, context.Cause(ctx)
		}
	}
}

// Close ends the watch. It may be called more than once.
func (w *Watch[T]) Close() {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.end(ErrClosed)
}

// A watcher is a Watch whatever it looks at. Its methods are called with t.mu held.
type watcher interface {
	change()
	end(err error)
}

func (w *Watch[T]) change() {
	w.changed = true
	w.notify()
}

// end takes the watch off the tree. The first cause stays.
func (w *Watch[T]) end(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	w.off()
	w.notify()
}

func (w *Watch[T]) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// watchers are the watches of each path.
type watchers map[string]map[watcher]struct{}

func (all watchers) add(path string, w watcher) {
	if all[path] == nil {
		all[path] = make(map[watcher]struct{})
	}
	all[path][w] = struct{}{}
}

func (all watchers) drop(path string, w watcher) {
	delete(all[path], w)
	if len(all[path]) == 0 {
		delete(all, path)
	}
}

func (all watchers) change(path string) {
	for w := range all[path] {
		w.change()
	}
}

// end ends the watches of a path, which take themselves off.
func (all watchers) end(path string, why error) {
	if len(all[path]) == 0 {
		return
	}
	err := cannot("follow", path, why)
	for w := range all[path] {
		w.end(err)
	}
}

func (all watchers) endAll(err error) {
	for _, ws := range all {
		for w := range ws {
			w.end(err)
		}
	}
}
