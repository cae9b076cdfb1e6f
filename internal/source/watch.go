package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing may change before a burst of changes is over.
	// Editors and version control write many files for one thing a person does.
	quiet = 150 * time.Millisecond

	// patience is how long a burst may last. A source that never comes to rest
	// is built anyway.
	patience = 2 * time.Second

	// maxHashed is the largest file whose contents are compared. Of larger ones
	// size and time are.
	maxHashed = 8 << 20
)

// Watcher tells when a source has changed. It is made before the first build,
// so that no change is missed, and asked with Next after each.
//
// A watcher looks at contents: a file that is written again as it was, as a
// build does with files it generates, is no change. Not watched are by-products
// of tools, installed dependencies, what the ignore file of the app lists, the
// program that a build makes and, of Go programs, tests. Of a Go program the whole module is watched, but no other
// modules of a workspace. A change may be one of the app file: detect again
// before building again.
type Watcher struct {
	plan  *Plan
	fs    *fsnotify.Watcher
	alone string           // the only file that counts, if not empty
	known map[string]state // what files were like at their last change
}

// state is what a file is like: absent, or with certain contents.
type state struct {
	exists bool
	digest [sha256.Size]byte
}

// Change is a burst of changes.
type Change struct {
	// Paths are the files that changed, relative to the root of what is watched
	// and sorted. It is empty if so much changed that the system lost count.
	Paths []string
}

// Watch starts to watch the source of a plan.
func Watch(p *Plan) (*Watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, watchError(p.watch, err)
	}
	w := &Watcher{plan: p, fs: notify, known: make(map[string]state)}
	info, err := os.Stat(p.watch)
	if err == nil && !info.IsDir() {
		// Editors put a new file in the place of the old one: the directory has
		// to be watched to see that.
		w.alone = p.watch
		err = notify.Add(filepath.Dir(p.watch))
	} else if err == nil {
		_, err = w.add(p.watch)
	}
	if err != nil {
		return nil, errors.Join(watchError(p.watch, err), notify.Close())
	}
	return w, nil
}

func watchError(path string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) {
		return &Error{Op: "watch", Path: path, Reason: "the system's limit of watched directories is reached", err: err,
			hint: "sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024"}
	}
	return fmt.Errorf("cannot watch %s: %w", path, err)
}

// Close stops watching. A blocked Next returns.
func (w *Watcher) Close() error { return w.fs.Close() }

// Next waits until something has changed since the last call, and the burst of
// changes is over. After Close the error is [fsnotify.ErrClosed].
func (w *Watcher) Next(ctx context.Context) (Change, error) {
	for {
		touched, err := w.burst(ctx)
		if err != nil {
			return Change{}, err
		}
		if touched.lost {
			return Change{}, w.rescan()
		}
		if changed := w.compare(touched.paths); len(changed) > 0 {
			return Change{Paths: changed}, nil
		}
	}
}

// burst is what was touched until nothing was for a while.
type burst struct {
	paths map[string]bool
	lost  bool // some touches were not told
}

// burst collects one. It blocks until something of the source is touched.
func (w *Watcher) burst(ctx context.Context) (burst, error) {
	b := burst{paths: make(map[string]bool)}
	settled := time.NewTimer(quiet)
	settled.Stop()
	defer settled.Stop()
	var over <-chan time.Time
	for {
		begun := false
		select {
		case <-ctx.Done():
			return b, context.Cause(ctx)
		case event, ok := <-w.fs.Events:
			if !ok {
				return b, fsnotify.ErrClosed
			}
			begun = w.touch(event, b.paths)
		case err, ok := <-w.fs.Errors:
			if !ok {
				return b, fsnotify.ErrClosed
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return b, watchError(w.plan.watch, err)
			}
			b.lost, begun = true, true
		case <-settled.C:
			return b, nil
		case <-over:
			return b, nil
		}
		if !begun {
			continue
		}
		settled.Reset(quiet)
		if over == nil {
			limit := time.NewTimer(patience)
			defer limit.Stop()
			over = limit.C
		}
	}
}

// touch notes the files that an event is about and tells whether there are any.
func (w *Watcher) touch(event fsnotify.Event, paths map[string]bool) bool {
	if event.Op == fsnotify.Chmod || !w.counts(event.Name) {
		return false
	}
	if !event.Has(fsnotify.Create) {
		if event.Has(fsnotify.Rename) {
			w.forget(event.Name)
		}
		paths[event.Name] = true
		return true
	}
	info, err := os.Lstat(event.Name)
	if err == nil && info.IsDir() {
		// Files may have been put into it before it was watched.
		files, err := w.add(event.Name)
		for _, file := range files {
			paths[file] = true
		}
		return err == nil && len(files) > 0
	}
	paths[event.Name] = true
	return true
}

// forget ends the watch of directories that have moved away. Their watches move
// along, and would go on telling their old names.
func (w *Watcher) forget(dir string) {
	for _, watched := range w.fs.WatchList() {
		if watched == dir || strings.HasPrefix(watched, dir+string(filepath.Separator)) {
			_ = w.fs.Remove(watched) // it may be gone already
		}
	}
}

// counts tells whether a path is part of the source.
func (w *Watcher) counts(path string) bool {
	if w.alone != "" {
		return path == w.alone
	}
	if w.isProduct(path) || w.plan.ignores(path) {
		return false
	}
	rel, err := filepath.Rel(w.plan.watch, path)
	if err != nil {
		return false
	}
	parts := strings.Split(rel, string(filepath.Separator))
	for _, dir := range parts[:len(parts)-1] {
		if unwatched(dir, true) {
			return false
		}
	}
	name := parts[len(parts)-1]
	// Whether the last part is a directory cannot always be found out: it may be
	// gone.
	if unwatched(name, true) || unwatched(name, false) {
		return false
	}
	return w.plan.GoOutput == "" || !strings.HasSuffix(name, "_test.go")
}

// isProduct tells whether a file is what the build makes, or what it made when
// somebody ran it by hand. Directories may have the program's name.
func (w *Watcher) isProduct(path string) bool {
	if w.plan.Command("") == nil || path != filepath.Join(w.plan.Dir, w.plan.Manifest.Slave) {
		return false
	}
	info, err := os.Lstat(path)
	return err != nil || !info.IsDir()
}

// add watches a directory and all below it, and returns the files in them.
func (w *Watcher) add(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if path != w.plan.watch && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
			return nil // gone again, or nothing that could be built or packed
		}
		if err != nil {
			return err
		}
		if path != w.plan.watch && !w.counts(path) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.IsDir() {
			files = append(files, path)
			return nil
		}
		if err := w.fs.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return files, err
}

// rescan watches directories whose creation was not told.
func (w *Watcher) rescan() error {
	clear(w.known)
	if w.alone != "" {
		return nil
	}
	if _, err := w.add(w.plan.watch); err != nil {
		return watchError(w.plan.watch, err)
	}
	return nil
}

// compare returns the paths whose files are not what they were.
func (w *Watcher) compare(touched map[string]bool) []string {
	var changed []string
	for _, path := range slices.Sorted(maps.Keys(touched)) {
		now, isDir := look(path)
		before, known := w.known[path]
		w.known[path] = now
		if isDir || known && now == before {
			continue
		}
		if rel, err := filepath.Rel(w.plan.watch, path); err == nil && rel != "." {
			path = rel
		} else {
			path = filepath.Base(path)
		}
		changed = append(changed, path)
	}
	return changed
}

// look returns what a file is like now.
func look(path string) (s state, isDir bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return state{}, false
	}
	if info.IsDir() {
		return state{exists: true}, true
	}
	mark := fmt.Appendf(nil, "%v %d %v", info.Mode(), info.Size(), info.ModTime())
	if info.Mode().IsRegular() && info.Size() <= maxHashed {
		if text, err := os.ReadFile(path); err == nil {
			mark = append([]byte(info.Mode().String()), text...)
		}
	}
	return state{exists: true, digest: sha256.Sum256(mark)}, false
}
