package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/archive"
)

func pack(t testing.TB, dir string, o archive.PackOptions) ([]byte, archive.Summary) {
	t.Helper()
	var buf bytes.Buffer
	summary, err := archive.Pack(t.Context(), &buf, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), summary
}

// repacked packs a directory, unpacks the result and tells what is in it.
func repacked(t testing.TB, dir string, o archive.PackOptions) map[string]string {
	t.Helper()
	data, _ := pack(t, dir, o)
	dst, _, err := unpack(t, data, archive.UnpackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return read(t, dst)
}

var source = map[string]string{
	"cocaine.toml": "name = 'hello'\n", "bin/": "", "bin/worker": "#!/bin/sh\n", "lib/a/b.py": "b", "lib/a.py": "a",
	"current": "->bin/worker", "lib/up": "->../bin", "empty/": "",
}

func TestPackKeepsTheSource(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, source)
	want := maps.Clone(source)
	want["lib/"], want["lib/a/"] = "", ""
	if got := repacked(t, dir, archive.PackOptions{}); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The same source, written in another order, at another time, with other modes
// that mean the same, by way of another path, gives the same bytes.
func TestPackIsDeterministic(t *testing.T) {
	var archives [][]byte
	for i := range 3 {
		dir := filepath.Join(t.TempDir(), string(rune('a'+i)))
		write(t, dir, source) // in the map's random order
		for name := range source {
			if name == "current" || name == "lib/up" {
				continue
			}
			when := time.Unix(int64(1e9+i*1e6), 0)
			if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
				t.Fatal(err)
			}
		}
		os.Chmod(filepath.Join(dir, "bin/worker"), []os.FileMode{0o755, 0o700, 0o711}[i])
		os.Chmod(filepath.Join(dir, "cocaine.toml"), []os.FileMode{0o644, 0o600, 0o664}[i])
		data, summary := pack(t, dir, archive.PackOptions{})
		sum := sha256.Sum256(data)
		if summary.Digest != hex.EncodeToString(sum[:]) || summary.Size != int64(len(data)) {
			t.Errorf("summary %+v does not describe the archive", summary)
		}
		archives = append(archives, data)
	}
	if !bytes.Equal(archives[0], archives[1]) || !bytes.Equal(archives[0], archives[2]) {
		t.Error("archives differ")
	}

	changed := t.TempDir()
	write(t, changed, source)
	if err := os.Chmod(filepath.Join(changed, "cocaine.toml"), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(changed, "bin/worker"), 0o755)
	if data, _ := pack(t, changed, archive.PackOptions{}); bytes.Equal(data, archives[0]) {
		t.Error("an executable bit makes no difference")
	}
}

func TestPackIgnores(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		".git/HEAD": "", ".cocaine/state": "", "sub/.git": "gitdir: ..", ".cocaineignore": "*.pyc\n/build/\n!keep.pyc\n",
		"a.pyc": "", "keep.pyc": "", "sub/b.pyc": "", "build/out": "", "sub/build/in": "", "main.py": "",
	})
	got := slices.Sorted(maps.Keys(repacked(t, dir, archive.PackOptions{})))
	want := []string{"keep.pyc", "main.py", "sub/", "sub/build/", "sub/build/in"}
	if !slices.Equal(got, want) {
		t.Errorf("packed %v, want %v", got, want)
	}
}

func TestPackOnlySomeFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, source)
	o := archive.PackOptions{Files: []string{"lib/a", "./bin/worker", "bin/worker", "lib/a/b.py"}}
	got := slices.Sorted(maps.Keys(repacked(t, dir, o)))
	if want := []string{"bin/", "bin/worker", "lib/", "lib/a/", "lib/a/b.py"}; !slices.Equal(got, want) {
		t.Errorf("packed %v, want %v", got, want)
	}
	for _, name := range []string{"../x", "/etc/passwd", "missing"} {
		_, err := archive.Pack(t.Context(), io.Discard, dir, archive.PackOptions{Files: []string{name}})
		if entry, ok := errors.AsType[*archive.EntryError](err); !ok || entry.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What Unpack would refuse, Pack refuses: the developer learns it, not the node.
func TestPackRefusesLinksOutside(t *testing.T) {
	base := t.TempDir()
	write(t, base, map[string]string{"secret": "!"})
	for i, files := range []map[string]string{
		{"l": "->/etc/passwd"},
		{"l": "->../secret"},
		{"a/b/l": "->s/../secret", "a/b/s": "->../.."},
	} {
		dir := filepath.Join(base, string(rune('a'+i)))
		write(t, dir, files)
		_, err := archive.Pack(t.Context(), io.Discard, dir, archive.PackOptions{})
		entry, ok := errors.AsType[*archive.EntryError](err)
		if !errors.Is(err, archive.ErrLink) || !ok || filepath.Base(entry.Name) != "l" || entry.Link == "" {
			t.Errorf("%v: got %v", files, err)
		}
	}
}

func TestPackSkipsSockets(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"main.py": ""})
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, summary := pack(t, dir, archive.PackOptions{}); !slices.Equal(summary.Skipped, []string{"sock"}) || summary.Files != 1 {
		t.Errorf("summary %+v", summary)
	}
}

func TestPackLimitsAndCancel(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "12345", "b": "12345"})
	tests := map[string]struct {
		limits archive.Limits
		want   error
	}{
		"files": {archive.Limits{MaxFiles: 1}, archive.ErrTooManyFiles},
		"bytes": {archive.Limits{MaxBytes: 9}, archive.ErrTooLarge},
		"fits":  {archive.Limits{MaxBytes: 10, MaxFiles: 2}, nil},
	}
	for name, tt := range tests {
		if _, err := archive.Pack(t.Context(), io.Discard, dir, archive.PackOptions{Limits: tt.limits}); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := archive.Pack(ctx, io.Discard, dir, archive.PackOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestPackTellsProgress(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"b": "12", "a": "345"})
	var names []string
	var last archive.Progress
	pack(t, dir, archive.PackOptions{Progress: func(p archive.Progress) { names, last = append(names, p.Name), p }})
	if !slices.Equal(names, []string{"a", "b"}) || last.Bytes != 5 || last.Files != 2 {
		t.Errorf("names %v, last %+v", names, last)
	}
}

func TestPackReportsTheWriter(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, source)
	full := errors.New("disk full")
	if _, err := archive.Pack(t.Context(), failing{full}, dir, archive.PackOptions{}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestIgnore(t *testing.T) {
	tests := []struct {
		rules string
		name  string
		dir   bool
		want  bool
	}{
		{"*.log", "a.log", false, true},
		{"*.log", "deep/a.log", false, true},
		{"*.log", "a.logs", false, false},
		{"/a.log", "a.log", false, true},
		{"/a.log", "deep/a.log", false, false},
		{"build/", "build", true, true},
		{"build/", "build", false, false},
		{"build/", "deep/build", true, true},
		{"deep/build", "deep/build", false, true},
		{"deep/build", "x/deep/build", false, false},
		{"**/x", "x", false, true},
		{"**/x", "a/b/x", false, true},
		{"a/**", "a", true, false},
		{"a/**", "a/b", false, true},
		{"a/**", "a/b/c", false, true},
		{"a/**/z", "a/z", false, true},
		{"a/**/z", "a/b/c/z", false, true},
		{"a/**/z", "a/b/c", false, false},
		{"a?c", "abc", false, true},
		{"[ab].c", "b.c", false, true},
		{"[!ab].c", "b.c", false, false},
		{"[!ab].c", "c.c", false, true},
		{"*.o\n!keep.o", "keep.o", false, false},
		{"!keep.o\n*.o", "keep.o", false, true},
		{"# comment\n\n  \n*.o", "x.o", false, true},
		{`\#x`, "#x", false, true},
		{`\!x`, "!x", false, true},
		{"x  ", "x", false, true},
		{"/", "x", false, false},
		{"", ".git", true, true},
		{"", ".gitignore", false, false},
		{"", "deep/.git", true, true},
		{"!.git", ".git", true, true},
	}
	for _, tt := range tests {
		ig, err := archive.ParseIgnore([]byte(tt.rules))
		if err != nil {
			t.Errorf("%q: %v", tt.rules, err)
			continue
		}
		if got := ig.Match(tt.name, tt.dir); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v", tt.rules, tt.name, got, tt.want)
		}
	}
	if _, err := archive.ParseIgnore([]byte("ok\n[bad")); err == nil || err.Error() != `cannot read .cocaineignore line 2: pattern "[bad": syntax error in pattern` {
		t.Errorf("bad pattern: %v", err)
	}
}

func FuzzIgnore(f *testing.F) {
	f.Add("*.log\n!/keep\na/**/b/\n", "a/x/b")
	f.Add("**/**/**/**/x", "a/a/a/a/a/a/a")
	f.Fuzz(func(t *testing.T, rules, name string) {
		ig, err := archive.ParseIgnore([]byte(rules))
		if err != nil {
			return
		}
		ig.Match(name, true)
		ig.Match(name, false)
	})
}
