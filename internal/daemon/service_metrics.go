package daemon

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/metrics"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

// metrics are those that every service has, its clients of v0.11 included.
func (s *service) metrics() []metrics.Metric {
	u := s.server.Usage()
	t := make(timers)
	if a, ok := s.a.(interface {
		Timers() iter.Seq2[string, *timing.Timer]
	}); ok {
		t.add(a.Timers())
	}
	t.add(s.old.service.Timers())
	if s.old.ln != nil {
		old := s.old.server.Usage()
		u = rpc.Usage{Accepted: u.Accepted + old.Accepted, Sessions: u.Sessions + old.Sessions, Refused: u.Refused + old.Refused,
			Opened: u.Opened + old.Opened, Open: u.Open + old.Open}
	}
	return s.told("", u, t)
}

// handshakeMetrics are those of the socket of an app's workers, which the original
// counted as a service of its own. They begin anew with each release.
func (d *Daemon) handshakeMetrics(s *service) []metrics.Metric {
	a, err := d.node.App(s.name)
	if err != nil {
		return nil // stopped meanwhile
	}
	e := a.Engine()
	if e == nil {
		return nil // broken
	}
	u, stays := e.Handshakes()
	t := make(timers)
	t.add(func(yield func(string, *timing.Timer) bool) {
		for i := range idl.Worker.Messages {
			m := &idl.Worker.Messages[i]
			timer := new(timing.Timer) // control messages, which no worker sends
			if m.ID == idl.WorkerHandshake {
				timer = stays
			}
			if !yield(m.Name, timer) {
				return
			}
		}
	})
	return s.told("/handshake", u, t)
}

// told are the metrics of one socket, whose name has a suffix behind the service's.
func (s *service) told(suffix string, u rpc.Usage, t timers) []metrics.Metric {
	now, name := time.Now(), s.name+suffix
	all := []metrics.Metric{
		metrics.NewCounter(name+".connections.accepted", u.Accepted),
		metrics.NewCounter(name+".connections.rejected", u.Refused),
		metrics.More(metrics.NewGauge(name+".connections.open", u.Sessions)),
		metrics.NewMeter(name+".meter.summary", u.Opened, s.rates.of(suffix, u.Opened, now)),
		metrics.NewCounter(name+".load", u.Open),
	}
	for _, method := range slices.Sorted(maps.Keys(t)) {
		m := t[method]
		all = append(all, metrics.NewTimer(name+".timer["+method+"]", m.count, s.rates.of(suffix+"."+method, m.count, now), &m.took))
	}
	return all
}

// timers are what is known of methods, by name.
type timers map[string]*timed

type timed struct {
	count uint64
	took  timing.Histogram
}

// add reads timers. Those of the same name become one.
func (t timers) add(all iter.Seq2[string, *timing.Timer]) {
	for method, timer := range all {
		m := t[method]
		if m == nil {
			m = new(timed)
			t[method] = m
		}
		count, took := timer.Read()
		m.count += count
		m.took.Merge(&took)
	}
}

// rates are how fast numbers grow, by what they are called. The zero value is ready.
type rates struct {
	mu sync.Mutex
	by map[string]*metrics.Growth
}

// of tells the rates of a number that is count now.
func (r *rates) of(what string, count uint64, now time.Time) [3]float64 {
	r.mu.Lock()
	g := r.by[what]
	if g == nil {
		g = new(metrics.Growth)
		if r.by == nil {
			r.by = make(map[string]*metrics.Growth)
		}
		r.by[what] = g
	}
	r.mu.Unlock()
	return g.Rates(count, now)
}
