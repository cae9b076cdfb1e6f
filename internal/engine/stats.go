package engine

import (
	"math"
	"time"

	"github.com/cocaine/cocaine-go/internal/timing"
)

// stats are the counters of an engine. Guarded by Engine.mu.
type stats struct {
	accepted, rejected uint64
	spawned, crashed   uint64
	expired, timeouts  uint64
	rate               meter
	depth              average
	timings            timing.Timer // from the worker's taking a request to the end of both halves
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
