package daemon

import (
	"context"
	"iter"
	"runtime"
	"time"

	"github.com/cocaine/cocaine-go/internal/admin"
	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// backend is the daemon as the admin service sees it.
type backend Daemon

var _ admin.Backend = (*backend)(nil)

// Status is the node and its apps: those that the node service has, and those that
// are only in storage, as stopped.
func (b *backend) Status(ctx context.Context) (map[string]any, error) {
	d := (*Daemon)(b)
	apps := []any{}
	running := make(map[string]bool)
	for _, name := range d.node.Names() {
		doc, err := d.node.Info(name, engine.InfoOverseer|engine.InfoMore)
		if err != nil {
			continue // stopped meanwhile
		}
		doc["name"] = name
		apps = append(apps, doc)
		running[name] = true
	}
	stored, err := d.store.Find(ctx, "manifests", []string{"app"})
	if err != nil {
		return nil, err
	}
	for _, name := range stored {
		if !running[name] {
			apps = append(apps, map[string]any{"name": name, "state": "stopped"})
		}
	}
	services := map[string]any{}
	for _, s := range d.services {
		services[s.name] = s.addr().String()
	}
	return map[string]any{
		"node": d.id, "version": d.o.Version, "uptime": int64(time.Since(d.born).Seconds()),
		"locator": d.Addr().String(), "services": services, "apps": apps, "nodes": d.nodes(),
		"state": d.conf.Paths.State, "go": runtime.Version(), "limits": d.limits(),
	}, nil
}

// limits tells which limits of workers hold, and why the others do not.
func (d *Daemon) limits() map[string]any {
	e := d.iso.Enforces()
	doc := map[string]any{"memory": e.Memory, "cpu": e.CPU, "pids": e.PIDs, "why": ""}
	if e.Why != nil {
		doc["why"] = e.Why.Error()
	}
	return doc
}

// Deploy brings an app to what storage holds.
func (b *backend) Deploy(ctx context.Context, app, profile string, progress func(stage, text string)) error {
	return b.node.Deploy(ctx, app, profile, progress)
}

// Crashes are the latest crashes of an app.
func (b *backend) Crashes(ctx context.Context, app string, limit int) ([]any, error) {
	list, err := b.node.Crashes(ctx, app, limit)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(list))
	for _, c := range list {
		lines := make([]any, len(c.Lines))
		for i, line := range c.Lines {
			lines[i] = line
		}
		out = append(out, map[string]any{
			"app": c.App, "release": c.Release, "worker": c.Worker, "pid": c.PID, "time": c.Time.UnixMicro(),
			"uptime_ms": c.Uptime.Milliseconds(), "code": c.Code, "reason": c.Reason, "exit": c.Exit,
			"signal": c.Signal, "status": c.Status, "inflight": c.Inflight, "lines": lines,
		})
	}
	return out, nil
}

// Remove stops an app and removes its records. The profile is shared with others
// and stays, unless it has the app's own name.
func (b *backend) Remove(ctx context.Context, app string) error {
	err := b.node.Pause(ctx, app)
	stopped := err == nil
	if e := rpc.AsError(err); err != nil && (e.Category != idl.CategoryNode || e.Code != idl.NodeNotRunning) {
		return err
	}
	if _, err := b.store.Read(ctx, "manifests", app); err != nil && !stopped {
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericNotFound, "there is no app %q", app)
	}
	for _, collection := range []string{"manifests", "apps", "profiles", "releases"} {
		if err := b.store.Remove(ctx, collection, app); err != nil {
			return err
		}
	}
	return nil
}

// Stats are the counters of the runtime.
func (b *backend) Stats(context.Context) (map[string]any, error) {
	return (*Daemon)(b).counters(), nil
}

// counters are all the numbers there are, by dotted name.
func (d *Daemon) counters() map[string]any {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return map[string]any{
		"sessions.open":          d.stats.Sessions.Load(),
		"sessions.malformed":     d.stats.Malformed.Load(),
		"sessions.stalled":       d.stats.Stalled.Load(),
		"sessions.refused":       d.stats.Refused.Load(),
		"frames.in":              d.stats.FramesIn.Load(),
		"frames.late":            d.stats.LateFrames.Load(),
		"sessions.memory_bytes":  d.memory.Used(),
		"violations":             d.stats.Violations.Load(),
		"runtime.goroutines":     runtime.NumGoroutine(),
		"runtime.heap_bytes":     mem.HeapAlloc,
		"runtime.mallocs":        mem.Mallocs,
		"runtime.gc_cycles":      uint64(mem.NumGC),
		"runtime.uptime_seconds": int64(time.Since(d.born).Seconds()),
	}
}

// Logs are the records of some apps.
func (b *backend) Logs(ctx context.Context, apps []string, q admin.LogQuery) iter.Seq2[map[string]any, error] {
	return func(yield func(map[string]any, error) bool) {
		query := logging.Query{Last: q.Last, Follow: q.Follow, Since: q.Since, MinSeverity: q.Severity}
		for r, err := range b.records.Tail(ctx, apps, query) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(document(r), nil) {
				return
			}
		}
	}
}

// document is a log record as it travels.
func document(r logging.Record) map[string]any {
	attrs := make([]any, 0, len(r.Attrs))
	for _, a := range r.Attrs {
		attrs = append(attrs, []any{a.Name, a.Value})
	}
	return map[string]any{"time": r.Time.UnixMicro(), "severity": r.Severity, "app": r.App, "worker": r.Worker,
		"source": r.Source, "message": r.Message, "attributes": attrs}
}
