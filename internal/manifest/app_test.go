package manifest_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/manifest"
)

const appText = `name  = "hello"
run   = ["./hello", "-v"]
build = "make hello"

[pool]
min = 1
max = 8
concurrency = 20
queue = 200
idle = "5m"

[limits]
memory = "256M"
cpu = 1.5

[health]
startup = "10s"

[env]
LOG = "info"
PORT = 80
`

func TestParseApp(t *testing.T) {
	app, err := manifest.ParseApp("cocaine.toml", []byte(appText))
	if err != nil {
		t.Fatal(err)
	}
	if app.Name != "hello" || !reflect.DeepEqual(app.Build, []string{"/bin/sh", "-c", "make hello"}) {
		t.Errorf("have %+v", app)
	}
	m := app.Manifest()
	want := &manifest.Manifest{Slave: "./hello", Args: []string{"-v"}, Environment: map[string]string{"LOG": "info", "PORT": "80"}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("manifest is %+v, want %+v", m, want)
	}
	p := manifest.DefaultProfile()
	p.PoolMin, p.PoolLimit, p.Concurrency, p.QueueLimit, p.GrowThreshold = 1, 8, 20, 200, 12
	p.IdleTimeout, p.SpawnTimeout, p.HandshakeTimeout = 5*time.Minute, 10*time.Second, 10*time.Second
	p.Limits = manifest.Limits{Memory: 256 << 20, CPU: 1.5}
	p.Isolate.Args = map[string]any{"memory-limit": int64(256 << 20), "cpu-limit": 1.5}
	p.Raw = app.Profile.Raw
	if !reflect.DeepEqual(app.Profile, p) {
		t.Errorf("profile is %+v\nwant       %+v", app.Profile, p)
	}
	if _, err := m.Encode(); err != nil {
		t.Error(err)
	}
	record, err := app.Profile.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := manifest.DecodeProfile("hello", record)
	if err != nil || again.Limits != p.Limits || again.IdleTimeout != p.IdleTimeout {
		t.Errorf("through a record: %+v, %v", again, err)
	}
}

func TestEmptyAppFile(t *testing.T) {
	app, err := manifest.ParseApp("cocaine.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := manifest.DefaultProfile()
	want.Raw = map[string]any{}
	if app.Name != "" || app.Run != nil || app.Build != nil || !reflect.DeepEqual(app.Profile, want) {
		t.Errorf("have %+v", app)
	}
	if m := app.Manifest(); m.Slave != "" || m.Args != nil {
		t.Errorf("manifest is %+v", m)
	}
}

func TestAppCommands(t *testing.T) {
	for _, c := range []struct {
		text       string
		run, build []string
	}{
		{`run = "python3 -u app.py"`, []string{"python3", "-u", "app.py"}, nil},
		{`run = ["./a b", "$HOME"]`, []string{"./a b", "$HOME"}, nil},
		{`build = ["make", "all"]`, nil, []string{"make", "all"}},
		{`build = "a && b"`, nil, []string{"/bin/sh", "-c", "a && b"}},
		{`build = ""`, nil, []string{}},
		{`build = []`, nil, []string{}},
	} {
		app, err := manifest.ParseApp("f", []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if !reflect.DeepEqual(app.Run, c.run) || !reflect.DeepEqual(app.Build, c.build) {
			t.Errorf("%s: run %q, build %q", c.text, app.Run, app.Build)
		}
	}
}

func TestAppProblems(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"syntax", "name = \"a\"\n[pool\n", "cannot use app file: f:2:6: "},
		{"unknown key", "nmae = 'x'", "f:1:1: nmae: unknown key (did you mean \"name\"?)\n\t1 | nmae = 'x'"},
		{"unknown table", "[polo]\nmax = 1", `f:1:2: polo: unknown key (did you mean "pool"?)`},
		{"unknown key in a table", "[pool]\n  maximum = 1", `f:2:3: pool.maximum: unknown key (did you mean "pool.max"?)`},
		{"unknown limit", "[limits]\ndisk = '1G'", "f:2:1: limits.disk: unknown key"},
		{"unknown health key", "[health]\npath = '/up'", "f:2:1: health.path: unknown key"},
		{"bad name", "name = 'a/b'", `f:1:8: name: cannot use "a/b": it contains "/" or a zero byte`},
		{"service name", "name = 'storage'", `f:1:8: name: cannot use "storage": it is the name of a service`},
		{"name of another type", "name = 5", "f:1:8: name: must be a string, have 5"},
		{"run of another type", "run = 5", "f:1:7: run: must be a command or a list of its words, have 5"},
		{"empty run", "run = []", "f:1:7: run: must name the program to run"},
		{"blank run", "run = ' '", "f:1:7: run: must name the program to run"},
		{"run for a shell", "run = 'a && b'", `f:1:7: run: is not run by a shell and cannot contain '&'`},
		{"run outside", "run = '../a'", `f:1:7: run: must stay inside the app's directory, have "../a"`},
		{"build of another type", "build = true", "f:1:9: build: must be a command or a list of its words, have true"},
		{"pool of another type", "pool = 5", "f:1:8: pool: must be a table, have 5"},
		{"max", "[pool]\nmax = 0", "f:2:7: pool.max: must be at least 1, have 0"},
		{"min", "[pool]\nmin = -1", "f:2:7: pool.min: must be at least 0, have -1"},
		{"min above max", "[pool]\nmin = 5\nmax = 2", "f:2:7: pool.min: must be at most pool.max (2), have 5"},
		{"min above the default max", "[pool]\nmin = 11", "f:2:7: pool.min: must be at most pool.max (10), have 11"},
		{"concurrency", "[pool]\nconcurrency = 0", "f:2:15: pool.concurrency: must be at least 1, have 0"},
		{"queue", "[pool]\nqueue = -2", "f:2:9: pool.queue: must be at least -1, have -2"},
		{"idle", "[pool]\nidle = 'never'", `f:2:8: pool.idle: must be a duration such as "30s", have "never"`},
		{"memory", "[limits]\nmemory = 'lots'", `f:2:10: limits.memory: must be a number of bytes such as "256M", have "lots"`},
		{"cpu", "[limits]\ncpu = 0.0", "f:2:7: limits.cpu: must be at least 0.001, have 0"},
		{"startup", "[health]\nstartup = 0", "f:2:11: health.startup: must be at least 0.001 seconds, have 0"},
		{"env", "[env]\nA = [1]", "f:2:5: env.A: must be a string, have a list"},
		{"env name", "[env]\n'A=' = '1'", `f:2:8: env."A=": is no name for a variable`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := manifest.ParseApp("f", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), "cannot use app file: f:") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("have\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

func TestAppReportsAllProblems(t *testing.T) {
	_, err := manifest.ParseApp("f", []byte("name = ''\n[pool]\nmax = 0\nmni = 1\n[limits]\ncpu = 'x'\n"))
	for _, want := range []string{"f:1:8: name: ", "f:3:7: pool.max: ", "f:4:1: pool.mni: ", "f:6:7: limits.cpu: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}
