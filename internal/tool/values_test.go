package tool

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseDay(t *testing.T) {
	now := time.Date(2026, 3, 5, 23, 30, 0, 0, time.FixedZone("", 3600)) // 22:30 UTC
	for in, want := range map[string]string{
		"today": "cocaine-2026-03-05", "t": "cocaine-2026-03-05", "yesterday": "cocaine-2026-03-04", "y": "cocaine-2026-03-04",
		"7": "cocaine-2026-03-07", "07": "cocaine-2026-03-07", "28-2": "cocaine-2026-02-28", "29-2-2024": "cocaine-2024-02-29",
	} {
		day, err := parseDay(in, now)
		if err != nil || dayTag(day) != want {
			t.Errorf("parseDay(%q) = %v, %v, want %s", in, day, err, want)
		}
	}
	for _, in := range []string{"", "tomorrow", "31-2", "29-2-2026", "0", "32", "1-2-3-4", "1-13", "-1", "x-1"} {
		if day, err := parseDay(in, now); err == nil {
			t.Errorf("parseDay(%q) = %v, want an error", in, day)
		}
	}
}

func TestCompileMQL(t *testing.T) {
	for in, want := range map[string]string{
		`name() == x`: `{"eq":[{"name":[]},{"const":["x"]}]}`,
		`type()!=gauge && contains(name(), a.b-c)`: `{"and":[{"ne":[{"type":[]},{"const":["gauge"]}]},` +
			`{"contains":[{"name":[]},{"const":["a.b-c"]}]}]}`,
		`a == b || c == d && e`: `{"and":[{"or":[{"eq":[{"const":["a"]},{"const":["b"]}]},{"eq":[{"const":["c"]},{"const":["d"]}]}]},{"const":["e"]}]}`,
		`tag(host) >= 5`:        `{"ge":[{"tag":[{"const":["host"]}]},{"const":[5]}]}`,
		`(((x)))`:               `{"const":["x"]}`,
	} {
		tree, err := compileMQL(in)
		text, _ := json.Marshal(tree)
		if err != nil || string(text) != want {
			t.Errorf("compileMQL(%q) = %s, %v, want %s", in, text, err, want)
		}
	}
	for _, in := range []string{"", "(", "a ==", "nosuch(x)", "name(", "name(a b)", "a b", ")", "a && ", "&", strings.Repeat("(", 100)} {
		if tree, err := compileMQL(in); err == nil {
			t.Errorf("compileMQL(%q) = %v, want an error", in, tree)
		}
	}
}

func TestParseLiteral(t *testing.T) {
	for in, want := range map[string][]any{
		"":                               nil,
		"'a', 1":                         {"a", int64(1)},
		"('a', 1)":                       {"a", int64(1)},
		"('a',)":                         {"a"},
		"[1, 2]":                         {[]any{int64(1), int64(2)}},
		"(1, 2), 3":                      {[]any{int64(1), int64(2)}, int64(3)},
		`{"k": ('v', None), 'l': True,}`: {map[string]any{"k": []any{"v", nil}, "l": true}},
		`u'x\n\'', -1.5, 0x10`:           {"x\n'", -1.5, int64(16)},
	} {
		have, err := parseLiteral(in)
		if err != nil || !reflect.DeepEqual(have, want) {
			t.Errorf("parseLiteral(%q) = %#v, %v, want %#v", in, have, err, want)
		}
	}
	for _, in := range []string{"'", "(1", "[1)", "1 2", "{1: 2}", "{'a'}", "nosuch", ",", `'\q'`, strings.Repeat("[", 100)} {
		if v, err := parseLiteral(in); err == nil {
			t.Errorf("parseLiteral(%q) = %v, want an error", in, v)
		}
	}
}

func FuzzParseLiteral(f *testing.F) {
	f.Add(`'a', [1, {"k": (None,)}]`)
	f.Fuzz(func(t *testing.T, text string) { _, _ = parseLiteral(text) })
}

func FuzzCompileMQL(f *testing.F) {
	f.Add("name() == x && (type() != y)")
	f.Fuzz(func(t *testing.T, text string) { _, _ = compileMQL(text) })
}

func TestShares(t *testing.T) {
	have := shares([]point{{1 << 30, "a"}, {1 << 31, "b"}, {3 << 30, "a"}})
	want := map[string]any{"a": 0.75, "b": 0.25}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
	if have := shares([]point{{7, "a"}}); math.Abs(have["a"].(float64)-1) > 1e-9 {
		t.Errorf("one point owns %v", have)
	}
	if have := shares(nil); len(have) != 0 {
		t.Errorf("no points: %v", have)
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	system := file("system.yml", "locator:\n    host: far\n    port: 10054\n")
	user := file("user.yml", "locator:\n    port: 10055\nsecure:\n    mod: TVM\n    client_id: 42\n    client_secret: s\n")
	s, err := readSettings([]string{system, user, filepath.Join(dir, "missing.yml"), file("empty.yml", "# nothing\n")})
	if err != nil {
		t.Fatal(err)
	}
	if want := (settings{host: "far", port: "10055", secure: true, mod: "TVM", client: 42, secret: "s"}); *s != want {
		t.Errorf("have %+v, want %+v", *s, want)
	}
	for text, want := range map[string]string{
		"locator:\n    hots: x\n":      "bad.yml:2:5: locator.hots: unknown field",
		"locator:\n    port: 70000\n":  "bad.yml:2:11: locator.port: must be a number from 0 to 65535",
		"locator:\n    host: 7\n":      "bad.yml:2:11: locator.host: must be a string",
		"secure:\n    mod: none\n":     "bad.yml:2:10: secure.mod: must be TVM",
		"secure:\n    client_id: x\n":  "bad.yml:2:16: secure.client_id: must be a whole number",
		"other: 1\n":                   "bad.yml:1:1: other: unknown field",
		"- 1\n":                        "bad.yml:1:1: must be a map",
		"locator: [\n":                 "bad.yml: yaml: ",
		"locator: {host: a, host: b}}": "bad.yml: yaml: ",
	} {
		if _, err := readSettings([]string{file("bad.yml", text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		host, port string
		environ    []string
		settings   settings
		want       string
	}{
		{want: "localhost:10053"},
		{settings: settings{host: "far", port: "1"}, want: "far:1"},
		{settings: settings{host: "far", port: "1"}, environ: []string{"COCAINE_LOCATOR=a:2,b:3"}, want: "a:2,b:3"},
		{host: "near", environ: []string{"COCAINE_LOCATOR=a:2"}, settings: settings{port: "1"}, want: "near:1"},
		{host: "::1", port: "5", want: "[::1]:5"},
	} {
		tl := &tool{host: c.host, port: c.port, env: Env{Environ: c.environ}}
		if have := tl.address(&c.settings); have != c.want {
			t.Errorf("%+v: have %s", c, have)
		}
	}
}

func TestIsTar(t *testing.T) {
	var plain, zipped bytes.Buffer
	w := tar.NewWriter(&plain)
	if err := w.WriteHeader(&tar.Header{Name: "a", Size: 0}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	z := gzip.NewWriter(&zipped)
	z.Write(plain.Bytes())
	z.Close()
	for _, good := range [][]byte{plain.Bytes(), zipped.Bytes()} {
		if err := isTar(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "hello", "\x1f\x8b", "BZh", "x\x9c"} {
		if isTar([]byte(bad)) == nil {
			t.Errorf("%q is an archive", bad)
		}
	}
}

func TestFindManifest(t *testing.T) {
	dir := t.TempDir()
	add := func(name string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := findManifest(dir); err == nil {
		t.Error("an empty directory has a manifest")
	}
	for _, name := range []string{"a/manifest", "b/manifest.json", "manifest-old", "manifest.json"} {
		add(name)
		if have, err := findManifest(dir); err != nil || have != filepath.Join(dir, name) {
			t.Errorf("have %s, %v, want %s", have, err, name)
		}
	}
}

func TestCentre(t *testing.T) {
	if have := centre("ab", 5); have != " ab  " {
		t.Errorf("have %q", have)
	}
	if have := centre("abcdef", 5); have != "abcdef" {
		t.Errorf("have %q", have)
	}
}

func TestLog(t *testing.T) {
	for verbose, want := range map[int]string{0: "EW", 1: "E", 2: "EW", 3: "EWI", 4: "EWID", 9: "EWID"} {
		var out bytes.Buffer
		tl := &tool{verbose: verbose, env: Env{Stderr: &out}}
		for l := failed; l <= debug; l++ {
			tl.log(l, "x")
		}
		have := ""
		for line := range strings.Lines(out.String()) {
			have += line[:1]
		}
		if have != want {
			t.Errorf("-v %d times: have %s, want %s", verbose, have, want)
		}
	}
}
