package unicorn_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/unicorn"
	"github.com/cocaine/cocaine-go/internal/unicorn/unicorntest"
)

const patience = 30 * time.Second

// text encodes a short string.
func text(s string) []byte { return append([]byte{0xa0 | byte(len(s))}, s...) }

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s does not happen", what)
	}
}

func wantNode(t *testing.T, s unicorn.Store, path string, value []byte, version int64) {
	t.Helper()
	v, err := s.Get(t.Context(), path)
	if err != nil || !bytes.Equal(v.Value, value) || v.Version != version {
		t.Errorf("%s is %q, version %d, %v; want %q, version %d", path, v.Value, v.Version, err, value, version)
	}
}

func childrenOf(t *testing.T, s unicorn.Store, path string) unicorn.Children {
	t.Helper()
	w, err := s.SubscribeChildren(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reopen ends a store and its engine, and opens both again.
func reopen(t *testing.T, dir string, state *jetstream.State, s *unicorn.JetStream) (*jetstream.State, *unicorn.JetStream) {
	t.Helper()
	s.Close()
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	state = openState(t, dir)
	return state, openStore(t, state)
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	state := openState(t, dir)
	s := openStore(t, state)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Create(ctx, "/p/a", text("v")))
	must(s.Create(ctx, "/p/b", text("gone")))
	_, _, err := s.Put(ctx, "/p/a", text("w"), 0)
	must(err)
	must(s.Del(ctx, "/p/b", 0))
	before := childrenOf(t, s, "/p")
	held, err := s.Hold(ctx, "/nodes/me", text("x"))
	must(err)
	lock, err := s.Lock(ctx, "/l", text("x"))
	must(err)
	waiting, err := s.Lock(ctx, "/l", text("y"))
	must(err)
	watch, err := s.Subscribe("/p/a")
	must(err)

	state, s = reopen(t, dir, state, s)
	for _, h := range []*unicorn.Held{held, lock, waiting} {
		await(t, h.Lost(), "loss")
		if !errors.Is(h.Err(), unicorn.ErrClosed) {
			t.Errorf("%s is lost with %v", h.Path(), h.Err())
		}
		must(h.Release(ctx))
	}
	if _, err := watch.Next(ctx); !errors.Is(err, unicorn.ErrClosed) {
		t.Errorf("the watch ends with %v", err)
	}
	wantNode(t, s, "/p/a", text("w"), 1)
	wantNode(t, s, "/p/b", nil, unicorn.NoVersion)
	wantNode(t, s, "/nodes/me", nil, unicorn.NoVersion)
	if c := childrenOf(t, s, "/l"); len(c.Names) > 0 {
		t.Errorf("members of a lock have survived: %q", c.Names)
	}
	after := childrenOf(t, s, "/p")
	if !slices.Equal(after.Names, []string{"a"}) || after.Version != before.Version {
		t.Errorf("children are %v, and were %v", after, before)
	}
	again, err := s.Lock(ctx, "/l", text("z"))
	must(err)
	await(t, again.Acquired(), "lock")
	ok, _, err := s.Put(ctx, "/p/a", text("x"), 1)
	must(err)
	if !ok {
		t.Error("a put over the version of before the restart is refused")
	}
	// Operations after the end.
	s.Close()
	s.Close()
	if err := s.Create(ctx, "/late", text("x")); !errors.Is(err, unicorn.ErrClosed) {
		t.Errorf("create after close fails with %v", err)
	}
	must(state.Close())
}

// TestEngineGoes: when the engine ends first, everything that depends on it does.
func TestEngineGoes(t *testing.T) {
	state := openState(t, t.TempDir())
	s := openStore(t, state)
	w, err := s.Subscribe("/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := s.Lock(t.Context(), "/l", text("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, h.Lost(), "loss")
	if _, err := w.Next(t.Context()); !errors.Is(err, unicorn.ErrClosed) {
		t.Errorf("the watch ends with %v", err)
	}
	if err := s.Create(t.Context(), "/a", text("x")); !errors.Is(err, unicorn.ErrClosed) {
		t.Errorf("create fails with %v", err)
	}
	if _, err := s.Get(t.Context(), "/a"); !errors.Is(err, unicorn.ErrClosed) {
		t.Errorf("get fails with %v", err)
	}
}

// TestDamagedRecords: what cannot be read can be removed, and harms nothing else.
func TestDamagedRecords(t *testing.T) {
	state := openState(t, t.TempDir())
	kv, err := state.KV(t.Context(), "unicorn", jetstream.KVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	metas := []string{"", "1", "2 0", "1 x", "1 -1", "1 0 held o", "1 0 odd o 1", "1 0 held o x", "1 0 held o 1 1",
		"2 0 0 0", "2 0 0 0 x", "2 -1 0 0 0", "2 18446744073709551615 0 0 0", "2 0 0 0 0 held", "2 0 0 0 0 odd o", "3 0 0 0 0"}
	for i, meta := range metas {
		if _, err := kv.Put(t.Context(), fmt.Sprintf("m%d", i), []byte{1}, jetstream.WriteOptions{Meta: meta}); err != nil {
			t.Fatal(err)
		}
	}
	for i, value := range [][]byte{{0xc1}, {1, 2}, {0xa5, 'x'}} {
		if _, err := kv.Put(t.Context(), fmt.Sprintf("m%d", len(metas)+i), value, jetstream.WriteOptions{Meta: "1 0"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"=2E=2E.x", "=2F", "="} { // no paths
		if _, err := kv.Put(t.Context(), key, []byte{1}, jetstream.WriteOptions{Meta: "1 0"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kv.Put(t.Context(), "orphan.child", []byte{1}, jetstream.WriteOptions{Meta: "1 3"}); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, state)
	for i := range len(metas) + 3 {
		path := fmt.Sprintf("/m%d", i)
		if _, err := s.Get(t.Context(), path); !errors.Is(err, unicorn.ErrDamaged) {
			t.Errorf("get of %s: %v", path, err)
		}
		if _, err := s.Subscribe(path); !errors.Is(err, unicorn.ErrDamaged) {
			t.Errorf("subscribe to %s: %v", path, err)
		}
		if _, _, err := s.Put(t.Context(), path, text("x"), 0); !errors.Is(err, unicorn.ErrDamaged) {
			t.Errorf("put to %s: %v", path, err)
		}
		if err := s.Create(t.Context(), path, text("x")); !errors.Is(err, unicorn.ErrNodeExists) {
			t.Errorf("create of %s: %v", path, err)
		}
		if err := s.Del(t.Context(), path, unicorn.AnyVersion); err != nil {
			t.Error(err)
		}
		if err := s.Create(t.Context(), path, text("x")); err != nil {
			t.Error(err)
		}
	}
	// A node whose parent has no record has a parent all the same, until it goes.
	wantNode(t, s, "/orphan/child", []byte{1}, 3)
	if _, err := s.Get(t.Context(), "/orphan"); !errors.Is(err, unicorn.ErrHasChildren) {
		t.Errorf("get of a parent without a record: %v", err)
	}
	ok, _, err := s.Put(t.Context(), "/orphan", text("x"), 0)
	if err != nil || !ok {
		t.Errorf("put to a parent without a record: %v, %v", ok, err)
	}
	if err := s.Del(t.Context(), "/orphan/child", 3); err != nil {
		t.Error(err)
	}
	wantNode(t, s, "/orphan", text("x"), 1)
}

// TestOrphans: what the engine has kept although its maker was told of a failure must
// not block a lock for ever.
func TestOrphans(t *testing.T) {
	state := openState(t, t.TempDir())
	s := openStore(t, state)
	kv, err := state.KV(t.Context(), "unicorn", jetstream.KVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		key := fmt.Sprintf("l.lock%010d", i)
		if _, err := kv.Put(t.Context(), key, []byte{1}, jetstream.WriteOptions{Meta: "1 0 queued local.nobody 0"}); err != nil {
			t.Fatal(err)
		}
	}
	h, err := s.Lock(t.Context(), "/l", text("x"))
	if err != nil {
		t.Fatal(err)
	}
	await(t, h.Acquired(), "lock")
	if err := h.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func openShared(t testing.TB, state *jetstream.State) *unicorn.JetStream {
	t.Helper()
	s, err := unicorn.OpenShared(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestShared: a store that is not alone does what every store must, beside another.
func TestShared(t *testing.T) {
	unicorntest.Run(t, func(t *testing.T) unicorn.Store {
		state := openState(t, t.TempDir())
		openShared(t, state)
		return openShared(t, state)
	})
}

// TestTwoRuntimes: what one does, the other sees, and none undoes the other's work.
func TestTwoRuntimes(t *testing.T) {
	state := openState(t, t.TempDir())
	stores := []*unicorn.JetStream{openShared(t, state), openShared(t, state)}
	if err := stores[0].Create(t.Context(), "/n", []byte{0}); err != nil {
		t.Fatal(err)
	}
	awaitVersion(t, stores[1], "/n", 0)
	const writers, times = 4, 10
	var wg sync.WaitGroup
	for i := range writers {
		s := stores[i%2]
		wg.Go(func() {
			for range times {
				if _, err := s.Increment(t.Context(), "/n", []byte{1}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for done := 0; done < times; {
				v, err := s.Get(t.Context(), "/n")
				if err != nil {
					t.Error(err)
					return
				}
				ok, _, err := s.Put(t.Context(), "/n", []byte{v.Value[0] + 1}, v.Version)
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					done++
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		awaitVersion(t, s, "/n", 2*writers*times)
		wantNode(t, s, "/n", []byte{2 * writers * times}, 2*writers*times)
	}
}

// awaitVersion waits until a store shows a version of a node, which another writes.
func awaitVersion(t *testing.T, s unicorn.Store, path string, version int64) {
	t.Helper()
	w, err := s.Subscribe(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for {
		v, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if v.Version >= version {
			return
		}
	}
}

// TestLockBetweenRuntimes: there is one queue.
func TestLockBetweenRuntimes(t *testing.T) {
	state := openState(t, t.TempDir())
	a, b := openShared(t, state), openShared(t, state)
	var queue []*unicorn.Held
	for _, s := range []*unicorn.JetStream{a, b, b, a, b} {
		h, err := s.Lock(t.Context(), "/l", text("x"))
		if err != nil {
			t.Fatal(err)
		}
		queue = append(queue, h)
	}
	for i, h := range queue {
		await(t, h.Acquired(), "turn")
		for _, later := range queue[i+1:] {
			select {
			case <-later.Acquired():
				t.Fatalf("two hold the lock in turn %d", i)
			default:
			}
		}
		if err := h.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestLostRuntime: what a runtime held that gives no signs of life goes to the others,
// and it is told.
func TestLostRuntime(t *testing.T) {
	state := openState(t, t.TempDir())
	a, b := openShared(t, state), openShared(t, state)
	first, err := a.Lock(t.Context(), "/l", text("a"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Lock(t.Context(), "/l", text("b"))
	if err != nil {
		t.Fatal(err)
	}
	await(t, first.Acquired(), "lock")
	b.Beat(t.Context()) // everybody is alive: nothing happens
	if err := a.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Beat(t.Context())
	await(t, second.Acquired(), "lock of the other")
	await(t, first.Lost(), "loss")
	a.Beat(t.Context()) // it notices that its session is gone
	if _, err := a.Lock(t.Context(), "/l2", text("a")); !errors.Is(err, unicorn.ErrClosed) {
		t.Errorf("a lock without a session: %v", err)
	}
	a.Beat(t.Context()) // it has a new one
	third, err := a.Lock(t.Context(), "/l", text("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
	await(t, third.Acquired(), "lock again")
	// A runtime that ends gives up what it holds at once.
	fourth, err := b.Lock(t.Context(), "/l", text("b"))
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	await(t, fourth.Acquired(), "lock of the other again")
}

// TestExpiredRuntimeIsTold: also before anybody else has noticed.
func TestExpiredRuntimeIsTold(t *testing.T) {
	state := openState(t, t.TempDir())
	a := openShared(t, state)
	h, err := a.Hold(t.Context(), "/a", text("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Beat(t.Context())
	await(t, h.Lost(), "loss")
	if !errors.Is(h.Err(), unicorn.ErrClosed) {
		t.Errorf("it is lost with %v", h.Err())
	}
	w, err := a.Subscribe("/a")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for { // the node itself goes, too
		v, err := w.Next(t.Context())
		if errors.Is(err, unicorn.ErrNoNode) || err == nil && v.Version == unicorn.NoVersion {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
