package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

func lines(entries []jetstream.LogEntry) []string {
	var s []string
	for _, e := range entries {
		s = append(s, e.Key+" "+string(e.Data))
	}
	return s
}

func TestLog(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	s := open(t, dir)
	l, err := s.Log(ctx, "events", jetstream.LogOptions{MaxPerKey: 5})
	if err != nil {
		t.Fatal(err)
	}
	last := func(pattern string, n int, want ...string) {
		t.Helper()
		got, err := l.Last(ctx, pattern, n)
		if err != nil || !slices.Equal(lines(got), want) {
			t.Errorf("Last(%q, %d) = %q, %v; want %q", pattern, n, lines(got), err, want)
		}
	}
	last(">", 3)
	var sequences []uint64
	for i := range 8 {
		for _, key := range []string{"a", "b"} {
			seq, err := l.Append(ctx, key, fmt.Append(nil, i))
			if err != nil {
				t.Fatal(err)
			}
			sequences = append(sequences, seq)
		}
	}
	last("a", 2, "a 6", "a 7")
	last("a", 100, "a 3", "a 4", "a 5", "a 6", "a 7")
	last(">", 3, "b 6", "a 7", "b 7")
	last("c", 3)
	last("a", 0)

	s.Close()
	s = open(t, dir)
	if l, err = s.Log(ctx, "events", jetstream.LogOptions{MaxPerKey: 2}); err != nil {
		t.Fatal(err)
	}
	last("a", 100, "a 6", "a 7") // the new bound holds
	if _, err := l.Append(ctx, "a.b", nil); err != nil {
		t.Errorf("Append to a key of two tokens: %v", err)
	}
	if _, err := l.Append(ctx, "a.>", nil); err == nil {
		t.Error("Append to a pattern succeeds")
	}

	follow, cancel := context.WithCancel(ctx)
	defer cancel()
	var got []string
	for e, err := range l.Follow(follow, "b", sequences[len(sequences)-3]) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(e.Data))
		switch len(got) {
		case 1, 2:
			if _, err := l.Append(ctx, "b", fmt.Append(nil, "new", len(got))); err != nil {
				t.Fatal(err)
			}
		case 4:
			cancel()
		}
	}
	if want := []string{"6", "7", "new1", "new2"}; !slices.Equal(got, want) {
		t.Errorf("followed %q, want %q", got, want)
	}
	for range l.Follow(follow, "b", 0) {
		t.Error("Follow with an ended context yields something")
	}
	var followErr error
	for _, err := range l.Follow(ctx, "b..", 0) {
		followErr = err
	}
	if followErr == nil {
		t.Error("Follow of a bad pattern has no error")
	}
}

func TestFollowEndsWithTheState(t *testing.T) {
	s := open(t, t.TempDir())
	l, err := s.Log(t.Context(), "events", jetstream.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range l.Follow(t.Context(), ">", 1) {
		if last = err; err == nil {
			go s.Close()
		}
	}
	if !errors.Is(last, jetstream.ErrClosed) {
		t.Errorf("Follow ended with %v", last)
	}
}
