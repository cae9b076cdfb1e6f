package manifest_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/manifest"
)

func TestProfileDefaults(t *testing.T) {
	p, err := manifest.ParseProfile("p", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	want := &manifest.Profile{
		PoolLimit:        10,
		PoolMin:          0,
		QueueLimit:       100,
		Concurrency:      10,
		GrowThreshold:    5,
		CrashlogLimit:    50,
		LogOutput:        false,
		HeartbeatTimeout: 30 * time.Second,
		IdleTimeout:      600 * time.Second,
		SpawnTimeout:     time.Second,
		HandshakeTimeout: 5 * time.Second,
		SealTimeout:      60 * time.Second,
		TerminateTimeout: 10 * time.Second,
		RequestTimeout:   86400 * time.Second,
		Isolate:          manifest.Isolate{Type: "process", Args: map[string]any{}},
		Raw:              map[string]any{},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("have %+v\nwant %+v", p, want)
	}
	want.Raw = nil
	if got := manifest.DefaultProfile(); !reflect.DeepEqual(got, want) {
		t.Errorf("DefaultProfile is %+v\nwant %+v", got, want)
	}
}

func TestProfileFields(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  map[string]any
		got  func(p *manifest.Profile) any
		want any
	}{
		{"pool-limit", map[string]any{"pool-limit": int64(3)}, func(p *manifest.Profile) any { return p.PoolLimit }, 3},
		{"pool-min", map[string]any{"pool-min": uint64(2)}, func(p *manifest.Profile) any { return p.PoolMin }, 2},
		{"queue-limit", map[string]any{"queue-limit": int64(7)}, func(p *manifest.Profile) any { return p.QueueLimit }, 7},
		{"no queue", map[string]any{"queue-limit": int64(0)}, func(p *manifest.Profile) any { return p.QueueLimit }, 0},
		{"unlimited queue", map[string]any{"queue-limit": int64(-1)}, func(p *manifest.Profile) any { return p.QueueLimit }, manifest.UnlimitedQueue},
		{"concurrency", map[string]any{"concurrency": 4.0}, func(p *manifest.Profile) any { return p.Concurrency }, 4},
		{"grow-threshold", map[string]any{"grow-threshold": int64(9)}, func(p *manifest.Profile) any { return p.GrowThreshold }, 9},
		{"grow-threshold of a short queue", map[string]any{"queue-limit": int64(5)}, func(p *manifest.Profile) any { return p.GrowThreshold }, 1},
		{"grow-threshold of a long queue", map[string]any{"queue-limit": int64(1000), "pool-limit": int64(4)}, func(p *manifest.Profile) any { return p.GrowThreshold }, 125},
		{"grow-threshold of no queue", map[string]any{"queue-limit": int64(0)}, func(p *manifest.Profile) any { return p.GrowThreshold }, 1},
		{"grow-threshold of an unlimited queue", map[string]any{"queue-limit": int64(-1)}, func(p *manifest.Profile) any { return p.GrowThreshold }, 5},
		{"crashlog-limit", map[string]any{"crashlog-limit": int64(0)}, func(p *manifest.Profile) any { return p.CrashlogLimit }, 0},
		{"log-output", map[string]any{"log-output": true}, func(p *manifest.Profile) any { return p.LogOutput }, true},
		{"heartbeat-timeout", map[string]any{"heartbeat-timeout": 0.25}, func(p *manifest.Profile) any { return p.HeartbeatTimeout }, 250 * time.Millisecond},
		{"idle-timeout", map[string]any{"idle-timeout": int64(60)}, func(p *manifest.Profile) any { return p.IdleTimeout }, time.Minute},
		{"idle-timeout never", map[string]any{"idle-timeout": int64(0)}, func(p *manifest.Profile) any { return p.IdleTimeout }, time.Duration(0)},
		{"spawn-timeout", map[string]any{"spawn-timeout": int64(3)}, func(p *manifest.Profile) any { return p.SpawnTimeout }, 3 * time.Second},
		{"spawn-timeout of images", map[string]any{"isolate": map[string]any{"type": "docker"}}, func(p *manifest.Profile) any { return p.SpawnTimeout }, 30 * time.Second},
		{"handshake-timeout", map[string]any{"handshake-timeout": int64(3)}, func(p *manifest.Profile) any { return p.HandshakeTimeout }, 3 * time.Second},
		{"seal-timeout", map[string]any{"seal-timeout": int64(0)}, func(p *manifest.Profile) any { return p.SealTimeout }, time.Duration(0)},
		{"terminate-timeout", map[string]any{"terminate-timeout": int64(0)}, func(p *manifest.Profile) any { return p.TerminateTimeout }, time.Duration(0)},
		{"request-timeout", map[string]any{"request-timeout": 1.5}, func(p *manifest.Profile) any { return p.RequestTimeout }, 1500 * time.Millisecond},
		{"startup-timeout of v0.11", map[string]any{"startup-timeout": int64(7)},
			func(p *manifest.Profile) any { return []time.Duration{p.SpawnTimeout, p.HandshakeTimeout} }, []time.Duration{7 * time.Second, 7 * time.Second}},
		{"startup-timeout loses", map[string]any{"startup-timeout": int64(7), "handshake-timeout": int64(2)},
			func(p *manifest.Profile) any { return []time.Duration{p.SpawnTimeout, p.HandshakeTimeout} }, []time.Duration{7 * time.Second, 2 * time.Second}},
		{"termination-timeout of v0.11", map[string]any{"termination-timeout": int64(7)}, func(p *manifest.Profile) any { return p.TerminateTimeout }, 7 * time.Second},
		{"termination-timeout loses", map[string]any{"termination-timeout": int64(7), "terminate-timeout": int64(2)}, func(p *manifest.Profile) any { return p.TerminateTimeout }, 2 * time.Second},
		{"publish-on", map[string]any{"publish-on": int64(2), "unpublish-under": int64(2)}, func(p *manifest.Profile) any { return p.PublishOn + p.UnpublishUnder }, 4},
		{"isolate", map[string]any{"isolate": map[string]any{"type": "porto", "args": map[string]any{"x": []any{}}}},
			func(p *manifest.Profile) any { return p.Isolate }, manifest.Isolate{Type: "porto", Args: map[string]any{"x": []any{}}}},
		{"isolate of v0.11", map[string]any{"isolate": map[string]any{"type": "process", "args": nil}},
			func(p *manifest.Profile) any { return p.Isolate }, manifest.Isolate{Type: "process", Args: map[string]any{}}},
		{"isolate null", map[string]any{"isolate": nil}, func(p *manifest.Profile) any { return p.Isolate.Type }, "process"},
		{"limits", map[string]any{"isolate": map[string]any{"args": map[string]any{"memory-limit": "64M", "cpu-limit": 0.5}}},
			func(p *manifest.Profile) any { return p.Limits }, manifest.Limits{Memory: 64 << 20, CPU: 0.5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := manifest.ParseProfile("p", c.raw)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.got(p); !reflect.DeepEqual(got, c.want) {
				t.Errorf("have %v, want %v", got, c.want)
			}
			record, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := manifest.DecodeProfile("p", record)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.got(again); !reflect.DeepEqual(got, c.want) {
				t.Errorf("through a record: have %v, want %v", got, c.want)
			}
		})
	}
}

func TestProfileProblems(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  map[string]any
		want []string
	}{
		{"pool-limit 0", map[string]any{"pool-limit": int64(0)}, []string{`cannot use profile "p": pool-limit: must be at least 1, have 0`}},
		{"pool-limit negative", map[string]any{"pool-limit": int64(-1)}, []string{"pool-limit: must be at least 1, have -1"}},
		{"pool-limit text", map[string]any{"pool-limit": "ten"}, []string{`pool-limit: must be a whole number, have "ten"`}},
		{"pool-limit fraction", map[string]any{"pool-limit": 1.5}, []string{"pool-limit: must be a whole number, have 1.5"}},
		{"pool-limit huge", map[string]any{"pool-limit": uint64(math.MaxUint64)}, []string{"pool-limit: must be at most 2147483647"}},
		{"pool-min negative", map[string]any{"pool-min": int64(-1)}, []string{"pool-min: must be at least 0, have -1"}},
		{"pool-min above pool-limit", map[string]any{"pool-min": int64(11)}, []string{"pool-min: must be at most pool-limit (10), have 11"}},
		{"queue-limit", map[string]any{"queue-limit": int64(-2)}, []string{"queue-limit: must be at least -1, have -2"}},
		{"queue-limit null", map[string]any{"queue-limit": nil}, []string{"queue-limit: must be a whole number, have null"}},
		{"concurrency", map[string]any{"concurrency": int64(0)}, []string{"concurrency: must be at least 1, have 0"}},
		{"grow-threshold", map[string]any{"grow-threshold": int64(0)}, []string{"grow-threshold: must be at least 1, have 0"}},
		{"crashlog-limit", map[string]any{"crashlog-limit": int64(-1)}, []string{"crashlog-limit: must be at least 0, have -1"}},
		{"log-output", map[string]any{"log-output": int64(1)}, []string{"log-output: must be true or false, have 1"}},
		{"heartbeat-timeout", map[string]any{"heartbeat-timeout": int64(0)}, []string{"heartbeat-timeout: must be at least 0.001 seconds, have 0"}},
		{"heartbeat-timeout NaN", map[string]any{"heartbeat-timeout": math.NaN()}, []string{"heartbeat-timeout: must be a number of seconds, have NaN"}},
		{"heartbeat-timeout text", map[string]any{"heartbeat-timeout": "30s"}, []string{`heartbeat-timeout: must be a number of seconds, have "30s"`}},
		{"idle-timeout", map[string]any{"idle-timeout": int64(-1)}, []string{"idle-timeout: must be at least 0 seconds, have -1"}},
		{"spawn-timeout", map[string]any{"spawn-timeout": int64(0)}, []string{"spawn-timeout: must be at least 0.001 seconds, have 0"}},
		{"handshake-timeout", map[string]any{"handshake-timeout": 1e300}, []string{"handshake-timeout: must be at most 3153600000 seconds"}},
		{"startup-timeout", map[string]any{"startup-timeout": int64(0)}, []string{"startup-timeout: must be at least 0.001 seconds, have 0"}},
		{"termination-timeout", map[string]any{"termination-timeout": int64(0)}, []string{"termination-timeout: must be at least 0.001 seconds, have 0"}},
		{"seal-timeout", map[string]any{"seal-timeout": int64(-5)}, []string{"seal-timeout: must be at least 0 seconds, have -5"}},
		{"terminate-timeout", map[string]any{"terminate-timeout": math.Inf(1)}, []string{"terminate-timeout: must be a number of seconds, have +Inf"}},
		{"request-timeout", map[string]any{"request-timeout": int64(0)}, []string{"request-timeout: must be at least 0.001 seconds, have 0"}},
		{"publish-on above pool-limit", map[string]any{"publish-on": int64(11)}, []string{"publish-on: must be at most pool-limit (10), have 11"}},
		{"publish-on negative", map[string]any{"publish-on": int64(-1)}, []string{"publish-on: must be at least 0, have -1"}},
		{"unpublish-under above publish-on", map[string]any{"publish-on": int64(1), "unpublish-under": int64(2)}, []string{"unpublish-under: must be at most publish-on (1), have 2"}},
		{"isolate", map[string]any{"isolate": "process"}, []string{`isolate: must be a table, have "process"`}},
		{"isolate.type", map[string]any{"isolate": map[string]any{"type": ""}}, []string{"isolate.type: must not be empty"}},
		{"isolate.args", map[string]any{"isolate": map[string]any{"args": []any{}}}, []string{"isolate.args: must be a table, have a list"}},
		{"limits", map[string]any{"isolate": map[string]any{"args": map[string]any{"memory-limit": "much", "cpu-limit": int64(0)}}}, []string{
			`isolate.args.memory-limit: must be a number of bytes such as "256M", have "much"`, "isolate.args.cpu-limit: must be at least 0.001, have 0"}},
		{"cpu-limit text", map[string]any{"isolate": map[string]any{"args": map[string]any{"cpu-limit": "1"}}}, []string{`isolate.args.cpu-limit: must be a number of processors, have "1"`}},
		{"several", map[string]any{"pool-limit": int64(0), "concurrency": int64(0), "idle-timeout": "x"}, []string{
			`cannot use profile "p": pool-limit: must be at least 1, have 0`, "concurrency: must be at least 1, have 0", "idle-timeout: must be a number of seconds"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := manifest.ParseProfile("p", c.raw)
			wantProblems(t, err, c.want)
		})
	}
}

func TestProfileJSONPointsAtTheLine(t *testing.T) {
	_, err := manifest.DecodeProfileJSON("p", "profile.json", []byte("{\n  \"pool-limit\": 2,\n  \"pool-min\": 3\n}"))
	want := "cannot use profile \"p\": profile.json:3:15: pool-min: must be at most pool-limit (2), have 3\n\t3 |   \"pool-min\": 3"
	if err == nil || err.Error() != want {
		t.Errorf("have\n%v\nwant\n%s", err, want)
	}
	if _, err := manifest.DecodeProfileJSON("p", "f", nil); err == nil {
		t.Error("an empty file was accepted")
	}
}

// What was read is written back as it was read, whatever it was called.
func TestProfileRecordStaysAsItWas(t *testing.T) {
	raw := map[string]any{
		"pool-limit":      uint64(4),
		"startup-timeout": 2.5,
		"isolate":         map[string]any{"type": "docker", "args": map[string]any{"registry": "r"}, "note": "kept"},
		"vendor":          []any{"x", nil},
	}
	p, err := manifest.ParseProfile("p", raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Map(); !reflect.DeepEqual(got, raw) {
		t.Errorf("have %v, want %v", got, raw)
	}
	p.PoolMin = 1
	p.Limits.Memory = 1 << 20
	want := map[string]any{
		"pool-limit":      uint64(4),
		"pool-min":        int64(1),
		"startup-timeout": 2.5,
		"isolate":         map[string]any{"type": "docker", "args": map[string]any{"registry": "r", "memory-limit": int64(1 << 20)}, "note": "kept"},
		"vendor":          []any{"x", nil},
	}
	if got := p.Map(); !reflect.DeepEqual(got, want) {
		t.Errorf("after a change: have %v, want %v", got, want)
	}
	if len(raw) != 4 || len(raw["isolate"].(map[string]any)["args"].(map[string]any)) != 1 {
		t.Errorf("the parsed map was changed: %v", raw)
	}
}

// A default that follows from another field must not move when that field is
// written.
func TestProfileKeepsDerivedFields(t *testing.T) {
	p := manifest.DefaultProfile()
	p.QueueLimit = 1000             // would make the threshold 50
	p.Isolate.Type = "docker"       // would make the spawn timeout 30 s
	p.IdleTimeout = time.Second / 2 // no whole seconds
	record, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := manifest.DecodeProfile("p", record)
	if err != nil {
		t.Fatal(err)
	}
	again.Raw = nil
	if !reflect.DeepEqual(again, p) {
		t.Errorf("have %+v\nwant %+v", again, p)
	}
	if record, _ := manifest.DefaultProfile().Encode(); string(record) != "\x80" {
		t.Errorf("the default profile is encoded as %q, want the empty map", record)
	}
}

func TestProfileWarnings(t *testing.T) {
	p, err := manifest.ParseProfile("p", map[string]any{"pool-limt": int64(1), "zebra": true, "startup-timeout": int64(1), "isolate": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`pool-limt: unknown key (did you mean "pool-limit"?)`, "zebra: unknown key"}
	if got := p.Warnings(); !reflect.DeepEqual(got, want) {
		t.Errorf("have %q, want %q", got, want)
	}
}

func TestProfileEncodeRefusesStrangeValues(t *testing.T) {
	p := &manifest.Profile{Raw: map[string]any{"c": make(chan int)}}
	if _, err := p.Encode(); err == nil || !strings.HasPrefix(err.Error(), "cannot encode profile: ") {
		t.Errorf("have %v", err)
	}
}
