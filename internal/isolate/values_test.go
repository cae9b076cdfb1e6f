package isolate_test

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
)

func TestEnviron(t *testing.T) {
	base := []string{
		"PATH=/bin", "HOME=/root", "COCAINE_TOKEN=secret", "NOTIFY_SOCKET=/run/n", "LISTEN_FDS=3", "HOME=/home", "=odd", "noise",
	}
	got := isolate.Environ(base, "PATH=/opt/bin", "MODE=a", "COCAINE_APP_TOKEN_TYPE=TVM", "MODE=b", "EMPTY=")
	want := []string{"PATH=/opt/bin", "HOME=/home", "MODE=b", "COCAINE_APP_TOKEN_TYPE=TVM", "EMPTY="}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if v, ok := isolate.Lookup(got, "MODE"); v != "b" || !ok {
		t.Errorf("Lookup(MODE) = %q, %v", v, ok)
	}
	if _, ok := isolate.Lookup(got, "MO"); ok {
		t.Error("Lookup finds half a name")
	}
}

func TestExitInWords(t *testing.T) {
	for want, exit := range map[string]isolate.Exit{
		"exit status 3":                   {Code: 3},
		"exit status 0":                   {},
		"killed by SIGKILL":               {Code: -1, Signal: syscall.SIGKILL},
		"killed by SIGSEGV":               {Code: -1, Signal: syscall.SIGSEGV},
		"killed by signal 70":             {Code: -1, Signal: 70},
		"out of memory":                   {Code: -1, Signal: syscall.SIGKILL, OOM: true},
		"unknown end: process is running": {Code: -1, Err: isolate.ErrRunning},
	} {
		if got := exit.String(); got != want {
			t.Errorf("%+v: %q, want %q", exit, got, want)
		}
	}
}

func TestSpawnError(t *testing.T) {
	err := error(&isolate.SpawnError{App: "hello", Slave: "y", Reason: "/x/y: no such file", Remedy: "build it", Err: syscall.ENOENT})
	if want := `cannot start worker: /x/y: no such file (slave "y" of app "hello")`; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	hinter, ok := err.(interface{ Hint() string })
	if !ok || hinter.Hint() != "build it" {
		t.Error("no hint")
	}
}

func TestParseSettings(t *testing.T) {
	got, err := isolate.ParseSettings(map[string]any{
		"spool": "/srv", "unknown": 1, "docker": map[string]any{},
		"limits": map[string]any{"memory": "256M", "cpu": 1.5, "pids": int64(100), "nofile": uint64(4096), "address-space": "4G", "other": true},
	})
	want := isolate.Settings{Spool: "/srv", Limits: isolate.Limits{Memory: 256 << 20, CPU: 1.5, PIDs: 100, Files: 4096, AddressSpace: 4 << 30}}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := isolate.ParseSettings(nil); err != nil || got != (isolate.Settings{}) {
		t.Errorf("nothing gives %+v, %v", got, err)
	}
	if got, err := isolate.ParseSettings(map[string]any{"limits": map[string]any{"memory": 1048576}}); err != nil || got.Limits.Memory != 1<<20 {
		t.Errorf("bytes give %+v, %v", got, err)
	}
	limits := func(key string, v any) map[string]any { return map[string]any{"limits": map[string]any{key: v}} }
	for _, tt := range []struct {
		args map[string]any
		want string
	}{
		{map[string]any{"spool": ""}, "isolate.args.spool: must not be empty"},
		{map[string]any{"limits": 5}, "isolate.args.limits: must be a table, have 5"},
		{limits("memory", "much"), `isolate.args.limits.memory: must be a number of bytes such as "256M", have "much"`},
		{limits("cpu", 0), "isolate.args.limits.cpu: must be at least 0.01, have 0"},
		{limits("pids", 1.5), "isolate.args.limits.pids: must be a whole number of at least 1, have 1.5"},
		{limits("nofile", "many"), `isolate.args.limits.nofile: must be a whole number of at least 1, have "many"`},
	} {
		if _, err := isolate.ParseSettings(tt.args); err == nil || err.Error() != tt.want {
			t.Errorf("%v: %v, want %s", tt.args, err, tt.want)
		}
	}
}

func TestLimitsOr(t *testing.T) {
	short := manifest.Limits{Memory: 1, CPU: 2}
	if got := (isolate.Limits{PIDs: 5}).Or(short); got != (isolate.Limits{Memory: 1, CPU: 2, PIDs: 5}) {
		t.Errorf("got %+v", got)
	}
	if got := (isolate.Limits{Memory: 7, CPU: 8}).Or(short); got != (isolate.Limits{Memory: 7, CPU: 8}) {
		t.Errorf("got %+v", got)
	}
}
