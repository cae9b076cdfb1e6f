package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/document"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseManifest(t *testing.T) {
	raw := map[string]any{
		"slave":       "bin/hello",
		"args":        []any{"-v"},
		"environment": map[string]any{"A": "1", "PORT": int64(8080), "DEBUG": true, "RATE": 0.5},
		"drivers":     map[string]any{"cron": map[string]any{"type": "time"}},
	}
	m, err := manifest.ParseManifest("hello", raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &manifest.Manifest{
		Slave:       "bin/hello",
		Args:        []string{"-v"},
		Environment: map[string]string{"A": "1", "PORT": "8080", "DEBUG": "true", "RATE": "0.5"},
		Raw:         raw,
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("have %+v, want %+v", m, want)
	}
}

func TestManifestProblems(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  map[string]any
		want []string
	}{
		{"nothing", nil, []string{`cannot use manifest "app": slave: must name the program to run`}},
		{"empty slave", map[string]any{"slave": ""}, []string{"slave: must not be empty"}},
		{"slave of another type", map[string]any{"slave": int64(1)}, []string{"slave: must be a string, have 1"}},
		{"slave outside", map[string]any{"slave": "../sh"}, []string{`slave: must stay inside the app's directory, have "../sh"`}},
		{"zero byte", map[string]any{"slave": "a\x00"}, []string{"slave: must not contain a zero byte"}},
		{"args of another type", map[string]any{"slave": "a", "args": "-v"}, []string{`args: must be a list of strings, have "-v"`}},
		{"zero byte in args", map[string]any{"slave": "a", "args": []any{"x", "\x00"}}, []string{"args: element 2 must not contain a zero byte"}},
		{"environment of another type", map[string]any{"slave": "a", "environment": []any{}}, []string{"environment: must be a table, have a list"}},
		{"several", map[string]any{"environment": map[string]any{"": "1", "A=B": "2", "C": nil, "D": "\x00"}}, []string{
			"slave: must name the program to run",
			"environment: is no name for a variable",
			`environment."A=B": is no name for a variable`,
			"environment.C: must be a string, have null",
			"environment.D: must not contain a zero byte",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := manifest.ParseManifest("app", c.raw)
			wantProblems(t, err, c.want)
		})
	}
}

// wantProblems checks that err names every problem and no other.
func wantProblems(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatalf("have no error, want %q", want)
	}
	if _, ok := errors.AsType[*document.Error](err); !ok {
		t.Errorf("%v holds no *document.Error", err)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Errorf("have %d problems, want %d:\n%v", len(lines), len(want), err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is missing in\n%v", w, err)
		}
	}
}

func TestManifestJSONPointsAtTheLine(t *testing.T) {
	_, err := manifest.DecodeManifestJSON("app", "dir/manifest.json", []byte("{\n  \"slave\": 5,\n  \"environment\": {\"A\": []}\n}"))
	want := `cannot use manifest "app": dir/manifest.json:2:12: slave: must be a string, have 5
	2 |   "slave": 5,
dir/manifest.json:3:24: environment.A: must be a string, have a list
	3 |   "environment": {"A": []}`
	if err == nil || err.Error() != want {
		t.Errorf("have\n%v\nwant\n%s", err, want)
	}
	_, err = manifest.DecodeManifestJSON("app", "manifest.json", []byte(`{"slave": "x",}`))
	if err == nil || !strings.HasPrefix(err.Error(), `cannot use manifest "app": manifest.json:1:15: invalid character '}'`) {
		t.Errorf("have %v", err)
	}
}

// A record written by an old tool, and one by a tool of the newer dialect.
func TestDecodeManifestReadsBothDialects(t *testing.T) {
	old := []byte("\x82\xa5slave\xa3run\xa4note\xda\x00\x24" + strings.Repeat("x", 36))
	newer := []byte("\x82\xd9\x05slave\xc4\x03run\xa4note\xd9\x24" + strings.Repeat("x", 36))
	for _, record := range [][]byte{old, newer} {
		m, err := manifest.DecodeManifest("app", record)
		if err != nil {
			t.Fatal(err)
		}
		if m.Slave != "run" || m.Raw["note"] != strings.Repeat("x", 36) {
			t.Errorf("have %+v", m)
		}
		again, err := m.Encode()
		if err != nil || !strings.Contains(string(again), "\xa4note\xda\x00\x24xx") {
			t.Errorf("encoded as %q, %v: want the old dialect", again, err)
		}
	}
}

func TestDecodeManifestRefusesOtherRecords(t *testing.T) {
	for record, want := range map[string]string{
		"":                      "incomplete msgpack value",
		"\x81\xa5sla":           "incomplete msgpack value",
		"\x93\x01\x02\x03":      "must be a map, have a list",
		"\x80\x80":              "unexpected bytes after the map",
		"\xc1":                  "malformed msgpack",
		"\xa5{\"a\"}":           `must be a map, have "{\"a\"}"`,
		"\x81\xa5slave\x81\x01": "msgpack",
	} {
		_, err := manifest.DecodeManifest("app", []byte(record))
		if err == nil || !strings.HasPrefix(err.Error(), `cannot use manifest "app": `) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: have %v, want %q", record, err, want)
		}
	}
}

func TestManifestKeepsUnknownKeys(t *testing.T) {
	raw := map[string]any{
		"slave":   "run",
		"local":   false,
		"drivers": map[string]any{"t": []any{int64(-1), 2.5, nil, map[string]any{}}},
	}
	m, err := manifest.ParseManifest("app", raw)
	if err != nil {
		t.Fatal(err)
	}
	m.Slave = "run2"
	m.Environment = map[string]string{"A": "1"}
	record, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := manifest.DecodeManifest("app", record)
	if err != nil {
		t.Fatal(err)
	}
	if again.Slave != "run2" || again.Environment["A"] != "1" || again.Raw["local"] != false || !reflect.DeepEqual(again.Raw["drivers"], raw["drivers"]) {
		t.Errorf("have %+v", again)
	}
	if raw["slave"] != "run" {
		t.Error("encoding changed the parsed map")
	}
	if _, there := again.Raw["args"]; there {
		t.Error("an absent key appeared")
	}
}

func TestEncodeRefusesStrangeValues(t *testing.T) {
	m := &manifest.Manifest{Slave: "x", Raw: map[string]any{"f": func() {}}}
	if _, err := m.Encode(); err == nil || !strings.HasPrefix(err.Error(), "cannot encode manifest: ") {
		t.Errorf("have %v", err)
	}
}

func TestExecutable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hello"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for slave, want := range map[string]string{
		"hello":        filepath.Join(dir, "hello"),
		"./hello":      filepath.Join(dir, "hello"),
		"bin/absent":   filepath.Join(dir, "bin/absent"),
		"python3":      "python3",
		"/usr/bin/env": "/usr/bin/env",
	} {
		m := &manifest.Manifest{Slave: slave}
		if got := m.Executable(dir); got != want {
			t.Errorf("%q leads to %q, want %q", slave, got, want)
		}
	}
}

func TestValidateAppName(t *testing.T) {
	for _, name := range []string{"hello", "Hello_2.0-x", "_", ".hidden", "a..b", strings.Repeat("x", manifest.MaxNameLength), "storages"} {
		if err := manifest.ValidateAppName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":        "it is empty",
		".":       "it means a directory",
		"..":      "it means a directory",
		"a/b":     `it contains "/" or a zero byte`,
		"a b":     `it contains ' '`,
		"привет":  `it contains 'п'`,
		"a\x00":   `it contains "/" or a zero byte`,
		"a\xff":   "it contains",
		"-f":      "would be taken for an option",
		"storage": "it is the name of a service",
		"node":    "it is the name of a service",
		strings.Repeat("x", manifest.MaxNameLength+1): "it has 129 characters, the limit is 128",
	} {
		err := manifest.ValidateAppName(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: have %v, want %q", name, err, want)
		}
	}
}

// Apps that are in storage run by whatever name they have, unless it leads elsewhere.
func TestCheckAppName(t *testing.T) {
	for _, name := range []string{"hello", "a b", "-f", "app:1", "app@2", "привет", "a\xff", strings.Repeat("x", manifest.MaxNameLength)} {
		if err := manifest.CheckAppName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "../a", "a\x00", "storage", strings.Repeat("x", manifest.MaxNameLength+1)} {
		if err := manifest.CheckAppName(name); err == nil {
			t.Errorf("%q can be used", name)
		}
	}
}

func TestRunlist(t *testing.T) {
	list, err := manifest.DecodeRunlistJSON("default", "runlist.json", []byte(`{"a": "small", "b:tag": "big"}`))
	if err != nil {
		t.Fatal(err)
	}
	record, err := list.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := "\x82\xa1a\xa5small\xa5b:tag\xa3big"; string(record) != want {
		t.Errorf("encoded as %q, want %q", record, want)
	}
	again, err := manifest.DecodeRunlist("default", record)
	if err != nil || !reflect.DeepEqual(again, manifest.Runlist{"a": "small", "b:tag": "big"}) {
		t.Errorf("have %v, %v", again, err)
	}
	_, err = manifest.ParseRunlist("default", map[string]any{"": "p", "a": int64(1), "b": ""})
	wantProblems(t, err, []string{`cannot use runlist "default": an app must have a name`, "a: must be a string, have 1", "b: must not be empty"})
	if _, err := manifest.DecodeRunlist("default", msgpack.AppendNil(nil)); err == nil {
		t.Error("a nil record was accepted")
	}
	if _, err := manifest.DecodeRunlistJSON("default", "f", []byte(`[]`)); err == nil {
		t.Error("a list was accepted")
	}
}
