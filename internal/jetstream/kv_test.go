package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/jetstream"
)

const testTimeout = 20 * time.Second

func TestKV(t *testing.T) {
	ctx := t.Context()
	kv := openKV(t, open(t, t.TempDir()))
	none := jetstream.WriteOptions{}

	if _, err := kv.Get(ctx, "a"); !errors.Is(err, jetstream.ErrNotFound) || err.Error() != "cannot read things/a: file does not exist" {
		t.Errorf("Get of a missing key: %v", err)
	}
	first, err := kv.Create(ctx, "a", []byte("1"), jetstream.WriteOptions{Meta: "m 1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Create(ctx, "a", []byte("2"), none); !errors.Is(err, jetstream.ErrExists) {
		t.Errorf("Create of a key that exists: %v", err)
	}
	e, err := kv.Get(ctx, "a")
	if err != nil || string(e.Value) != "1" || e.Meta != "m 1" || e.Revision != first || e.Key != "a" || time.Since(e.Time) > time.Minute {
		t.Errorf("Get: %+v, %v", e, err)
	}
	second, err := kv.Update(ctx, "a", []byte("2"), first, none)
	if err != nil || second <= first {
		t.Fatalf("Update: revision %d after %d, %v", second, first, err)
	}
	if _, err := kv.Update(ctx, "a", []byte("3"), first, none); !errors.Is(err, jetstream.ErrConflict) {
		t.Errorf("Update of an old revision: %v", err)
	}
	if _, err := kv.Delete(ctx, "a", first); !errors.Is(err, jetstream.ErrConflict) {
		t.Errorf("Delete of an old revision: %v", err)
	}
	if _, err := kv.Delete(ctx, "a", second); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := kv.Get(ctx, "a"); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("Get of a deleted key: %v", err)
	}
	if _, err := kv.Delete(ctx, "a", 0); err != nil {
		t.Errorf("Delete of a deleted key: %v", err)
	}
	if _, err := kv.Delete(ctx, "never", 0); err != nil {
		t.Errorf("Delete of a key that never was: %v", err)
	}
	if _, err := kv.Create(ctx, "a", []byte("again"), none); err != nil {
		t.Errorf("Create of a deleted key: %v", err)
	}
	if _, err := kv.Put(ctx, "b.c", nil, none); err != nil {
		t.Errorf("Put: %v", err)
	}
	if e, err := kv.Get(ctx, "b.c"); err != nil || len(e.Value) != 0 {
		t.Errorf("Get of an empty value: %+v, %v", e, err)
	}
	for pattern, want := range map[string][]string{">": {"a", "b.c"}, "*": {"a"}, "b.>": {"b.c"}, "b.*": {"b.c"}, "c.>": nil, "a": {"a"}} {
		keys, err := kv.Keys(ctx, pattern)
		slices.Sort(keys)
		if err != nil || !slices.Equal(keys, want) {
			t.Errorf("Keys(%q) = %q, %v; want %q", pattern, keys, err, want)
		}
	}
}

func TestKVRefusesKeysThatAreNotEncoded(t *testing.T) {
	kv := openKV(t, open(t, t.TempDir()))
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "a b", "*", "a.>", ">", "a\r\n", "ä"} {
		if _, err := kv.Put(t.Context(), key, nil, jetstream.WriteOptions{}); err == nil {
			t.Errorf("Put(%q) succeeds", key)
		}
		if _, err := kv.Get(t.Context(), key); err == nil || errors.Is(err, jetstream.ErrNotFound) {
			t.Errorf("Get(%q): %v", key, err)
		}
	}
	for _, pattern := range []string{"", "a.", "a.>.b", ">.a", "a b", "**"} {
		if _, err := kv.Watch(t.Context(), pattern, jetstream.WatchOptions{}); err == nil {
			t.Errorf("Watch(%q) succeeds", pattern)
		}
	}
}

func TestCreateIsExclusive(t *testing.T) {
	kv := openKV(t, open(t, t.TempDir()))
	for round := range 10 {
		var won sync.Map
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				_, err := kv.Create(t.Context(), "lock", []byte{byte(i)}, jetstream.WriteOptions{})
				if err == nil {
					won.Store(i, true)
				} else if !errors.Is(err, jetstream.ErrExists) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		won.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Fatalf("round %d: %d creators won", round, n)
		}
		if _, err := kv.Delete(t.Context(), "lock", 0); err != nil {
			t.Fatal(err)
		}
	}
}

func next(t *testing.T, w *jetstream.Watcher) jetstream.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	e, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func describe(e jetstream.Event) string {
	return fmt.Sprintf("%s=%s meta=%s deleted=%v synced=%v", e.Key, e.Value, e.Meta, e.Deleted, e.Synced)
}

func TestWatch(t *testing.T) {
	ctx := t.Context()
	kv := openKV(t, open(t, t.TempDir()))
	put := func(key, value string) {
		t.Helper()
		if _, err := kv.Put(ctx, key, []byte(value), jetstream.WriteOptions{Meta: "of-" + value}); err != nil {
			t.Fatal(err)
		}
	}
	watch := func(pattern string, o jetstream.WatchOptions) *jetstream.Watcher {
		t.Helper()
		w, err := kv.Watch(ctx, pattern, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
		return w
	}
	want := func(w *jetstream.Watcher, events ...string) {
		t.Helper()
		for _, want := range events {
			if got := describe(next(t, w)); got != want {
				t.Errorf("event %q, want %q", got, want)
			}
		}
	}
	synced := describe(jetstream.Event{Synced: true})

	empty := watch(">", jetstream.WatchOptions{})
	want(empty, synced)
	put("a.x", "1")
	want(empty, "a.x=1 meta=of-1 deleted=false synced=false")
	put("a.x", "2")
	want(empty, "a.x=2 meta=of-2 deleted=false synced=false")
	put("b.x", "3")
	put("gone", "4")
	if _, err := kv.Delete(ctx, "gone", 0); err != nil {
		t.Fatal(err)
	}

	all := watch(">", jetstream.WatchOptions{})
	some := watch("a.>", jetstream.WatchOptions{KeysOnly: true})
	later := watch(">", jetstream.WatchOptions{UpdatesOnly: true})
	want(all, "a.x=2 meta=of-2 deleted=false synced=false", "b.x=3 meta=of-3 deleted=false synced=false", "gone= meta= deleted=true synced=false", synced)
	want(some, "a.x= meta=of-2 deleted=false synced=false", synced)
	put("b.x", "5")
	put("a.y", "6")
	want(all, "b.x=5 meta=of-5 deleted=false synced=false", "a.y=6 meta=of-6 deleted=false synced=false")
	want(some, "a.y= meta=of-6 deleted=false synced=false")
	want(later, "b.x=5 meta=of-5 deleted=false synced=false")

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := some.Next(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("Next with an ended context: %v", err)
	}
	put("a.z", "7")
	want(some, "a.z= meta=of-7 deleted=false synced=false") // the watch went on
	some.Stop()
	if _, err := some.Next(ctx); !errors.Is(err, jetstream.ErrClosed) {
		t.Errorf("Next after Stop: %v", err)
	}
	if _, err := kv.Watch(canceled, ">", jetstream.WatchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch with an ended context: %v", err)
	}
}

func TestKeysExpire(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a real second")
	}
	ctx := t.Context()
	dir := t.TempDir()
	s := open(t, dir)
	kv := openKV(t, s)
	if !kv.SupportsTTL() {
		t.Fatal("our own engine does not support expiry")
	}
	for _, key := range []string{"refreshed", "short"} {
		if _, err := kv.Put(ctx, key, nil, jetstream.WriteOptions{TTL: time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kv.Put(ctx, "refreshed", nil, jetstream.WriteOptions{TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	s.Close() // expiry must outlive a restart
	kv = openKV(t, open(t, dir))
	w, err := kv.Watch(ctx, ">", jetstream.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for {
		if e := next(t, w); e.Deleted {
			if e.Key != "short" {
				t.Errorf("key %s expired", e.Key)
			}
			break
		}
	}
	if _, err := kv.Get(ctx, "short"); !errors.Is(err, jetstream.ErrNotFound) {
		t.Errorf("Get of an expired key: %v", err)
	}
	if _, err := kv.Get(ctx, "refreshed"); err != nil {
		t.Error(err)
	}
	if _, err := kv.Create(ctx, "short", nil, jetstream.WriteOptions{}); err != nil {
		t.Errorf("Create of an expired key: %v", err)
	}
}

func TestEncodeKey(t *testing.T) {
	for text, want := range map[string]string{
		"":              "=",
		"app_v1-2":      "app_v1-2",
		"a.b":           "a=2Eb",
		"*":             "=2A",
		"=":             "=3D",
		"группа":        "=D0=B3=D1=80=D1=83=D0=BF=D0=BF=D0=B0",
		"\x00\xff /":    "=00=FF=20=2F",
		"1390:f0-12:ab": "1390=3Af0-12=3Aab",
	} {
		got := jetstream.EncodeKey(text)
		if got != want {
			t.Errorf("EncodeKey(%q) = %q, want %q", text, got, want)
		}
		if back, err := jetstream.DecodeKey(got); err != nil || back != text {
			t.Errorf("DecodeKey(%q) = %q, %v", got, back, err)
		}
	}
	for _, bad := range []string{"", "a.b", "=2", "=2e", "=zz", "a=", "=61", "==", " "} {
		if text, err := jetstream.DecodeKey(bad); err == nil {
			t.Errorf("DecodeKey(%q) = %q", bad, text)
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"", "a", "a.b", "=41", "==", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if back, err := jetstream.DecodeKey(jetstream.EncodeKey(s)); err != nil || back != s {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
		if text, err := jetstream.DecodeKey(s); err == nil && jetstream.EncodeKey(text) != s {
			t.Errorf("%q decodes to %q, whose token is %q", s, text, jetstream.EncodeKey(text))
		}
	})
}
