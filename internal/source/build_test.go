package source_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go/internal/source"
)

func TestBuildGoModule(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": goMod, "main.go": goMain, "README": "x"})
	p := detect(t, dir)
	if got := p.Command("/out"); !slices.Equal(got, []string{"go", "build", "-buildvcs=false", "-o", "/out/hello", "."}) {
		t.Errorf("the command is %q", got)
	}
	b := build(t, p)
	if got := list(t, b.Dir); !slices.Equal(got, []string{"hello*"}) {
		t.Errorf("packed %q", got)
	}
	out, err := exec.Command(b.Manifest.Executable(b.Dir)).Output()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("it says %q, %v", out, err)
	}
	if got := list(t, dir); !slices.Equal(got, []string{"README", "go.mod", "main.go"}) {
		t.Errorf("the build wrote into the source: %q", got)
	}
	temp := b.Dir
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close the bundle is still there: %v", err)
	}
}

// A package inside a module that uses another package of it, as examples do.
func TestBuildGoPackageWithFiles(t *testing.T) {
	dir := tree(t, map[string]string{
		"go.mod":                   goMod,
		"lib/lib.go":               "package lib\n\nconst Text = \"from lib\\n\"\n",
		"examples/x/main.go":       "package main\n\nimport (\n\t\"os\"\n\n\t\"example.com/shop/hello/v2/lib\"\n)\n\nfunc main() { os.Stdout.WriteString(lib.Text) }\n",
		"examples/x/cocaine.toml":  "run = ['./bin/x', '-v']\n",
		"examples/x/bin/x*":        "stale and no program",
		"examples/x/static/a.html": "a",
		"examples/x/.git/config":   "x",
		"examples/x/a.txt~":        "x",
	})
	b := build(t, detect(t, filepath.Join(dir, "examples/x")))
	if got := list(t, b.Dir); !slices.Equal(got, []string{"bin/x*", "cocaine.toml", "static/a.html"}) {
		t.Errorf("packed %q", got)
	}
	out, err := exec.Command(b.Manifest.Executable(b.Dir)).Output()
	if err != nil || string(out) != "from lib\n" {
		t.Errorf("it says %q, %v", out, err)
	}
}

func TestVendoredSourceIsNotPacked(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "", "go.mod": goMod, "main.go": goMain, "vendor/modules.txt": "", "vendor/LICENSE": "x"})
	b := build(t, detect(t, dir))
	if got := list(t, b.Dir); !slices.Equal(got, []string{"cocaine.toml", "hello*"}) {
		t.Errorf("packed %q", got)
	}
}

func TestCompileErrorsAreShown(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": goMod, "main.go": "package main\n\nfunc main() { undefined() }\n"})
	var out bytes.Buffer
	_, err := source.Build(t.Context(), detect(t, dir), &out)
	failed, ok := errors.AsType[*source.BuildError](err)
	if !ok {
		t.Fatalf("have %T %v", err, err)
	}
	if failed.ExitCode != 1 || failed.Name != "hello" || err.Error() != "cannot build hello: go build: exit status 1" {
		t.Errorf("have %+v: %v", failed, err)
	}
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Error("the cause is lost")
	}
	if !strings.Contains(out.String(), "./main.go:3:15: undefined: undefined") {
		t.Errorf("the compiler's words are %q", out.String())
	}
}

func TestBuildCommand(t *testing.T) {
	dir := tree(t, map[string]string{
		"cocaine.toml": "run = './out/tool'\nbuild = 'mkdir -p out && printf \"#!/bin/sh\\necho $GREETING\\n\" > out/tool && chmod +x out/tool && echo built'\n",
	})
	p := detect(t, dir)
	p.BuildEnv = []string{"GREETING=hi"}
	var out bytes.Buffer
	b, err := source.Build(t.Context(), p, &out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if out.String() != "built\n" {
		t.Errorf("the command says %q", out.String())
	}
	said, err := exec.Command(b.Manifest.Executable(b.Dir)).Output()
	if err != nil || string(said) != "hi\n" {
		t.Errorf("it says %q, %v", said, err)
	}
}

func TestBuildProblems(t *testing.T) {
	for _, c := range []struct {
		name       string
		files      map[string]string
		want, hint string
		exit       int // of a *BuildError, 0 if there is none
	}{
		{"failing command", map[string]string{"cocaine.toml": "run = './x'\nbuild = 'exit 7'\n"}, "cannot build myapp: exit 7: exit status 7", "", 7},
		{"absent command", map[string]string{"cocaine.toml": "run = './x'\nbuild = ['no-such-tool', 'all']\n"}, "no-such-tool", "install no-such-tool", 0},
		{"absent script", map[string]string{"cocaine.toml": "run = './x'\nbuild = ['./no-such-file']\n"}, "cannot build myapp: ./no-such-file: ", "", -1},
		{"nothing built", map[string]string{"cocaine.toml": "run = './x'\nbuild = 'true'\n"}, "its program ./x does not exist", "build = ", 0},
		{"absent program", map[string]string{"cocaine.toml": "run = './x'\n"}, "its program ./x does not exist", "build = ", 0},
		{"program that is none", map[string]string{"cocaine.toml": "run = './x'\n", "x": "text"}, "its program ./x is not executable", "chmod +x ./x", 0},
		{"directory for a program", map[string]string{"cocaine.toml": "run = './x'\n", "x/y": "text"}, "its program ./x is not executable", "chmod +x", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			temp := t.TempDir()
			p := detect(t, tree(t, c.files))
			t.Setenv("TMPDIR", temp)
			_, err := source.Build(t.Context(), p, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(hintOf(err), c.hint) {
				t.Fatalf("have %v, hint %q", err, hintOf(err))
			}
			failed, ok := errors.AsType[*source.BuildError](err)
			if ok != (c.exit != 0) || ok && failed.ExitCode != c.exit {
				t.Errorf("have %#v", err)
			}
			if left := list(t, temp); len(left) > 0 {
				t.Errorf("a failed build leaves %q", left)
			}
		})
	}
}

func TestProgramsElsewhereAreNotLookedFor(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"interpreter": {"cocaine.toml": "run = 'python3 app.py'\n"},
		"absolute":    {"cocaine.toml": "run = '/no/such/program'\n"},
		"image":       {"manifest.json": `{"slave": "./inside"}`, "profile.json": `{"isolate": {"type": "docker"}}`},
	} {
		t.Run(name, func(t *testing.T) { build(t, detect(t, tree(t, files))) })
	}
}

func TestIgnoreFile(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './a'\n", "a*": script, ".cocaineignore": "*.log\n/out/\n", "x.log": "1", "out/y": "1", "sub/out/z": "1"})
	b := build(t, detect(t, dir))
	if got := list(t, b.Dir); !slices.Equal(got, []string{"a*", "cocaine.toml", "sub/out/z"}) {
		t.Errorf("packed %q", got)
	}
}

func TestLonelyProgramIsPackedAlone(t *testing.T) {
	dir := tree(t, map[string]string{"run.sh": script, "other": "x"})
	b := build(t, detect(t, filepath.Join(dir, "run.sh")))
	if got := list(t, b.Dir); !slices.Equal(got, []string{"run.sh*"}) {
		t.Errorf("packed %q", got)
	}
}

func TestLinksAndSocketsInTheSource(t *testing.T) {
	dir := tree(t, map[string]string{"tool*": script, "data/a": "x"})
	if err := os.Symlink("data/a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir) // socket paths are short
	socket, err := net.Listen("unix", "sock")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var out bytes.Buffer
	b, err := source.Build(t.Context(), detect(t, dir), &out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := list(t, b.Dir); !slices.Equal(got, []string{"data/a", "link", "tool*"}) {
		t.Errorf("packed %q", got)
	}
	if target, err := os.Readlink(filepath.Join(b.Dir, "link")); err != nil || target != "data/a" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if !strings.Contains(out.String(), "sock is not packed: it is no file, directory or link") {
		t.Errorf("have %q", out.String())
	}
}

// Stopping a build stops what it started, also what runs in the background.
func TestBuildIsStopped(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './x'\nbuild = 'sleep 1000 > fifo 2>&1 & sleep 1000 > /dev/null'\n"})
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := detect(t, dir)
	done := make(chan error, 1)
	go func() {
		_, err := source.Build(ctx, p, io.Discard)
		done <- err
	}()
	background, err := os.Open(fifo) // waits for the command in the background
	if err != nil {
		t.Fatal(err)
	}
	defer background.Close()
	cancel(stop)
	err = <-done
	failed, ok := errors.AsType[*source.BuildError](err)
	if !ok || !errors.Is(err, stop) || failed.ExitCode != -1 {
		t.Errorf("have %v", err)
	}
	if _, err := background.Read(make([]byte, 1)); err != io.EOF { // when no process holds it any more
		t.Errorf("have %v", err)
	}
}

func TestCopyStopsWithTheContext(t *testing.T) {
	p := detect(t, tree(t, map[string]string{"tool*": script}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.Build(ctx, p, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("have %v", err)
	}
}

func digest(t *testing.T, b *source.Bundle) string {
	t.Helper()
	d, err := b.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDigestNamesContents(t *testing.T) {
	base := map[string]string{"cocaine.toml": "run = './tool'\n", "tool*": script, "data/a": "1"}
	first := digest(t, build(t, detect(t, tree(t, base))))
	if len(first) != 64 {
		t.Errorf("have %q", first)
	}
	if again := digest(t, build(t, detect(t, tree(t, base)))); again != first {
		t.Error("the same files elsewhere have another digest")
	}
	seen := map[string]string{first: "the base"}
	for name, change := range map[string]func(files map[string]string){
		"contents":    func(f map[string]string) { f["data/a"] = "2" },
		"a new file":  func(f map[string]string) { f["data/b"] = "" },
		"a new name":  func(f map[string]string) { delete(f, "data/a"); f["data/b"] = "1" },
		"a mode":      func(f map[string]string) { delete(f, "data/a"); f["data/a*"] = "1" },
		"the command": func(f map[string]string) { f["cocaine.toml"] = "run = ['./tool', 'x']\n" },
		"the pool":    func(f map[string]string) { f["cocaine.toml"] = "run = './tool'\n[pool]\nmax = 3\n" },
	} {
		files := map[string]string{}
		for k, v := range base {
			files[k] = v
		}
		change(files)
		d := digest(t, build(t, detect(t, tree(t, files))))
		if other, ok := seen[d]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[d] = name
	}
}

func TestDigestOfGoProgramsDoesNotDependOnTheBuild(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	first := digest(t, build(t, detect(t, dir)))
	if again := digest(t, build(t, detect(t, dir))); again != first {
		t.Error("the same source built twice has two digests")
	}
}

func TestDigestOfArchive(t *testing.T) {
	dir := tree(t, nil)
	b := build(t, detect(t, tarball(t, filepath.Join(dir, "a.tar"), map[string]string{"manifest.json": `{"slave": "x"}`})))
	first := digest(t, b)
	tarball(t, filepath.Join(dir, "a.tar"), map[string]string{"manifest.json": `{"slave": "x"}`, "more": "x"})
	if digest(t, b) == first {
		t.Error("another archive has the same digest")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Digest(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}
