package daemon_test

import (
	"reflect"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
)

// TestAppInfoIsTold compares what the client's type says of an app with what a runtime
// tells: every field is there under its name.
func TestAppInfoIsTold(t *testing.T) {
	d := start(t, daemon.Options{Config: configuration(directory(t), nil), Version: "test"})
	c := dial(t, d.Addr().String())
	newApp("echo").deploy(t, c)
	if err := echo(t.Context(), c, "echo", "are you there"); err != nil {
		t.Fatal(err)
	}
	everything := cocaine.InfoOverseer | cocaine.InfoManifest | cocaine.InfoProfile
	told, err := cocaine.Get[map[string]any](t.Context(), c.Service("node"), "info", "echo", uint32(everything))
	if err != nil {
		t.Fatal(err)
	}
	only := map[string]bool{ // that are there when there is something to say
		"error": true, "cause": true,
	}
	wantTold(t, "", reflect.TypeFor[cocaine.AppInfo](), told, only)
	workers := told["pool"].(map[string]any)["slaves"].(map[string]any)
	if len(workers) == 0 {
		t.Fatal("there is no worker")
	}
	for _, w := range workers {
		wantTold(t, "pool.slaves.", reflect.TypeFor[cocaine.WorkerInfo](), w.(map[string]any), nil)
	}
	info, err := c.Node().Info(t.Context(), "echo", everything)
	if err != nil {
		t.Fatal(err)
	}
	if info.State != "running" || !info.Published || info.Requests.Accepted != 1 || info.Queue.Capacity == 0 || info.Pool.Active+info.Pool.Idle != 1 || info.Pool.Capacity == 0 || info.Profile.Name != "echo" || len(info.Manifest) == 0 {
		t.Errorf("the client sees %+v", info)
	}
}

// wantTold checks that a map has what the fields of a struct are decoded from.
func wantTold(t *testing.T, at string, typ reflect.Type, told map[string]any, optional map[string]bool) {
	t.Helper()
	for f := range typ.Fields() {
		name := f.Tag.Get("codec")
		v, ok := told[name]
		switch {
		case !ok && !optional[at+name]:
			t.Errorf("%s%s is not told: %v", at, name, told)
		case ok && f.Type.Kind() == reflect.Struct:
			wantTold(t, at+name+".", f.Type, v.(map[string]any), optional)
		}
	}
}
