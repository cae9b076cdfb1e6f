package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/cocaine/cocaine-go/internal/source"
)

func watch(t *testing.T, path string) *source.Watcher {
	t.Helper()
	w, err := source.Watch(detect(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// next returns the paths of the next change.
func next(t *testing.T, w *source.Watcher) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	change, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return change.Paths
}

func wantNext(t *testing.T, w *source.Watcher, want ...string) {
	t.Helper()
	if got := next(t, w); !slices.Equal(got, want) {
		t.Errorf("changed are %q, want %q", got, want)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func TestWatchCoalesces(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './a'\n", "sub/old": "1"})
	w := watch(t, dir)
	var want []string
	for i := range 50 {
		name := fmt.Sprintf("sub/f%02d", i)
		put(t, filepath.Join(dir, name), "x")
		want = append(want, name)
	}
	remove(t, filepath.Join(dir, "sub/old"))
	wantNext(t, w, append(want, "sub/old")...)
	put(t, filepath.Join(dir, "a"), "1")
	wantNext(t, w, "a")
}

func TestWatchFollowsNewDirectories(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './a'\n"})
	w := watch(t, dir)
	put(t, filepath.Join(dir, "deep/er/file"), "1") // written before the directory can be watched
	wantNext(t, w, "deep/er/file")
	put(t, filepath.Join(dir, "deep/er/file"), "2")
	wantNext(t, w, "deep/er/file")
	if err := os.Rename(filepath.Join(dir, "deep"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if got := next(t, w); !slices.Contains(got, "moved/er/file") {
		t.Errorf("changed are %q", got)
	}
	put(t, filepath.Join(dir, "moved/er/file"), "3")
	if got := next(t, w); !slices.Contains(got, "moved/er/file") {
		t.Errorf("changed are %q", got)
	}
}

// Each of these is followed by a change that counts; what comes back must be
// that alone.
func TestWatchIgnores(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		touch []string
	}{
		{"tools", map[string]string{"cocaine.toml": "run = './run'\n", ".git/HEAD": "x", "node_modules/a/b": "x"},
			[]string{".git/HEAD", ".git/index", "sub/.git/x", "node_modules/a/b", "__pycache__/a.pyc", ".cocaine/x", ".venv/y", ".idea/z"}},
		{"editors", map[string]string{"cocaine.toml": "run = './run'\n"},
			[]string{"a.go~", ".a.go.swp", ".#a.go", "#a.go#", "4913", ".DS_Store", "a.go___jb_tmp___", ".goutputstream-X"}},
		{"the ignore file", map[string]string{"cocaine.toml": "run = './run'\n", ".cocaineignore": "*.log\nout/\n", "out/old": "x"},
			[]string{"a.log", "out/old", "sub/out/new"}},
		{"a program that is compiled", map[string]string{"go.mod": goMod, "main.go": goMain}, []string{"hello", "main_test.go"}},
		{"a program that is built", map[string]string{"cocaine.toml": "run = './out/x'\nbuild = 'true'\n"}, []string{"out/x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, c.files)
			w := watch(t, dir)
			for _, name := range c.touch {
				put(t, filepath.Join(dir, name), "new")
			}
			put(t, filepath.Join(dir, "real.go"), "package main\n")
			wantNext(t, w, "real.go")
		})
	}
}

func TestWatchIgnoreFile(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './run'\n", ".cocaineignore": "out/\n", "out/x": "1"})
	w := watch(t, dir)
	remove(t, filepath.Join(dir, "out")) // an ignored directory that is gone is no change
	put(t, filepath.Join(dir, ".cocaineignore"), "")
	wantNext(t, w, ".cocaineignore")
}

// A directory may be called like the program.
func TestWatchDirectoryOfTheProgramsName(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": goMod, "main.go": goMain, "hello/lib.go": "package hello\n"})
	w := watch(t, dir)
	put(t, filepath.Join(dir, "hello/lib.go"), "package hello // changed\n")
	wantNext(t, w, "hello/lib.go")
}

// A Go program is watched with the module around it.
func TestWatchModule(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": goMod, "lib/lib.go": "package lib\n", "cmd/x/main.go": goMain})
	w := watch(t, filepath.Join(dir, "cmd/x"))
	put(t, filepath.Join(dir, "lib/lib.go"), "package lib // changed\n")
	wantNext(t, w, "lib/lib.go")
}

// What is written again as it was is no change: a build that generates files
// must not lead to another build.
func TestWatchComparesContents(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './run'\n"})
	w := watch(t, dir)
	put(t, filepath.Join(dir, "gen"), "1")
	wantNext(t, w, "gen")
	put(t, filepath.Join(dir, "gen"), "1")
	put(t, filepath.Join(dir, "other"), "1")
	wantNext(t, w, "other")
	put(t, filepath.Join(dir, "gen"), "2")
	wantNext(t, w, "gen")
	remove(t, filepath.Join(dir, "gen"))
	wantNext(t, w, "gen")
}

// Editors put a new file in the place of the old one.
func TestWatchOneFile(t *testing.T) {
	dir := tree(t, map[string]string{"tool*": script})
	w := watch(t, filepath.Join(dir, "tool"))
	for _, text := range []string{"#!/bin/sh\n# 1\n", "#!/bin/sh\n# 2\n"} {
		put(t, filepath.Join(dir, "unrelated"), text)
		put(t, filepath.Join(dir, ".new*"), text)
		if err := os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, "tool")); err != nil {
			t.Fatal(err)
		}
		wantNext(t, w, "tool")
	}
}

func TestWatchEndlessChanges(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './run'\n"})
	w := watch(t, dir)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				if err := os.WriteFile(filepath.Join(dir, "busy"), fmt.Append(nil, i), 0o600); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	wantNext(t, w, "busy")
	close(stop)
	<-stopped
}

// Changes during a build are not lost.
func TestWatchDuringBuild(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './run'\nbuild = 'echo 1 > edited; echo > run; chmod +x run'\n"})
	p := detect(t, dir)
	w, err := source.Watch(p)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	b, err := source.Build(t.Context(), p, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	wantNext(t, w, "edited")
}

func TestWatchEnds(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './run'\n"})
	w := watch(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := w.Next(context.Background())
		done <- err
	}()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, fsnotify.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWatchNothing(t *testing.T) {
	dir := tree(t, map[string]string{"cocaine.toml": "run = './run'\n"})
	p := detect(t, dir)
	remove(t, dir)
	if _, err := source.Watch(p); err == nil || !strings.HasPrefix(err.Error(), "cannot watch ") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("have %v", err)
	}
}
