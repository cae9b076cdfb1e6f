package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/daemon"
)

// withServices is the configuration of a daemon whose file has these tables.
func withServices(t testing.TB, dir, file string) *config.Config {
	t.Helper()
	path := filepath.Join(dir, "server.toml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, config.Host{UID: os.Getuid()}, map[string]string{"paths.state": dir,
		"paths.runtime": filepath.Join(dir, "run"), "network.port": "0", "node.grace": "5s"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const allServices = `
[services.echo]
type = "echo"
[services.cache]
type = "cache"
args = { max-size = 10 }
[services."my.timers"]
type = "chrono"
[services.uniresis]
type = "uniresis"
args = { restrictions = { cpu = 1 } }
[services.metrics]
type = "metrics"
[services.urlfetch]
type = "urlfetch"
[services.logging]
type = "logging::v2"
args = { default_metafilter = [["severity", 1]] }
`

// TestConfiguredServices: what the configuration names is resolvable by its name and
// served, and has gone after the end.
func TestConfiguredServices(t *testing.T) {
	d := start(t, daemon.Options{Config: withServices(t, directory(t), allServices)})
	c := dial(t, d.Addr().String())
	ctx := t.Context()

	if text, err := cocaine.Get[string](ctx, c.Service("echo"), "ping", "hello"); err != nil || text != "hello" {
		t.Errorf("echo answers %q, %v", text, err)
	}
	if err := cocaine.Exec(ctx, c.Service("cache"), "put", "k", "v"); err != nil {
		t.Error(err)
	}
	if cpus, err := cocaine.Get[int](ctx, c.Service("uniresis"), "cpu_count"); err != nil || cpus != 1 {
		t.Errorf("%d processors, %v", cpus, err)
	}
	uuid, err := cocaine.Get[string](ctx, c.Service("uniresis"), "uuid")
	if err != nil {
		t.Fatal(err)
	}
	v, err := cocaine.Get[[]any](ctx, c.Service("unicorn"), "get", "/resources/"+uuid)
	for err == nil && v[0] == nil { // told by a goroutine of its own
		v, err = cocaine.Get[[]any](ctx, c.Service("unicorn"), "get", "/resources/"+uuid)
	}
	if err != nil {
		t.Fatal(err)
	}
	if told, ok := v[0].(map[string]any); !ok || !slices.Equal(slices.Sorted(maps.Keys(told)), []string{"endpoints", "extra", "hostname", "resources"}) {
		t.Errorf("the cluster is told %v", v)
	}
	_, err = cocaine.Get[[]any](ctx, c.Service("urlfetch"), "get", "http://169.254.169.254/")
	if e, ok := errors.AsType[*cocaine.Error](err); !ok || e.Category != 12 || e.Code != 13 {
		t.Errorf("an address of the cloud's own: %v", err)
	}

	// The filters of logging, and those of the cluster.
	log := c.Service("logging")
	for severity, want := range []bool{false, true} {
		if kept, err := cocaine.Get[bool](ctx, log, "emit_ack", severity, "app/x", "m"); err != nil || kept != want {
			t.Errorf("a record of severity %d: kept %v, %v", severity, kept, err)
		}
	}
	id, err := cocaine.Get[uint64](ctx, log, "set_cluster_filter", "app/x", []any{"severity", 2}, 3600)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := cocaine.Get[[]any](ctx, c.Service("unicorn"), "get", fmt.Sprintf("/cocaine/logging_v2/filters/%d", id)); err != nil || v[0] == nil {
		t.Errorf("in unicorn there is %v, %v", v, err)
	}
	if kept, err := cocaine.Get[bool](ctx, log, "emit_ack", 1, "app/x", "m"); err != nil || kept {
		t.Errorf("a record the filter is against: kept %v, %v", kept, err)
	}
	named, err := log.Call(ctx, "get", "app/x")
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	// A timer that goes on does not hold up the end of the runtime.
	for _, err := range cocaine.Chunks[int](ctx, c.Service("my.timers"), "notify_every", 3600.0, true) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	timer, err := c.Service("my.timers").Call(ctx, "notify_every", 3600.0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer timer.Close()
	stop(t, d)
}

// TestServicesAreOff: nothing runs that is not named, beside what always does.
func TestServicesAreOff(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil)})
	c := dial(t, d.Addr().String())
	for _, name := range []string{"echo", "cache", "chrono", "uniresis", "urlfetch"} {
		if err := cocaine.Exec(t.Context(), c.Service(name), "ping"); err == nil || !strings.Contains(err.Error(), "10, 1") {
			t.Errorf("%s: %v, want it not to be there", name, err)
		}
	}
}

func TestServiceOfNoType(t *testing.T) {
	conf := configuration(directory(t), nil)
	conf.Services["x"] = config.Service{Type: "nothing"}
	if _, err := daemon.New(context.Background(), daemon.Options{Config: conf}); err == nil || !strings.Contains(err.Error(), `cannot make service "x": there is no type "nothing"`) {
		t.Errorf("have %v", err)
	}
}

// moreMetric matches the metrics that the original did not tell.
var moreMetric = regexp.MustCompile(`^runtime\.|\.requests\.(expired|timeouts)$|\.queue\.depth$|\.connections\.open$`)

// TestMetrics: the runtime, its services and an app are told of, by the old names.
func TestMetrics(t *testing.T) {
	d := start(t, daemon.Options{Config: withServices(t, directory(t), "[services.metrics]\ntype = 'metrics'\n")})
	c := dial(t, d.Addr().String())
	newApp("hello").deploy(t, c)
	m, err := cocaine.Get[map[string]any](t.Context(), c.Service("metrics"), "fetch", "plain", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"runtime.frames.in", "locator.connections.accepted", "storage.connections.accepted", "metrics.connections.open",
		"storage.connections.rejected", "storage.meter.summary.count", "storage.meter.summary.m15rate", "storage.load",
		"hello.connections.accepted", "hello.connections.rejected", "hello.meter.summary.count", "hello.load",
		"hello.requests.accepted", "hello.requests.rejected", "hello.slaves.spawned", "hello.slaves.crashed", "hello.queue.depth_average",
		"hello.rate.count", "hello.rate.m01rate", "hello.rate.m05rate", "hello.rate.m15rate",
		"hello.timings.count", "hello.timings.m01rate", "hello.timings.p50", "hello.timings.p99", "hello.timings.mean", "hello.timings.stddev"} {
		if m[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	old, err := cocaine.Get[map[string]any](t.Context(), c.Service("metrics"), "fetch")
	for name := range m {
		_, told := old[name]
		if more := moreMetric.MatchString(name); err != nil || told == more {
			t.Errorf("%s is told without being asked for: %v, %v", name, told, err)
		}
	}
	states := 0
	for name, v := range m {
		if strings.HasPrefix(name, "hello.pool.slaves.") && strings.HasSuffix(name, ".state") && v == "active" {
			states++
		}
	}
	if states != 1 || fmt.Sprint(m["hello.slaves.spawned"]) != "1" || fmt.Sprint(m["storage.connections.accepted"]) == "0" {
		t.Errorf("%d workers are active, %v were started, storage had %v connections", states, m["hello.slaves.spawned"], m["storage.connections.accepted"])
	}
	meters := map[string]any{"eq": []any{map[string]any{"type": []any{}}, map[string]any{"const": []any{"meter"}}}}
	tree, err := cocaine.Get[map[string]any](t.Context(), c.Service("metrics"), "fetch", "json", meters)
	hello, _ := tree["hello"].(map[string]any)
	if err != nil || hello["rate"] == nil || hello["meter"] == nil || len(hello) != 2 {
		t.Errorf("the meters are %v, %v", tree, err)
	}
	for i := range 3 { // and they count, whoever hears of it
		if err := echo(t.Context(), c, "hello", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	m, err = cocaine.Get[map[string]any](t.Context(), c.Service("metrics"), "fetch")
	if err != nil || fmt.Sprint(m["hello.meter.summary.count"]) != "3" || fmt.Sprint(m["metrics.load"]) != "1" {
		t.Errorf("%v channels of hello, %v open of metrics, %v", m["hello.meter.summary.count"], m["metrics.load"], err)
	}
}
