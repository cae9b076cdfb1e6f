package timing

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// slice is how long values may be taken for values of one time.
	slice = 100 * time.Millisecond
	// mostUnseen is how many values come at most before somebody looks at the clock.
	mostUnseen = 64
)

// Timer counts durations for any number of goroutines. It takes no memory before the
// first, 4 KB from then on. The zero value is ready; a Timer must not be copied.
type Timer struct{ tally atomic.Pointer[tally] }

// tally is apart from its Timer, so that those who read what is beside the Timer do not
// share a line of the cache with those who count. Values wait in counts, all as if they
// were of one time, until whoever counts the value that is due finds that slice has
// passed; so the clock is read once for many values.
type tally struct {
	count  atomic.Uint64
	due    atomic.Uint64
	counts [buckets]atomic.Uint32

	mu     sync.Mutex // guards what follows
	folded time.Time  // when values were last taken from counts
	looked time.Time  // when somebody last looked at the clock
	step   uint64     // how many values come before the next look
	seen   Histogram
}

// Add counts a duration: two additions, and no lock for most.
func (t *Timer) Add(d time.Duration) {
	y := t.tally.Load()
	if y == nil {
		y = t.first()
	}
	y.counts[bucketOf(d)].Add(1)
	if n := y.count.Add(1); n >= y.due.Load() {
		y.look(n)
	}
}

// first makes the tally, once.
func (t *Timer) first() *tally {
	t.tally.CompareAndSwap(nil, &tally{step: 1, seen: Histogram{as: time.Now()}})
	return t.tally.Load()
}

// look folds what was counted if the last time is a slice ago, and says how many values
// may come before the next look: about as many as come in a slice. Who finds another at
// it leaves it to him.
func (y *tally) look(n uint64) {
	if !y.mu.TryLock() {
		return
	}
	defer y.mu.Unlock()
	now := time.Now()
	if now.Sub(y.folded) < slice {
		y.step = min(2*y.step, mostUnseen)
	} else {
		y.fold(now)
		y.step = max(y.step/2, 1)
	}
	y.looked = now
	y.due.Store(n + y.step)
}

// fold takes the values that wait; what is counted meanwhile is not lost. They came
// just now if each is looked at, else in the slice after the last look. Called with mu
// held.
func (y *tally) fold(now time.Time) {
	y.folded = now
	if end := y.looked.Add(slice); y.step > 1 && end.Before(now) {
		now = end
	}
	var w float64
	for i := range y.counts {
		n := y.counts[i].Load()
		if n == 0 {
			continue
		}
		if w == 0 {
			w = y.seen.weightAt(now)
		}
		y.counts[i].Add(-n)
		y.seen.weights[i] += w * float64(n)
		y.seen.total += w * float64(n)
	}
}

// Read gives the number of values ever, and the Histogram of them. Values that are
// counted meanwhile may be in the one and not yet in the other.
func (t *Timer) Read() (count uint64, h Histogram) {
	y := t.tally.Load()
	if y == nil {
		return 0, h
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	now := time.Now()
	y.fold(now)
	if now.Sub(y.looked) > slice { // there is a lull: the next value is looked at
		y.step = 1
		y.due.Store(0)
	}
	return y.count.Load(), y.seen
}
