package engine

import (
	"math"
	"time"

	"github.com/cocaine/cocaine-go/internal/timing"
)

// Flags of node.info. InfoMore is of this runtime; the original ignores it.
const (
	InfoOverseer = 1 << iota // the report of the engine
	InfoManifest             // with the manifest
	InfoProfile              // with the profiles
	InfoMore                 // with what the original does not tell
)

// Info is the report that node.info and the app's own info give. It has the keys of the
// original, and with InfoMore beside them "release", "health", "expired" and "timeouts"
// in "requests", and "pid" in "slaves". Floats are rounded up as the original does.
func (e *Engine) Info(flags int) map[string]any {
	m := e.snapshot(flags)
	_, timings := e.stats.timings.Read()
	m["timings"] = shares(&timings)
	m["timings_reversed"] = reversed(&timings)
	return m
}

// snapshot is what has to be looked at under the lock, which every request needs too:
// the report without what follows from the timings.
func (e *Engine) snapshot(flags int) map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	e.stats.rate.advance(now)
	r := e.stats.rate.rates
	m := map[string]any{
		"uptime":   int64(time.Duration(now).Seconds()),
		"profile":  e.profileInfo(flags),
		"requests": e.requestsInfo(flags),
		"queue": map[string]any{
			"capacity":         e.p.QueueLimit,
			"depth":            e.queue.n,
			"depth_average":    roundUp(e.stats.depth.read(now), 3),
			"oldest_event_age": e.oldestEvent(now),
		},
		"rate":      []any{roundUp(r[0], 3), roundUp(r[1], 3), roundUp(r[2], 3)},
		"rate_mean": roundUp(e.stats.rate.mean(now), 3),
		"load":      e.load,
		"pool":      e.poolInfo(now, flags),
	}
	if flags&InfoManifest != 0 {
		m["manifest"] = e.o.Manifest.Raw
	}
	if flags&InfoMore != 0 {
		m["release"], m["health"] = e.o.Release, e.health()
	}
	return m
}

func roundUp(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Ceil(v*p) / p
}

func (e *Engine) profileInfo(flags int) map[string]any {
	m := map[string]any{"name": e.o.ProfileName}
	if flags&InfoProfile != 0 {
		m["data"] = e.p.Raw
	}
	return m
}

func (e *Engine) requestsInfo(flags int) map[string]any {
	m := map[string]any{"accepted": e.stats.accepted, "rejected": e.stats.rejected}
	if flags&InfoMore != 0 {
		m["expired"], m["timeouts"] = e.stats.expired, e.stats.timeouts
	}
	return m
}

// oldestEvent is the age of the head of the queue in ms.
func (e *Engine) oldestEvent(now instant) int64 {
	if e.queue.first == nil {
		return 0
	}
	return time.Duration(now - e.queue.first.born).Milliseconds()
}

// shares are the times in ms that shares of the requests did not exceed.
func shares(h *timing.Histogram) map[string]any {
	m := make(map[string]any)
	for name, q := range map[string]float64{"50.00%": .5, "75.00%": .75, "90.00%": .9, "95.00%": .95,
		"98.00%": .98, "99.00%": .99, "99.95%": .9995} {
		m[name] = roundUp(h.Quantile(q), 3)
	}
	return m
}

// reversed are the shares of the requests, in percent, that did not exceed times.
func reversed(h *timing.Histogram) map[string]any {
	m := make(map[string]any)
	for name, ms := range map[string]int{"1ms": 1, "2ms": 2, "5ms": 5, "10ms": 10, "20ms": 20, "50ms": 50,
		"100ms": 100, "500ms": 500, "1000ms": 1000} {
		m[name] = roundUp(h.Below(time.Duration(ms)*time.Millisecond), 2)
	}
	return m
}

func (e *Engine) poolInfo(now instant, flags int) map[string]any {
	slaves := make(map[string]any, len(e.workers))
	busy := 0
	for id, w := range e.workers {
		if w.state == active && w.load > 0 {
			busy++
		}
		slaves[id] = e.workerInfo(w, now, flags)
	}
	return map[string]any{
		"active": busy, "idle": len(e.workers) - busy, "capacity": e.p.PoolLimit,
		"total:spawned": e.stats.spawned, "total:crashed": e.stats.crashed, "slaves": slaves,
	}
}

func (e *Engine) workerInfo(w *worker, now instant, flags int) map[string]any {
	var tx, rx, oldest int64
	for r := w.requests; r != nil; r = r.next {
		r.mu.Lock()
		if !r.clientDone {
			tx++
		}
		if !r.workerDone {
			rx++
		}
		r.mu.Unlock()
		oldest = max(oldest, time.Duration(now-r.runStart).Milliseconds())
	}
	m := map[string]any{
		"accepted": w.accepted, "load:tx": tx, "load:rx": rx, "load:total": w.load,
		"state": w.state.String(), "uptime": int64(time.Duration(now - w.born).Seconds()),
		"profile": e.profileInfo(flags), "oldest_channel_age": oldest,
	}
	if flags&InfoMore != 0 {
		m["pid"] = w.pid
	}
	return m
}

// health says in a few words how the app is doing: "ok", "starting", or what went
// wrong last.
func (e *Engine) health() map[string]any {
	m := map[string]any{"state": "ok", "active": e.active, "failures": e.failures}
	switch {
	case e.mode != serving:
		m["state"] = "stopping"
	case e.failures > 0 && e.active == 0:
		m["state"] = "failing"
	case e.active == 0 && len(e.workers) > 0:
		m["state"] = "starting"
	}
	if e.last != nil {
		m["last_crash"] = e.last.Sentence()
		m["last_crash_time"] = e.last.Time.Unix()
	}
	return m
}
