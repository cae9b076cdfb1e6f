// Package timing keeps how long things took, in little memory and for little work: a
// Histogram is an array of counts, and what is asked of it (quantiles, the mean) is
// worked out when it is asked.
//
// A Histogram belongs to whoever has the lock around it. A Timer may be told by any
// number of goroutines at once and is read while they do so.
package timing

import (
	"math"
	"math/bits"
	"time"
)

// buckets is how many a Histogram has: 8 for each power of two of microseconds.
const buckets = 8 * 40

// fading is how many values it takes to halve the weight of those before.
const fading = 1 << 20

// Histogram counts durations in buckets of 1/8 of a power of two of microseconds, so
// that what it tells is true to an eighth. Old values fade: every 2^20th value halves
// the weight of all before it. The zero value is ready, a copy is a Histogram of its
// own.
type Histogram struct {
	counts [buckets]uint32
	total  uint64
}

// Add counts a duration. A negative one counts as none.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
	if h.total >= fading {
		h.total = 0
		for i := range h.counts {
			h.counts[i] /= 2
			h.total += uint64(h.counts[i])
		}
	}
}

// Merge adds what another Histogram has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 8 {
		return int(us)
	}
	exp := bits.Len64(us) - 4 // the top 4 bits are 1xxx
	return min(8*(exp+1)+int(us>>exp)-8, buckets-1)
}

// upper is the duration at which a bucket ends, in milliseconds.
func upper(i int) float64 {
	if i < 8 {
		return float64(i+1) / 1000
	}
	exp := i/8 - 1
	return float64(uint64(i%8+8+1)<<exp) / 1000
}

// middle is the duration that stands for those of a bucket, in milliseconds.
func middle(i int) float64 {
	if i == 0 {
		return upper(0) / 2
	}
	return (upper(i-1) + upper(i)) / 2
}

// Quantile is the duration in milliseconds that a share of the values, between 0 and 1,
// does not exceed; 0 if there are none.
func (h *Histogram) Quantile(share float64) float64 {
	if h.total == 0 {
		return 0
	}
	rank := max(1, uint64(math.Ceil(share*float64(h.total))))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank {
			return upper(i)
		}
	}
	return upper(buckets - 1)
}

// Below is the share of the values, in percent, that do not exceed a duration; 0 if
// there are none.
func (h *Histogram) Below(d time.Duration) float64 {
	if h.total == 0 {
		return 0
	}
	var seen uint64
	for i := 0; i <= bucketOf(d); i++ {
		seen += uint64(h.counts[i])
	}
	return 100 * float64(seen) / float64(h.total)
}

// Mean is the average of the values, and how far they are from it by their standard
// deviation, in milliseconds; 0 if there are none.
func (h *Histogram) Mean() (mean, deviation float64) {
	if h.total == 0 {
		return 0, 0
	}
	total := float64(h.total)
	for i, n := range h.counts {
		mean += float64(n) * middle(i) / total
	}
	for i, n := range h.counts {
		if n > 0 {
			off := middle(i) - mean
			deviation += float64(n) * off * off / total
		}
	}
	return mean, math.Sqrt(deviation)
}
