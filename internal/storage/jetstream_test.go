package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/storage"
)

func large(fill byte) []byte { return bytes.Repeat([]byte{fill}, 700<<10) }

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	state := openState(t, dir)
	s := openStore(t, state)
	for key, value := range map[string][]byte{"small": []byte("x"), "large": large('x'), "empty": nil} {
		if err := s.Write(t.Context(), "c", key, value, []string{"tag", key}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remove(t.Context(), "c", "empty"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	state.Close()

	s = openStore(t, openState(t, dir))
	if keys, err := s.Find(t.Context(), "c", []string{"tag"}); err != nil || !slices.Equal(keys, []string{"large", "small"}) {
		t.Errorf("find gives %q, %v", keys, err)
	}
	if v, err := s.Read(t.Context(), "c", "large"); err != nil || !bytes.Equal(v, large('x')) {
		t.Errorf("a large value comes back as %d bytes, %v", len(v), err)
	}
}

func TestClosedStore(t *testing.T) {
	for name, end := range map[string]func(*storage.JetStream, *jetstream.State){
		"store": func(s *storage.JetStream, _ *jetstream.State) { s.Close() },
		"state": func(_ *storage.JetStream, state *jetstream.State) { state.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			state := openState(t, t.TempDir())
			s := openStore(t, state)
			if err := s.Write(t.Context(), "c", "k", nil, []string{"t"}); err != nil {
				t.Fatal(err)
			}
			end(s, state)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			// The end reaches the index a moment after the state.
			for {
				_, err := s.Find(ctx, "c", []string{"t"})
				if errors.Is(err, storage.ErrClosed) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Write(ctx, "c", "k", nil, nil); !errors.Is(err, storage.ErrClosed) {
				t.Errorf("write: %v", err)
			}
			if err := s.Write(ctx, "c", "k", large('x'), nil); !errors.Is(err, storage.ErrClosed) {
				t.Errorf("large write: %v", err)
			}
			if err := s.Remove(ctx, "c", "k"); !errors.Is(err, storage.ErrClosed) {
				t.Errorf("remove: %v", err)
			}
		})
	}
}

// blobs opens the bucket in which the store keeps large values.
func blobs(t *testing.T, state *jetstream.State) *jetstream.Blobs {
	t.Helper()
	b, err := state.Blobs(t.Context(), "storage")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func blobNames(t *testing.T, b *jetstream.Blobs) []string {
	t.Helper()
	list, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, info := range list {
		names = append(names, info.Name)
	}
	return names
}

func TestReplacedBlobsAreDeleted(t *testing.T) {
	state := openState(t, t.TempDir())
	s := openStore(t, state)
	b := blobs(t, state)
	for _, step := range []struct {
		do   func() error
		left int
	}{
		{func() error { return s.Write(t.Context(), "c", "k", large('1'), nil) }, 1},
		{func() error { return s.Write(t.Context(), "c", "k", large('2'), nil) }, 1},
		{func() error { return s.Write(t.Context(), "c", "other", large('3'), nil) }, 2},
		{func() error { return s.Write(t.Context(), "c", "k", nil, nil) }, 1},
		{func() error { return s.Remove(t.Context(), "c", "other") }, 0},
		{func() error {
			tags := make([]string, 600) // whose record does not fit
			for i := range tags {
				tags[i] = fmt.Sprintf("%0512d", i)
			}
			if err := s.Write(t.Context(), "c", "k", large('4'), tags); !errors.Is(err, storage.ErrTooLarge) {
				return fmt.Errorf("write of too many tags: %w", err)
			}
			return nil
		}, 0},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if names := blobNames(t, b); len(names) != step.left {
			t.Errorf("there are blobs %q, want %d", names, step.left)
		}
	}
}

func TestOrphansAreCollected(t *testing.T) {
	dir := t.TempDir()
	state := openState(t, dir)
	s := openStore(t, state)
	if err := s.Write(t.Context(), "c", "k", large('1'), nil); err != nil {
		t.Fatal(err)
	}
	kept := blobNames(t, blobs(t, state))
	for _, name := range []string{"orphan", "17f-orphan"} {
		if _, err := blobs(t, state).Put(t.Context(), name, bytes.NewReader(large('2'))); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	state.Close()
	state = openState(t, dir)
	s = openStore(t, state)
	if names := blobNames(t, blobs(t, state)); !slices.Equal(names, kept) {
		t.Errorf("there are blobs %q, want %q", names, kept)
	}
	if v, err := s.Read(t.Context(), "c", "k"); err != nil || !bytes.Equal(v, large('1')) {
		t.Errorf("a value in use comes back as %d bytes, %v", len(v), err)
	}
}

func TestLostBlobIsAnErrorOfItsOwn(t *testing.T) {
	state := openState(t, t.TempDir())
	s := openStore(t, state)
	if err := s.Write(t.Context(), "c", "k", large('1'), []string{"t"}); err != nil {
		t.Fatal(err)
	}
	b := blobs(t, state)
	for _, name := range blobNames(t, b) {
		if err := b.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Read(t.Context(), "c", "k"); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("read of a value whose blob is gone: %v", err)
	}
	if err := s.Write(t.Context(), "c", "k", large('2'), nil); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Read(t.Context(), "c", "k"); err != nil || !bytes.Equal(v, large('2')) {
		t.Errorf("after a rewrite: %d bytes, %v", len(v), err)
	}
}

func TestForeignRecord(t *testing.T) {
	state := openState(t, t.TempDir())
	s := openStore(t, state)
	kv, err := state.KV(t.Context(), "storage", jetstream.KVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"c.k", "one-token", "c.k.more"} {
		if _, err := kv.Put(t.Context(), key, []byte("?"), jetstream.WriteOptions{Meta: "rubbish"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Read(t.Context(), "c", "k"); !errors.Is(err, storage.ErrDamaged) || !strings.HasPrefix(err.Error(), "cannot read c/k: ") {
		t.Errorf("read of a record that is not ours: %v", err)
	}
	if err := s.Write(t.Context(), "c", "k", []byte("v"), []string{"t"}); err != nil {
		t.Fatal(err)
	}
	if keys, err := s.Find(t.Context(), "c", []string{"t"}); err != nil || len(keys) != 1 {
		t.Errorf("find gives %q, %v", keys, err)
	}
}

// TestTwoRuntimes: two processes on one external engine see each other's writes.
func TestTwoRuntimes(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the external engine does not start")
	}
	var stores [2]*storage.JetStream
	for i := range stores {
		state, err := jetstream.Open(t.Context(), jetstream.Options{URL: srv.ClientURL()})
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		stores[i] = openStore(t, state)
		defer stores[i].Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, len(stores))
	for i, s := range stores {
		go func() {
			for n := range 20 {
				if err := s.Write(ctx, "c", "k", large(byte(i)), []string{fmt.Sprintf("%d.%d", i, n)}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range stores {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for i := range stores {
		for n := range 20 {
			// The other's index is not waited for, so this may take a moment.
			for {
				keys, err := stores[1-i].Find(ctx, "c", []string{fmt.Sprintf("%d.%d", i, n)})
				if err != nil {
					t.Fatal(err)
				}
				if len(keys) == 1 {
					break
				}
			}
		}
	}
	if v, err := stores[0].Read(ctx, "c", "k"); err != nil || !bytes.Equal(v, large(v[0])) {
		t.Errorf("value of %d bytes, %v", len(v), err)
	}
}
