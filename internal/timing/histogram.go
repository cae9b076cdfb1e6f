// Package timing keeps how long things took, in little memory and for little work: a
// Timer is an array of counts, and what is asked of it (quantiles, the mean) is worked
// out when it is asked, from a Histogram.
//
// Old values count less: after a minute and seven seconds a value has 1/e of the weight
// of one of now. A Timer that is told nothing goes on telling the same.
//
// A Timer may be told by any number of goroutines at once and is read while they do so. A
// Histogram is what one was at one time; a copy is a Histogram of its own.
package timing

import (
	"math"
	"math/bits"
	"time"
)

// buckets is how many a Histogram has: 8 for each power of two of microseconds.
const buckets = 8 * 40

// decay is how fast values lose their weight, a second: that of the original.
const decay = 0.015

// Histogram weighs durations in buckets of 1/8 of a power of two of microseconds, so
// that what it tells is true to an eighth. The zero value has no durations.
type Histogram struct {
	weights [buckets]float64
	total   float64
	as      time.Time // of when a value has weight 1; zero: all have
}

// Add counts a duration, as one of now. A negative one counts as none.
func (h *Histogram) Add(d time.Duration) {
	h.weights[bucketOf(d)]++
	h.total++
}

// Merge adds what another Histogram has counted.
func (h *Histogram) Merge(other *Histogram) {
	share := 1.0
	if h.as.Before(other.as) {
		h.scale(weight(h.as, other.as))
		h.as = other.as
	} else {
		share = weight(other.as, h.as)
	}
	for i, w := range other.weights {
		h.weights[i] += w * share
	}
	h.total += other.total * share
}

// longest is how long one time may be that of weight 1: weights must not overflow.
const longest = time.Hour

// weightAt is the weight of a value of now, for which it may move the time of weight 1.
func (h *Histogram) weightAt(now time.Time) float64 {
	if now.Sub(h.as) > longest {
		h.scale(weight(h.as, now))
		h.as = now
	}
	return weight(now, h.as)
}

func (h *Histogram) scale(share float64) {
	for i := range h.weights {
		h.weights[i] *= share
	}
	h.total *= share
}

// weight is that of a value of one time where one of another has 1. Without times it
// is 1.
func weight(of, as time.Time) float64 {
	if of.IsZero() {
		return 1
	}
	return math.Exp(decay * of.Sub(as).Seconds())
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
	rank := share * h.total * (1 - 1e-9) // sums of weights are not exact
	var seen float64
	for i, w := range h.weights {
		if seen += w; w > 0 && seen >= rank {
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
	var seen float64
	for i := 0; i <= bucketOf(d); i++ {
		seen += h.weights[i]
	}
	return 100 * min(1, seen/h.total)
}

// Mean is the average of the values, and how far they are from it by their standard
// deviation, in milliseconds; 0 if there are none.
func (h *Histogram) Mean() (mean, deviation float64) {
	if h.total == 0 {
		return 0, 0
	}
	for i, w := range h.weights {
		mean += w * middle(i) / h.total
	}
	for i, w := range h.weights {
		if w > 0 {
			off := middle(i) - mean
			deviation += w * off * off / h.total
		}
	}
	return mean, math.Sqrt(deviation)
}
