package daemon

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/metrics"
)

func newMetrics(d *Daemon, name string, _ any) (extra, error) {
	return extra{proto: idl.Metrics, a: metrics.Service(d.allMetrics, d.mux(name))}, nil
}

// allMetrics are those of the runtime, of its services and of the apps that run, by the
// names that they had in the original.
func (d *Daemon) allMetrics(context.Context) ([]metrics.Metric, error) {
	var all []metrics.Metric
	for name, v := range d.counters() {
		all = append(all, metrics.More(metrics.NewGauge("runtime."+name, v)))
	}
	for _, s := range d.services {
		all = append(all, s.metrics()...)
	}
	for _, s := range d.apps.list() {
		all = append(all, s.metrics()...)
		all = append(all, d.handshakeMetrics(s)...)
	}
	for _, app := range d.node.Names() {
		a, err := d.node.App(app)
		if err != nil {
			continue // stopped meanwhile
		}
		all = append(all, appMetrics(app, a.Report(engine.InfoOverseer|engine.InfoMore), a.Engine())...)
	}
	for i := range all {
		all[i].Tags = map[string]string{"node": d.id}
	}
	return all, nil
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

// appMetrics are the metrics of an app, which has an engine unless it is broken.
func appMetrics(app string, r report, e *engine.Engine) []metrics.Metric {
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
		metrics.More(metrics.NewCounter(app+".requests.expired", requests.count("expired"))),
		metrics.More(metrics.NewCounter(app+".requests.timeouts", requests.count("timeouts"))),
		metrics.NewCounter(app+".slaves.spawned", pool.count("total:spawned")),
		metrics.NewCounter(app+".slaves.crashed", pool.count("total:crashed")),
		metrics.NewMeter(app+".rate", accepted+rejected, rates),
		metrics.More(metrics.NewGauge(app+".queue.depth", r.table("queue")["depth"])),
		metrics.NewGauge(app+".queue.depth_average", r.table("queue")["depth_average"]),
	}
	if e != nil {
		count, took := e.Timings()
		all = append(all, metrics.NewTimer(app+".timings", count, rates, &took))
	}
	for uuid := range pool.table("slaves") {
		w := pool.table("slaves").table(uuid)
		prefix := app + ".pool.slaves." + uuid
		all = append(all, metrics.NewGauge(prefix+".state", w["state"]), metrics.NewGauge(prefix+".uptime", w["uptime"]),
			metrics.NewGauge(prefix+".load", w["load:total"]))
	}
	return all
}
