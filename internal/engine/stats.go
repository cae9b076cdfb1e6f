package engine

import (
	"math"
	"math/bits"
	"time"
)

// stats are the counters of an engine. Guarded by Engine.mu.
type stats struct {
	accepted, rejected uint64
	spawned, crashed   uint64
	expired, timeouts  uint64
	rate               meter
	depth              average
	timings            histogram
	epoch              time.Time
}

func (s *stats) init(epoch time.Time) {
	s.epoch = epoch
	s.rate.init()
	s.depth.window = instant(2 * time.Second)
}

// meter counts events and keeps their rate over 1, 5 and 15 minutes, moved along
// every 5 s as the load average is.
type meter struct {
	total  uint64
	recent uint64
	next   instant
	rates  [3]float64
	any    bool
}

const tick = instant(5 * time.Second)

func (m *meter) init() { m.next = tick }

func (m *meter) mark(now instant) {
	if now >= m.next {
		m.advance(now)
	}
	m.total++
	m.recent++
}

// advance applies the ticks that have passed.
func (m *meter) advance(now instant) {
	for n := 0; now >= m.next && n < 1000; n++ {
		current := float64(m.recent) / time.Duration(tick).Seconds()
		m.recent = 0
		for i, minutes := range [3]float64{1, 5, 15} {
			if !m.any {
				m.rates[i] = current
				continue
			}
			alpha := 1 - math.Exp(-time.Duration(tick).Seconds()/60/minutes)
			m.rates[i] += alpha * (current - m.rates[i])
		}
		m.any = true
		m.next += tick
	}
	if now >= m.next { // nothing has happened for more than an hour
		m.rates = [3]float64{}
		m.next = now + tick
	}
}

// mean is the rate since the start, in events a second.
func (m *meter) mean(now instant) float64 {
	if now <= 0 {
		return 0
	}
	return float64(m.total) / time.Duration(now).Seconds()
}

// average is a time-weighted moving average.
type average struct {
	window instant
	last   instant
	level  float64
	value  float64
}

func (a *average) update(now instant, level int) {
	a.read(now)
	a.level = float64(level)
}

func (a *average) read(now instant) float64 {
	if dt := now - a.last; dt > 0 {
		w := math.Exp(-float64(dt) / float64(a.window))
		a.value = w*a.value + (1-w)*a.level
		a.last = now
	}
	return a.value
}

// histogram counts durations in buckets of 1/8 of a power of two of microseconds.
// Old values fade: every fading-th value halves everything.
type histogram struct {
	counts [8 * 40]uint32
	total  uint64
}

const fading = 1 << 20

func (h *histogram) add(d time.Duration) {
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

func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 8 {
		return int(us)
	}
	exp := bits.Len64(us) - 4 // the top 4 bits are 1xxx
	return min(8*(exp+1)+int(us>>exp)-8, 8*40-1)
}

// upper is the largest duration of a bucket, in milliseconds.
func upper(i int) float64 {
	if i < 8 {
		return float64(i+1) / 1000
	}
	exp := i/8 - 1
	return float64(uint64(i%8+8+1)<<exp) / 1000
}

// quantile is the duration in milliseconds that a share of the values does not
// exceed.
func (h *histogram) quantile(q float64) float64 {
	if h.total == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(h.total)))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank {
			return upper(i)
		}
	}
	return upper(len(h.counts) - 1)
}

// below is the share of the values, in percent, that do not exceed a duration.
func (h *histogram) below(d time.Duration) float64 {
	if h.total == 0 {
		return 0
	}
	var seen uint64
	for i := 0; i <= bucketOf(d); i++ {
		seen += uint64(h.counts[i])
	}
	return 100 * float64(seen) / float64(h.total)
}
