package logging

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed means that the store was closed.
var ErrClosed = errors.New("log store is closed")

// StoreOptions are bounds of a Store. Zero values mean the defaults.
type StoreOptions struct {
	// Dir holds the records; it is created when missing. It belongs to one Store
	// at a time.
	Dir string
	// MaxBytes bounds the files of one app. If zero, 16 MiB.
	MaxBytes int64
	// MaxAge is how long records are kept. If zero, 7 days.
	MaxAge time.Duration
	// QueueBytes bounds what one app has waiting for the disk. If zero, 1 MiB.
	QueueBytes int
	// MaxApps bounds the number of apps; records of further ones are dropped. If
	// zero, 1024.
	MaxApps int
	// Log receives the failures of the store itself. If nil, nothing is logged.
	Log *slog.Logger
}

const (
	// segmentsPerLog is into how many files the log of an app is cut, so that
	// retention goes in steps of an eighth.
	segmentsPerLog  = 8
	maxSegmentBytes = 2 << 20
	minSegmentBytes = 4 << 10

	// flushInterval is the time for records to come together in a batch. The first
	// one after a silence does not wait for it.
	flushInterval = 10 * time.Millisecond
	// tidyInterval is how often old files are looked for.
	tidyInterval = time.Minute
	// complainInterval is how often at most the store reports a failure.
	complainInterval = time.Minute
)

func (o *StoreOptions) segmentBytes() int64 {
	return min(max(o.MaxBytes/segmentsPerLog, minSegmentBytes), maxSegmentBytes)
}

func (o StoreOptions) withDefaults() StoreOptions {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 20
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 7 * 24 * time.Hour
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 1 << 20
	}
	if o.MaxApps <= 0 {
		o.MaxApps = 1024
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store keeps records on disk. See the package comment for its guarantees.
type Store struct {
	o       StoreOptions
	wake    chan struct{} // there is something to write
	stop    chan struct{}
	done    chan struct{} // the writer has ended
	once    sync.Once
	refused atomic.Uint64 // records that had no place

	mu      sync.Mutex
	apps    map[string]*appLog
	dirty   []*appLog     // whose queues have something
	changed chan struct{} // closed at the next write; nil if nobody waits
	closed  bool
	// complained is when a failure was last reported.
	complained time.Time
}

var _ Sink = (*Store)(nil)

// OpenStore opens a store and starts its writer. Close ends it.
func OpenStore(o StoreOptions) (*Store, error) {
	s := &Store{o: o.withDefaults(), apps: make(map[string]*appLog),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot open log store: %w", err)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open log store: %w", err)
	}
	for _, e := range entries {
		if app, ok := appOfDir(e.Name()); ok && e.IsDir() {
			s.apps[app] = s.newAppLog(app)
		}
	}
	go s.run()
	return s, nil
}

func (s *Store) newAppLog(app string) *appLog {
	return &appLog{app: app, dir: filepath.Join(s.o.Dir, dirOfApp(app)), options: &s.o, queue: queue{limit: s.o.QueueBytes}}
}

// Emit implements Sink.
func (s *Store) Emit(r Record) {
	app := r.App[:min(len(r.App), maxName)]
	frame := newFrame(r)
	// The queue is pushed to under the store's lock, so that forget cannot take an
	// app away that is about to speak. No file is touched under it.
	s.mu.Lock()
	l := s.log(app)
	if l == nil {
		s.mu.Unlock()
		s.refused.Add(1)
		return
	}
	first := l.queue.push(frame)
	if first {
		s.dirty = append(s.dirty, l)
	}
	s.mu.Unlock()
	if first {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// log gives the log of an app, a new one if needed, or nil. The lock is held.
func (s *Store) log(app string) *appLog {
	if s.closed {
		return nil
	}
	l := s.apps[app]
	if l == nil && len(s.apps) < s.o.MaxApps {
		l = s.newAppLog(app)
		s.apps[app] = l
	}
	return l
}

// Close writes what is queued and ends the store. Iterators of Tail that follow
// end with ErrClosed.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.stop)
	})
	<-s.done
	return nil
}

// run is the writer.
func (s *Store) run() {
	defer close(s.done)
	tidy := time.NewTicker(tidyInterval)
	defer tidy.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-s.wake:
			s.flush()
			pause.Reset(flushInterval)
			select {
			case <-pause.C:
			case <-s.stop:
			}
		case <-tidy.C:
			s.tidy()
		case <-s.stop:
			s.flush()
			s.closeFiles()
			return
		}
	}
}

// flush writes the queues that have something.
func (s *Store) flush() {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = nil
	s.mu.Unlock()
	for _, l := range dirty {
		if err := l.flush(); err != nil {
			s.complain(err)
		}
	}
	s.announce()
}

// announce wakes those who follow.
func (s *Store) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// change returns a channel that is closed at the next write.
func (s *Store) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *Store) tidy() {
	for _, l := range s.logs(nil) {
		gone, err := l.tidy()
		if err != nil {
			s.complain(fmt.Errorf("cannot tidy log of %q: %w", l.app, err))
		}
		if gone {
			s.forget(l)
		}
	}
	if n := s.refused.Swap(0); n > 0 {
		s.o.Log.Warn("records of apps over the limit were dropped", "records", n, "limit", s.o.MaxApps)
	}
}

// forget drops an app that has nothing on disk, unless it has spoken again.
func (s *Store) forget(l *appLog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Emit waits for the store's lock, which therefore must not wait for a file.
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	if s.apps[l.app] == l && l.file == nil && len(l.segments) == 0 && !l.queue.pending() {
		delete(s.apps, l.app)
	}
}

func (s *Store) closeFiles() {
	for _, l := range s.logs(nil) {
		l.mu.Lock()
		err := l.closeFile()
		l.mu.Unlock()
		if err != nil {
			s.complain(fmt.Errorf("cannot close log of %q: %w", l.app, err))
		}
	}
}

// logs returns the logs of some apps, or of all for an empty list.
func (s *Store) logs(apps []string) []*appLog {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*appLog
	if len(apps) == 0 {
		for _, l := range s.apps {
			list = append(list, l)
		}
		return list
	}
	for _, app := range apps {
		if l := s.apps[app]; l != nil && !slices.Contains(list, l) {
			list = append(list, l)
		}
	}
	return list
}

// Apps lists the apps that have records, sorted.
func (s *Store) Apps() []string {
	var apps []string
	for _, l := range s.logs(nil) {
		apps = append(apps, l.app)
	}
	slices.Sort(apps)
	return apps
}

// complain reports a failure, but not each time: a full disk fails every write.
func (s *Store) complain(err error) {
	s.mu.Lock()
	due := time.Since(s.complained) >= complainInterval
	if due {
		s.complained = time.Now()
	}
	s.mu.Unlock()
	if due { // without the lock, since the logger may lead back here
		s.o.Log.Warn("log store fails", "cause", err)
	}
}

// dirOfApp makes a directory name of an app's name; that of the runtime itself,
// which is empty, is "%".
func dirOfApp(app string) string {
	if app == "" {
		return "%"
	}
	return strings.ReplaceAll(url.QueryEscape(app), ".", "%2E")
}

func appOfDir(dir string) (app string, ok bool) {
	if dir == "%" {
		return "", true
	}
	app, err := url.QueryUnescape(dir)
	return app, err == nil && dirOfApp(app) == dir
}
