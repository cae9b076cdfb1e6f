package logging

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestTidy plays housekeeping, which comes once a minute, by hand.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenStore(StoreOptions{Dir: dir, MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	read := func(app string) (got []string) {
		t.Helper()
		for r, err := range s.Tail(t.Context(), []string{app}, Query{Last: -1}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Message)
		}
		return got
	}
	s.Emit(Record{Time: time.Now(), App: "silent", Message: "1"})
	s.Emit(Record{Time: time.Now(), App: "busy", Message: "1"})
	read("silent")
	read("busy")
	l := s.logs([]string{"silent"})[0]

	s.tidy()
	if l.file == nil {
		t.Error("the file of an app that has just spoken is closed")
	}
	s.tidy()
	if l.file != nil {
		t.Error("the file of a silent app stays open")
	}
	if got := read("silent"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("after tidying there are %q", got)
	}

	// A follower sees what the app says before and after its old records go.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	for r, err := range s.Tail(ctx, []string{"silent"}, Query{Last: -1, Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Message)
		if len(got) > 1 {
			break
		}
		l.mu.Lock()
		l.segments[0].last = time.Now().Add(-2 * time.Hour)
		l.mu.Unlock()
		s.tidy()
		if apps := s.Apps(); !slices.Equal(apps, []string{"busy"}) {
			t.Errorf("there are apps %q", apps)
		}
		if _, err := os.Stat(filepath.Join(dir, "silent")); !os.IsNotExist(err) {
			t.Errorf("the directory is still there: %v", err)
		}
		s.Emit(Record{Time: time.Now(), App: "silent", Message: "2"})
	}
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("followed %q", got)
	}

	// In a new life old files go without being read.
	s.Close()
	old := time.Now().Add(-2 * time.Hour)
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*.log"))
	for _, f := range files {
		if err := os.Chtimes(f, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = OpenStore(StoreOptions{Dir: dir, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.tidy()
	if apps := s.Apps(); len(apps) != 0 {
		t.Errorf("there are apps %q", apps)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("there is still %v", files)
	}
}
