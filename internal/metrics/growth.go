package metrics

import (
	"math"
	"sync"
	"time"
)

// Growth tells how fast a number grows, as the rates of a meter: averages of the last 1,
// 5 and 15 minutes, whose past weighs less and less. It learns of the number when it is
// asked, and so costs nothing where the number is counted; between two questions the
// growth counts as even. The zero value is ready; it is safe for concurrent use.
type Growth struct {
	mu    sync.Mutex
	at    time.Time // of the last question, zero if there was none
	count uint64
	rate  [3]float64
}

// Rates tells how much a second the number has grown that is count now. The first
// question has no answer but zeros.
func (g *Growth) Rates(count uint64, now time.Time) [3]float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	first, passed := g.at.IsZero(), now.Sub(g.at)
	if !first && passed <= 0 {
		return g.rate // asked by two at once
	}
	if !first {
		grown := float64(count-min(g.count, count)) / passed.Seconds()
		for i, window := range [3]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute} {
			g.rate[i] += (grown - g.rate[i]) * -math.Expm1(-passed.Seconds()/window.Seconds())
		}
	}
	g.at, g.count = now, count
	return g.rate
}
