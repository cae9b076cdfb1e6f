package filestore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/filestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, dir, name, target string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "apps/one", "code")
	write(t, dir, "groups/g", "weights")
	write(t, dir, "groups/untagged", "")
	link(t, dir, "apps/app/one", filepath.Join(dir, "apps/one"))
	link(t, dir, "groups/group/g", "/where/it/once/was/groups/g")
	link(t, dir, "groups/active/g", "storage/groups/g")
	link(t, dir, "groups/active/gone", "/x/groups/gone")
	l, err := open(t, dir).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []filestore.Object{
		{Collection: "apps", Key: "one", Size: 4, Tags: []string{"app"}},
		{Collection: "groups", Key: "g", Size: 7, Tags: []string{"active", "group"}},
		{Collection: "groups", Key: "untagged"},
	}
	if !reflect.DeepEqual(l.Objects, want) || len(l.Problems) > 0 || l.Stale != 1 {
		t.Errorf("have %+v", l)
	}
}

func TestProblems(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	link(t, dir, "away", "/etc")
	write(t, dir, "c/key", "")
	link(t, dir, "c/passwd", "/etc/passwd")
	link(t, dir, "c/tag/key", "/etc/passwd")
	link(t, dir, "c/tag/up", "../../c/up")
	link(t, dir, "c/tag/other", "/x/c/key")
	write(t, dir, "c/tag/below/key", "")
	l, err := open(t, dir).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]error{
		"file": filestore.ErrStray, "away": filestore.ErrLink, "c/passwd": filestore.ErrLink, "c/tag/key": filestore.ErrOutside,
		"c/tag/up": filestore.ErrOutside, "c/tag/other": filestore.ErrOutside, "c/tag/below": filestore.ErrStray,
	}
	for _, p := range l.Problems {
		if want[p.Path] == nil || !errors.Is(p.Err, want[p.Path]) {
			t.Errorf("%s: %v, want %v", p.Path, p.Err, want[p.Path])
		}
		delete(want, p.Path)
	}
	if len(want) > 0 || len(l.Objects) != 1 || l.Objects[0].Tags != nil {
		t.Errorf("not told: %v; objects %v", want, l.Objects)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "c/key", "value")
	link(t, dir, "c/away", "/etc/passwd")
	s := open(t, dir)
	if v, err := s.Read(&filestore.Object{Collection: "c", Key: "key"}, 5); err != nil || string(v) != "value" {
		t.Errorf("%q, %v", v, err)
	}
	for _, c := range []struct {
		key   string
		limit int64
		want  error
	}{{"key", 4, filestore.ErrTooLarge}, {"nosuch", 5, fs.ErrNotExist}, {"away", 1 << 20, nil}, {"../../x", 5, nil}} {
		if v, err := s.Read(&filestore.Object{Collection: "c", Key: c.key}, c.limit); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v, want %v", c.key, v, err, c.want)
		}
	}
	if _, err := filestore.Open(filepath.Join(dir, "nosuch")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
