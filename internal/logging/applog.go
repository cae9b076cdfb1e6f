package logging

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// appLog is what is kept of one app: its queue and its segments. The queue has a
// lock of its own, so that Emit does not wait for files.
type appLog struct {
	app     string
	dir     string
	options *StoreOptions
	queue   queue

	mu       sync.Mutex // of what follows, and of the files
	ready    bool       // segments and next are known
	segments []segment  // the oldest first; the last one is written to
	next     uint64     // number of the next record
	file     *os.File   // of the last segment, nil when it is not open
	lost     uint64     // records that could not be written
	used     bool       // something was written since the last housekeeping
}

// flush writes what is queued to the segments. Records that cannot be written are
// lost, and counted by a record as soon as one can be.
func (l *appLog) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	items, dropped := l.queue.take()
	if len(items) == 0 && dropped == 0 {
		return nil
	}
	l.lost += dropped
	err := l.prepare()
	if err == nil && l.lost > 0 {
		if _, err = l.write([][]byte{newFrame(droppedRecord(l.lost))}); err == nil {
			l.lost = 0
		}
	}
	written := 0
	if err == nil {
		written, err = l.write(items)
	}
	l.lost += uint64(len(items) - written)
	if err != nil {
		return fmt.Errorf("cannot write log of %q: %w", l.app, err)
	}
	return nil
}

func (l *appLog) write(items [][]byte) (written int, err error) {
	l.used = true
	for written < len(items) {
		if err := l.roll(int64(len(items[written]))); err != nil {
			return written, err
		}
		n, err := l.append(items[written:])
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// append writes as many items as fit in the last segment, but one at least.
func (l *appLog) append(items [][]byte) (n int, err error) {
	s := &l.segments[len(l.segments)-1]
	var batch []byte
	for _, item := range items {
		if n > 0 && s.size+int64(len(batch)+len(item)) > l.options.segmentBytes() {
			break
		}
		seal(item, l.next+uint64(n))
		batch = append(batch, item...)
		n++
	}
	if _, err := l.file.WriteAt(batch, s.size); err != nil {
		// Readers stop at the size; what was written behind it is overwritten by
		// the next attempt or cut off in the next life.
		return 0, errors.Join(err, l.closeFile())
	}
	s.size += int64(len(batch))
	s.last = time.Now()
	l.next += uint64(n)
	return n, nil
}

// prepare learns what an earlier life has left. A torn end is cut off.
func (l *appLog) prepare() error {
	if l.ready {
		return nil
	}
	list, err := listSegments(l.dir)
	if err != nil {
		return err
	}
	l.next = 1
	if n := len(list); n > 0 {
		s := &list[n-1]
		if s.size, l.next, err = checkTail(s.path(l.dir), *s); err != nil {
			return err
		}
		if err := os.Truncate(s.path(l.dir), s.size); err != nil {
			return err
		}
	}
	l.segments, l.ready = list, true
	return nil
}

// roll makes the last segment ready for n more bytes: it begins a new one when the
// old one is full or old, and removes the oldest ones over the bounds.
func (l *appLog) roll(n int64) error {
	if k := len(l.segments); k > 0 {
		s := l.segments[k-1]
		if s.size > 0 && (s.size+n > l.options.segmentBytes() || time.Since(s.born) > l.options.MaxAge/segmentsPerLog) {
			if err := l.closeFile(); err != nil {
				return err
			}
			l.begin()
		}
	} else {
		l.begin()
	}
	if err := l.trim(n); err != nil {
		return err
	}
	if l.file != nil {
		return nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(l.segments[len(l.segments)-1].path(l.dir), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l.file = f
	return nil
}

func (l *appLog) begin() {
	l.segments = append(l.segments, segment{first: l.next, born: time.Now(), last: time.Now()})
}

// trim removes the oldest segments until n more bytes fit in the bound and the last
// one can grow to its full size, and those that are too old; never the last one.
func (l *appLog) trim(n int64) error {
	var total int64
	for i, s := range l.segments {
		if i == len(l.segments)-1 {
			s.size = max(s.size+n, l.options.segmentBytes())
		}
		total += s.size
	}
	for len(l.segments) > 1 && (total > l.options.MaxBytes || l.expired(l.segments[0])) {
		s := l.segments[0]
		if err := os.Remove(s.path(l.dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		total -= s.size
		l.segments = l.segments[1:]
	}
	return nil
}

func (l *appLog) expired(s segment) bool { return time.Since(s.last) > l.options.MaxAge }

// tidy removes what is too old and closes the file of an app that is silent. It
// reports whether nothing at all is left.
func (l *appLog) tidy() (gone bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.used {
		if err := l.closeFile(); err != nil {
			return false, err
		}
	}
	l.used = false
	// Without prepare: reading the last segment of each app that is silent is not
	// worth its time.
	list := l.segments
	if !l.ready {
		if list, err = listSegments(l.dir); err != nil {
			return false, err
		}
	}
	if n := len(list); n > 0 && !l.expired(list[n-1]) {
		if l.ready {
			return false, l.trim(0)
		}
		return false, nil
	}
	if l.file != nil || l.queue.pending() {
		return false, nil
	}
	// All of it is too old. The next number stays, for readers that follow.
	l.segments = nil
	return true, os.RemoveAll(l.dir)
}

func (l *appLog) closeFile() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// view is what a reader may read: the segments up to their sizes, and the number
// of the first record that is not there yet.
type view struct {
	segments []segment
	next     uint64
}

func (l *appLog) view() (view, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.prepare(); err != nil {
		return view{}, err
	}
	return view{segments: append([]segment(nil), l.segments...), next: l.next}, nil
}
