package source_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/archive"
	"github.com/cocaine/cocaine-go/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	goMod  = "module example.com/shop/hello/v2 // comment\n\ngo 1.26\n"
	goMain = "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"hello\\n\") }\n"
	script = "#!/bin/sh\necho script\n"
)

// tree creates a directory. A name that ends in "*" is made executable.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "myapp")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	return dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	mode := fs.FileMode(0o644)
	if name, ok := strings.CutSuffix(path, "*"); ok {
		path, mode = name, 0o755
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func detect(t *testing.T, path string) *source.Plan {
	t.Helper()
	p, err := source.Detect(path, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func build(t *testing.T, p *source.Plan) *source.Bundle {
	t.Helper()
	var out bytes.Buffer
	b, err := source.Build(t.Context(), p, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// list returns the files below a directory, sorted, programs marked with "*".
func list(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			rel += "*"
		}
		names = append(names, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// tarball writes an archive of files.
func tarball(t *testing.T, path string, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text := b.Bytes()
	if strings.HasSuffix(path, "gz") {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(text)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		text = z.Bytes()
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		path   string // inside the directory
		want   source.Kind
		app    string
		run    string
		output string // of the Go compiler
	}{
		{"go module", map[string]string{"go.mod": goMod, "main.go": goMain}, "", source.GoModule, "hello", "./hello", "hello"},
		{"go package", map[string]string{"go.mod": goMod, "examples/echo/main.go": goMain, "lib.go": "package hello\n"}, "examples/echo", source.GoPackage, "echo", "./echo", "echo"},
		{"go source that does not compile", map[string]string{"go.mod": goMod, "main.go": "package main\n\nfunc main() { broken"}, "", source.GoModule, "hello", "./hello", "hello"},
		{"other files beside", map[string]string{"go.mod": goMod, "main.go": goMain, "gen.go": "//go:build ignore\n\npackage gen\n", "x_test.go": "package main_test\n"}, "", source.GoModule, "hello", "./hello", "hello"},
		{"app file", map[string]string{"cocaine.toml": "name = 'shop'\nrun = './start.sh'\n", "start.sh*": script}, "", source.AppFile, "shop", "./start.sh", ""},
		{"app file itself", map[string]string{"cocaine.toml": "run = './start.sh'\n"}, "cocaine.toml", source.AppFile, "myapp", "./start.sh", ""},
		{"app file and go", map[string]string{"cocaine.toml": "[pool]\nmax = 2\n", "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "hello", "./hello", "hello"},
		{"app file and go with a name", map[string]string{"cocaine.toml": "name = 'shop'\n", "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "shop", "./shop", "shop"},
		{"app file and go with a program", map[string]string{"cocaine.toml": "run = ['./bin/shop', '-v']\n", "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "hello", "./bin/shop", "bin/shop"},
		{"app file and go with a stale program", map[string]string{"cocaine.toml": "run = 'shop'\n", "shop*": "\x7fELF", "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "hello", "shop", "shop"},
		{"app file and go but a script", map[string]string{"cocaine.toml": "run = './start.sh'\n", "start.sh*": script, "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "hello", "./start.sh", ""},
		{"app file and go but an interpreter", map[string]string{"cocaine.toml": "run = 'python3 app.py'\n", "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "hello", "python3", ""},
		{"app file and go but an absolute path", map[string]string{"cocaine.toml": "run = '/bin/cat'\n", "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "hello", "/bin/cat", ""},
		{"app file and go but its own build", map[string]string{"cocaine.toml": "run = './x'\nbuild = 'make'\n", "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "hello", "./x", ""},
		{"app file and go but no build", map[string]string{"cocaine.toml": "run = './x'\nbuild = ''\n", "go.mod": goMod, "main.go": goMain}, "", source.AppFile, "hello", "./x", ""},
		{"app file before manifest", map[string]string{"cocaine.toml": "run = './a'\n", "manifest.json": `{"slave": "b"}`}, "", source.AppFile, "myapp", "./a", ""},
		{"manifest", map[string]string{"manifest.json": `{"slave": "run.py"}`, "run.py*": script}, "", source.Manifest, "myapp", "run.py", ""},
		{"manifest itself", map[string]string{"manifest.json": `{"slave": "run.py"}`}, "manifest.json", source.Manifest, "myapp", "run.py", ""},
		{"manifest and go", map[string]string{"manifest.json": `{"slave": "hello"}`, "go.mod": goMod, "main.go": goMain}, "", source.Manifest, "hello", "hello", "hello"},
		{"executable", map[string]string{"bin/tool.x86*": "\x7fELF"}, "bin/tool.x86", source.Executable, "tool", "./tool.x86", ""},
		{"script", map[string]string{"serve.sh": script}, "serve.sh", source.Executable, "serve", "./serve.sh", ""},
		{"hidden name", map[string]string{".run*": script}, ".run", source.Executable, ".run", "./.run", ""},
		{"directory of one program", map[string]string{"tool*": "\x7fELF", "data.txt": "x", "tool~*": "old"}, "", source.Executable, "myapp", "./tool", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, c.files)
			p := detect(t, filepath.Join(dir, c.path))
			if p.Kind != c.want || p.Name != c.app || p.Manifest.Slave != c.run || p.GoOutput != c.output {
				t.Errorf("have %v %q that runs %q and compiles to %q", p.Kind, p.Name, p.Manifest.Slave, p.GoOutput)
			}
			if !filepath.IsAbs(p.Dir) || !filepath.IsAbs(p.Path) || p.Profile == nil {
				t.Errorf("have %+v", p)
			}
			if p.Kind.String() == "unknown" {
				t.Errorf("kind %d has no name", p.Kind)
			}
		})
	}
}

func TestDetectRelativePath(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	t.Chdir(dir)
	p := detect(t, ".")
	if p.Path != dir || p.Dir != dir || p.Kind != source.GoModule {
		t.Errorf("have %+v", p)
	}
}

func TestDetectManifestReadsTheProfile(t *testing.T) {
	dir := tree(t, map[string]string{"manifest.json": `{"slave": "x"}`, "profile.json": `{"pool-limit": 3}`})
	if p := detect(t, dir); p.Profile.PoolLimit != 3 {
		t.Errorf("have %+v", p.Profile)
	}
}

// Errors name files as the person named them.
func TestErrorsShowGivenPaths(t *testing.T) {
	dir := tree(t, map[string]string{"a/cocaine.toml": "x", "b/manifest.json": `{"slave": "x"}`, "b/profile.json": "x"})
	t.Chdir(dir)
	for path, want := range map[string]string{
		"a":               "cannot use app file: a/cocaine.toml:1:",
		"./a/":            "cannot use app file: a/cocaine.toml:1:",
		"a/cocaine.toml":  "cannot use app file: a/cocaine.toml:1:",
		"b":               `cannot use profile "b": b/profile.json:1:1: `,
		"b/manifest.json": `cannot use profile "b": b/profile.json:1:1: `,
	} {
		if _, err := source.Detect(path, source.Options{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: have %v, want %q", path, err, want)
		}
	}
}

func TestDetectArchive(t *testing.T) {
	dir := tree(t, nil)
	for _, c := range []struct {
		file  string
		files map[string]string
		app   string
		run   string
		pool  int
	}{
		{"shop-1.0.tar.gz", map[string]string{"./cocaine.toml": "run = './a'\n[pool]\nmax = 4\n", "./a": script}, "shop-1.0", "./a", 4},
		{"x.tgz", map[string]string{"cocaine.toml": "name = 'shop'\nrun = './a'\n", "z/cocaine.toml": "!"}, "shop", "./a", 10},
		{"x.tar", map[string]string{"manifest.json": `{"slave": "b"}`, "profile.json": `{"pool-limit": 2}`}, "x", "b", 2},
	} {
		t.Run(c.file, func(t *testing.T) {
			p := detect(t, tarball(t, filepath.Join(dir, c.file), c.files))
			if p.Kind != source.Archive || p.Name != c.app || p.Manifest.Slave != c.run || p.Profile.PoolLimit != c.pool {
				t.Errorf("have %+v %+v", p, p.Manifest)
			}
		})
	}
}

func TestDetectProblems(t *testing.T) {
	for _, c := range []struct {
		name       string
		files      map[string]string
		path       string
		want, hint string
	}{
		{"absent", nil, "nowhere", "nowhere: no such file or directory", "give the path of a directory, a program or an archive"},
		{"empty", nil, "", "myapp: there is nothing to run in it", `add cocaine.toml with: run = ["./program"]`},
		{"python", map[string]string{"app.py": "print()"}, "", "there is nothing to run in it", `add cocaine.toml with: run = ["python3", "app.py"]`},
		{"library", map[string]string{"go.mod": goMod, "lib.go": "package lib\n"}, "", "there is nothing to run in it", "cocaine.toml"},
		{"program elsewhere", map[string]string{"go.mod": goMod, "lib.go": "package lib\n", "cmd/shop/main.go": goMain, "vendor/x/main.go": goMain}, "", "there is nothing to run in it", filepath.Join("myapp", "cmd", "shop")},
		{"several programs", map[string]string{"a*": script, "b*": script}, "", "it holds 2 programs: a, b", `say which one in cocaine.toml: run = ["./a"]`},
		{"data", map[string]string{"notes.txt": "hello"}, "notes.txt", "it is not executable and does not begin with #!", "chmod +x "},
		{"empty file", map[string]string{"empty": ""}, "empty", "it is not executable", "chmod +x "},
		{"go file", map[string]string{"go.mod": goMod, "main.go": goMain}, "main.go", "a single Go file cannot be deployed", "give its directory: "},
		{"no module", map[string]string{"main.go": goMain}, "", "its Go program belongs to no module", "go mod init myapp"},
		{"nothing to run", map[string]string{"cocaine.toml": ""}, "", "its cocaine.toml does not say what to run", `add to cocaine.toml: run = ["./program"]`},
		{"bad app file", map[string]string{"cocaine.toml": "nmae = 'x'"}, "", `cocaine.toml:1:1: nmae: unknown key (did you mean "name"?)`, ""},
		{"bad manifest", map[string]string{"manifest.json": "{\n}"}, "", `cannot use manifest "myapp": `, ""},
		{"bad profile", map[string]string{"manifest.json": `{"slave": "x"}`, "profile.json": "{\n \"pool-limit\": 0}"}, "", "profile.json:2:16: pool-limit: must be at least 1, have 0", ""},
		{"bad name", map[string]string{"my tool*": script}, "my tool", `cannot use "my tool" as the name of an app`, "--name NAME"},
		{"service name", map[string]string{"storage.sh*": script}, "storage.sh", "it is the name of a service", "--name NAME"},
		{"bad ignore file", map[string]string{"cocaine.toml": "run = './a'", ".cocaineignore": "ok\n[\n"}, "", "cannot read .cocaineignore line 2", ""},
		{"broken archive", map[string]string{"x.tar.gz": "\x1f\x8bnonsense"}, "x.tar.gz", "cannot read archive", "tar -czf"},
		{"no archive", map[string]string{"x.tar": strings.Repeat("nonsense", 100)}, "x.tar", "cannot read archive", "tar -czf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, c.files)
			_, err := source.Detect(filepath.Join(dir, c.path), source.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("have %v, want %q in it", err, c.want)
			}
			if hint := hintOf(err); !strings.Contains(hint, c.hint) {
				t.Errorf("hint is %q, want %q in it", hint, c.hint)
			}
		})
	}
}

func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

func TestDetectArchiveProblems(t *testing.T) {
	dir := tree(t, nil)
	for _, c := range []struct {
		files      map[string]string
		want, hint string
	}{
		{map[string]string{"run": script}, "there is no cocaine.toml in the root of the archive", "add one"},
		{map[string]string{"cocaine.toml": "name = 'x'"}, "does not say what to run", "run = "},
		{map[string]string{"cocaine.toml": "x"}, "x.tar:cocaine.toml:1:", ""},
		{map[string]string{"manifest.json": "{}"}, "x.tar:manifest.json", ""},
		{map[string]string{"manifest.json": `{"slave": "x"}`, "profile.json": "["}, "x.tar:profile.json:1:", ""},
	} {
		_, err := source.Detect(tarball(t, filepath.Join(dir, "x.tar"), c.files), source.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(hintOf(err), c.hint) {
			t.Errorf("%v: have %v, hint %q", c.files, err, hintOf(err))
		}
	}
}

func TestNameIsAskedFor(t *testing.T) {
	dir := tree(t, map[string]string{"my tool*": script})
	p, err := source.Detect(filepath.Join(dir, "my tool"), source.Options{Name: "tool"})
	if err != nil || p.Name != "tool" {
		t.Errorf("have %+v, %v", p, err)
	}
	_, err = source.Detect(filepath.Join(dir, "my tool"), source.Options{Name: "a/b"})
	if err == nil || hintOf(err) != "choose another name" {
		t.Errorf("have %v, hint %q", err, hintOf(err))
	}
}

// packNames is a Packer that writes the names of the files.
func packNames(t *testing.T) source.Packer {
	return func(_ context.Context, dir string, w io.Writer) error {
		_, err := fmt.Fprint(w, list(t, dir))
		return err
	}
}

func TestPack(t *testing.T) {
	b := build(t, detect(t, tree(t, map[string]string{"tool*": script, "data": "x"})))
	var out bytes.Buffer
	if err := b.Pack(t.Context(), packNames(t), &out); err != nil || out.String() != "[data tool*]" {
		t.Errorf("have %q, %v", out.String(), err)
	}
}

// A bundle suits the real packer.
func TestPackForReal(t *testing.T) {
	b := build(t, detect(t, tree(t, map[string]string{"tool*": script, "sub/data": "x"})))
	var out bytes.Buffer
	err := b.Pack(t.Context(), func(ctx context.Context, dir string, w io.Writer) error {
		_, err := archive.Pack(ctx, w, dir, archive.PackOptions{})
		return err
	}, &out)
	if err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "app")
	if _, err := archive.Unpack(t.Context(), &out, dst, archive.UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dst); !slices.Equal(got, []string{"sub/data", "tool*"}) {
		t.Errorf("unpacked %q", got)
	}
}

func TestPackArchiveAsItIs(t *testing.T) {
	path := tarball(t, filepath.Join(tree(t, nil), "x.tgz"), map[string]string{"manifest.json": `{"slave": "x"}`})
	b := build(t, detect(t, path))
	var out bytes.Buffer
	if err := b.Pack(t.Context(), packNames(t), &out); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(out.Bytes(), want) || b.Dir != "" {
		t.Errorf("the archive was not taken as it is: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Pack(ctx, packNames(t), io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := b.Pack(t.Context(), packNames(t), io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the archive: %v", err)
	}
}
