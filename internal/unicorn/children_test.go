package unicorn_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/jetstream"
	"github.com/cocaine/cocaine-go/internal/unicorn"
)

// family is what one node's children should be.
type family struct {
	names   map[string]bool
	changes int64
}

func (f *family) check(t *testing.T, s unicorn.Store, path string) {
	t.Helper()
	c := childrenOf(t, s, path)
	if want := slices.Sorted(maps.Keys(f.names)); !slices.Equal(c.Names, want) || c.Version != f.changes {
		t.Errorf("children of %s are %q, version %d; want %q, version %d", path, c.Names, c.Version, want, f.changes)
	}
}

// toggle makes a child, or removes it.
func (f *family) toggle(t *testing.T, s unicorn.Store, path, name string) {
	t.Helper()
	var err error
	if f.names[name] {
		err = s.Del(t.Context(), path+"/"+name, unicorn.AnyVersion)
		delete(f.names, name)
	} else {
		err = s.Create(t.Context(), path+"/"+name, text("x"))
		f.names[name] = true
	}
	f.changes++
	if err != nil {
		t.Fatal(err)
	}
}

// TestChildrenAreCountedAcrossRestarts: nothing that comes or goes is forgotten, in
// whatever order, and whatever else is written.
func TestChildrenAreCountedAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	state := openState(t, dir)
	s := openStore(t, state)
	random := rand.New(rand.NewPCG(1, 2))
	paths := []string{"/a", "/b/c", "/d"}
	families := map[string]*family{}
	for _, path := range paths {
		families[path] = &family{names: map[string]bool{}}
		if err := s.Create(t.Context(), path, text("v")); err != nil {
			t.Fatal(err)
		}
	}
	for range 12 {
		for range 15 {
			path := paths[random.IntN(len(paths))]
			f := families[path]
			switch random.IntN(8) {
			case 0: // a value changes, that of the node itself or of a child
				for name := range f.names {
					path += "/" + name
					break
				}
				v, _ := s.Subscribe(path)
				if v == nil {
					break // it has children
				}
				now, err := v.Next(t.Context())
				v.Close()
				if err == nil {
					_, _, err = s.Put(t.Context(), path, text("w"), now.Version)
				}
				if err != nil {
					t.Fatal(err)
				}
			case 1: // an ephemeral one comes and goes
				h, err := s.Lock(t.Context(), path, text("x"))
				if err == nil {
					err = h.Release(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				f.changes += 2
			case 2: // it is made anew
				if len(f.names) == 0 {
					if err := s.Del(t.Context(), path, unicorn.AnyVersion); err != nil {
						t.Fatal(err)
					}
					if err := s.Create(t.Context(), path, text("v")); err != nil {
						t.Fatal(err)
					}
					f.changes = 0
				}
			default:
				f.toggle(t, s, path, fmt.Sprint(random.IntN(4)))
			}
			for path, f := range families {
				f.check(t, s, path)
			}
		}
		lost, err := s.Lock(t.Context(), "/d", text("x")) // goes with the runtime
		if err != nil {
			t.Fatal(err)
		}
		state, s = reopen(t, dir, state, s)
		await(t, lost.Lost(), "loss")
		families["/d"].changes += 2
		for _, path := range paths {
			families[path].check(t, s, path)
		}
	}
}

// TestChildrenOfTwoRuntimes: runtimes that make and remove children at once count the
// same, and so does one that comes later.
func TestChildrenOfTwoRuntimes(t *testing.T) {
	const times = 15
	state := openState(t, t.TempDir())
	stores := []*unicorn.JetStream{openShared(t, state), openShared(t, state)}
	if err := stores[0].Create(t.Context(), "/p", text("v")); err != nil {
		t.Fatal(err)
	}
	awaitVersion(t, stores[1], "/p", 0)
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			for n := range times {
				path := fmt.Sprintf("/p/%d.%d", i, n)
				if err := s.Create(t.Context(), path, text("x")); err != nil {
					t.Error(err)
				}
				if n%3 > 0 {
					if err := s.Del(t.Context(), path, 0); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	const changes = 2*times + 2*times*2/3
	for i, s := range append(stores, openShared(t, state)) {
		if _, err := s.Increment(t.Context(), "/seen", []byte{1}); err != nil { // and so all before
			t.Fatal(err)
		}
		if c := childrenOf(t, s, "/p"); c.Version != changes {
			t.Errorf("runtime %d counts %d changes of %d", i, c.Version, changes)
		}
	}
}

// TestRecordsOfTheFirstFormat: children that an older version of this runtime has made
// count once each.
func TestRecordsOfTheFirstFormat(t *testing.T) {
	state := openState(t, t.TempDir())
	kv, err := state.KV(t.Context(), "unicorn", jetstream.KVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"p.a", "p", "p.b"} {
		if _, err := kv.Put(t.Context(), key, []byte{1}, jetstream.WriteOptions{Meta: "1 3"}); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, state)
	f := family{names: map[string]bool{"a": true, "b": true}, changes: 2}
	f.check(t, s, "/p")
	wantNode(t, s, "/p/a", []byte{1}, 3)
	for _, name := range []string{"a", "c", "b", "c"} {
		f.toggle(t, s, "/p", name)
		f.check(t, s, "/p")
	}
	watch, err := s.Subscribe("/p")
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	for version := range int64(2) {
		if v, err := watch.Next(t.Context()); err != nil || v.Version != 3+version {
			t.Errorf("the value has version %d, %v", v.Version, err)
		}
		if ok, _, err := s.Put(t.Context(), "/p", text("x"), 3+version); !ok {
			t.Error(err)
		}
	}
}
