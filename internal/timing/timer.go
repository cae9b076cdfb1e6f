package timing

import (
	"sync/atomic"
	"time"
)

// Timer is a Histogram for any number of goroutines, with the number of all values
// ever. It takes no memory before the first value, 1.3 KB from then on. The zero value
// is ready; a Timer must not be copied.
type Timer struct{ tally atomic.Pointer[tally] }

// tally is apart from its Timer, so that those who read what is beside the Timer do not
// share a line of the cache with those who count.
type tally struct {
	count  atomic.Uint64
	counts [buckets]atomic.Uint32
}

// Add counts a duration: two additions, and no lock.
func (t *Timer) Add(d time.Duration) {
	y := t.tally.Load()
	if y == nil {
		y = t.first()
	}
	y.counts[bucketOf(d)].Add(1)
	if y.count.Add(1)%fading == 0 {
		y.fade()
	}
}

// first makes the tally, once.
func (t *Timer) first() *tally {
	t.tally.CompareAndSwap(nil, new(tally))
	return t.tally.Load()
}

// fade halves the weight of what was counted; what is counted meanwhile is not lost.
func (y *tally) fade() {
	for i := range y.counts {
		n := y.counts[i].Load()
		y.counts[i].Add(-(n - n/2))
	}
}

// Read gives the number of values ever, and the Histogram of those that have not
// faded. Values that are counted meanwhile may be in the one and not yet in the other.
func (t *Timer) Read() (count uint64, h Histogram) {
	y := t.tally.Load()
	if y == nil {
		return 0, h
	}
	for i := range y.counts {
		n := y.counts[i].Load()
		h.counts[i] = n
		h.total += uint64(n)
	}
	return y.count.Load(), h
}
