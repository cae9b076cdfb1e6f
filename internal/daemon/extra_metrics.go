package daemon

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/metrics"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

func newMetrics(d *Daemon, name string, _ any) (extra, error) {
	return extra{proto: idl.Metrics, a: metrics.Service(d.allMetrics, d.mux(name))}, nil
}

// counted is a listener that counts the connections it gives.
type counted struct {
	net.Listener
	accepted atomic.Uint64
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.accepted.Add(1)
	}
	return conn, err
}

// allMetrics are those of the runtime, of its services and of the apps that run, by the
// names that they had in the original.
func (d *Daemon) allMetrics(context.Context) ([]metrics.Metric, error) {
	var all []metrics.Metric
	for name, v := range d.counters() {
		all = append(all, metrics.NewGauge("runtime."+name, v))
	}
	for _, s := range append(d.apps.list(), d.services...) {
		all = append(all, s.metrics()...)
	}
	for _, app := range d.node.Names() {
		report, err := d.node.Info(app, engine.InfoOverseer)
		if err != nil {
			continue // stopped meanwhile
		}
		all = append(all, appMetrics(app, report)...)
	}
	for i := range all {
		all[i].Tags = map[string]string{"node": d.id}
	}
	return all, nil
}

// metrics are those that every service has, its clients of v0.11 included.
func (s *service) metrics() []metrics.Metric {
	accepted, sessions, u := s.ln.accepted.Load(), s.server.Sessions(), s.server.Usage()
	if s.old.ln != nil {
		old := s.old.server.Usage()
		accepted += s.old.ln.accepted.Load()
		sessions += s.old.server.Sessions()
		u = rpc.Usage{Refused: u.Refused + old.Refused, Opened: u.Opened + old.Opened, Open: u.Open + old.Open}
	}
	return []metrics.Metric{
		metrics.NewCounter(s.name+".connections.accepted", accepted),
		metrics.NewCounter(s.name+".connections.rejected", u.Refused),
		metrics.NewGauge(s.name+".connections.open", sessions),
		metrics.NewMeter(s.name+".meter.summary", u.Opened, s.calls.Rates(u.Opened, time.Now())),
		metrics.NewCounter(s.name+".load", u.Open),
	}
}

// report reads the report of an app, in which whatever is not there is zero.
type report map[string]any

func (r report) table(key string) report {
	t, _ := r[key].(map[string]any)
	return t
}

func (r report) count(key string) uint64 {
	n, _ := r[key].(uint64)
	return n
}

// appMetrics are the metrics of an app.
func appMetrics(app string, r report) []metrics.Metric {
	requests, pool := r.table("requests"), r.table("pool")
	accepted, rejected := requests.count("accepted"), requests.count("rejected")
	var rates [3]float64
	if list, ok := r["rate"].([]any); ok {
		for i := range min(len(list), len(rates)) {
			rates[i], _ = list[i].(float64)
		}
	}
	all := []metrics.Metric{
		metrics.NewCounter(app+".requests.accepted", accepted),
		metrics.NewCounter(app+".requests.rejected", rejected),
		metrics.NewCounter(app+".requests.expired", requests.count("expired")),
		metrics.NewCounter(app+".requests.timeouts", requests.count("timeouts")),
		metrics.NewCounter(app+".slaves.spawned", pool.count("total:spawned")),
		metrics.NewCounter(app+".slaves.crashed", pool.count("total:crashed")),
		metrics.NewMeter(app+".rate", accepted+rejected, rates),
		metrics.NewGauge(app+".queue.depth", r.table("queue")["depth"]),
		metrics.NewGauge(app+".queue.depth_average", r.table("queue")["depth_average"]),
		metrics.NewTimer(app+".timings", accepted, rates, quantiles(r.table("timings"))),
	}
	for uuid := range pool.table("slaves") {
		w := pool.table("slaves").table(uuid)
		prefix := app + ".pool.slaves." + uuid
		all = append(all, metrics.NewGauge(prefix+".state", w["state"]), metrics.NewGauge(prefix+".uptime", w["uptime"]),
			metrics.NewGauge(prefix+".load", w["load:total"]))
	}
	return all
}

// quantiles are the times in milliseconds that the metrics tell of.
func quantiles(timings report) map[string]float64 {
	out := make(map[string]float64)
	for name, share := range map[string]string{"p50": "50.00%", "p75": "75.00%", "p90": "90.00%",
		"p95": "95.00%", "p98": "98.00%", "p99": "99.00%"} {
		if ms, ok := timings[share].(float64); ok {
			out[name] = ms
		}
	}
	return out
}
