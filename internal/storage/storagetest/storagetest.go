// Package storagetest is the conformance suite of storage.Store: what every
// implementation must do.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/storage"
)

// Run tests the stores that open returns. It calls open once per test, for an empty
// store, which open closes when its test ends.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s storage.Store)
	}{
		{"ReadWriteRemove", readWriteRemove},
		{"Tags", tags},
		{"FindIsAnIntersection", intersection},
		{"Names", names},
		{"BadNames", badNames},
		{"Sizes", sizes},
		{"TooLarge", tooLarge},
		{"ValuesAreCopied", copied},
		{"EndedContext", endedContext},
		{"WritersOfOneKey", writersOfOneKey},
		{"ReadersSeeWholeValues", wholeValues},
		{"WritersOfManyKeys", writersOfManyKeys},
		{"FindSeesWrites", findSeesWrites},
		{"Amend", amend},
		{"AmendersOfOneKey", amendersOfOneKey},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func write(t *testing.T, s storage.Store, collection, key, value string, tags ...string) {
	t.Helper()
	if err := s.Write(t.Context(), collection, key, []byte(value), tags); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s storage.Store, collection, key, want string) {
	t.Helper()
	got, err := s.Read(t.Context(), collection, key)
	if err != nil {
		t.Error(err)
	} else if string(got) != want {
		t.Errorf("read of %s/%s gives %q, want %q", collection, key, got, want)
	}
}

func wantMissing(t *testing.T, s storage.Store, collection, key string) {
	t.Helper()
	if got, err := s.Read(t.Context(), collection, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read of the missing %q/%q gives %q, %v", collection, key, got, err)
	}
}

func wantKeys(t *testing.T, s storage.Store, collection string, tags []string, want ...string) {
	t.Helper()
	got, err := s.Find(t.Context(), collection, tags)
	if err != nil {
		t.Error(err)
	} else if got == nil || !slices.Equal(got, want) {
		t.Errorf("find in %s by %q gives %#v, want %q", collection, tags, got, want)
	}
}

func amend(t *testing.T, s storage.Store) {
	refused := errors.New("refused")
	for _, step := range []struct {
		name string
		old  []byte // what change has to be given
		next []byte
		err  error
	}{
		{"nothing there, and nothing wanted", nil, nil, nil},
		{"made", nil, []byte("a"), nil},
		{"changed", []byte("a"), []byte("b"), nil},
		{"left", []byte("b"), nil, nil},
		{"refused", []byte("b"), []byte("c"), refused},
		{"emptied", []byte("b"), []byte{}, nil},
		{"large", []byte{}, bytes.Repeat([]byte("x"), 200<<10), nil},
		{"small again", bytes.Repeat([]byte("x"), 200<<10), []byte("d"), nil},
		{"too large", []byte("d"), make([]byte, storage.MaxValue+1), storage.ErrTooLarge},
	} {
		err := s.Amend(t.Context(), "c", "k", []string{"t"}, func(old []byte) ([]byte, error) {
			if (old == nil) != (step.old == nil) || !bytes.Equal(old, step.old) {
				t.Errorf("%s: the old value is %.20q, want %.20q", step.name, old, step.old)
			}
			if errors.Is(step.err, refused) {
				return step.next, step.err
			}
			return step.next, nil
		})
		if !errors.Is(err, step.err) {
			t.Errorf("%s: %v, want %v", step.name, err, step.err)
		}
	}
	wantValue(t, s, "c", "k", "d")
	wantKeys(t, s, "c", []string{"t"}, "k")
	write(t, s, "c", "k", "e", "u")
	if err := s.Amend(t.Context(), "c", "k", []string{"v"}, func([]byte) ([]byte, error) { return []byte("f"), nil }); err != nil {
		t.Error(err)
	}
	wantKeys(t, s, "c", []string{"t", "u", "v"}, "k")
	if err := s.Amend(t.Context(), "", "k", nil, nil); !errors.Is(err, storage.ErrBadName) {
		t.Errorf("amend without a collection: %v", err)
	}
}

// No change of a value is lost, whoever makes others at the same time.
func amendersOfOneKey(t *testing.T, s storage.Store) {
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := s.Amend(t.Context(), "c", "k", nil, func(old []byte) ([]byte, error) {
					return append(bytes.Clone(old), '+'), nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantValue(t, s, "c", "k", strings.Repeat("+", writers*each))
}

func remove(t *testing.T, s storage.Store, collection, key string) {
	t.Helper()
	if err := s.Remove(t.Context(), collection, key); err != nil {
		t.Error(err)
	}
}

func readWriteRemove(t *testing.T, s storage.Store) {
	wantMissing(t, s, "apps", "hello")
	remove(t, s, "apps", "hello")
	write(t, s, "apps", "hello", "one")
	wantValue(t, s, "apps", "hello", "one")
	wantMissing(t, s, "manifests", "hello")
	wantMissing(t, s, "apps", "hell")
	wantMissing(t, s, "apps", "hello2")
	write(t, s, "apps", "hello", "two")
	wantValue(t, s, "apps", "hello", "two")
	write(t, s, "apps", "hello", "")
	wantValue(t, s, "apps", "hello", "")
	remove(t, s, "apps", "hello")
	wantMissing(t, s, "apps", "hello")
	remove(t, s, "apps", "hello")
	write(t, s, "apps", "hello", "again")
	wantValue(t, s, "apps", "hello", "again")

	_, err := s.Read(t.Context(), "apps", "nobody")
	if err == nil || err.Error() != "cannot read apps/nobody: file does not exist" {
		t.Errorf("read of a missing key fails with %q", err)
	}
}

func tags(t *testing.T, s storage.Store) {
	wantKeys(t, s, "groups", []string{"group"})
	write(t, s, "groups", "b", "1", "group", "active")
	write(t, s, "groups", "a", "1", "group", "group")
	write(t, s, "groups", "c", "1")
	wantKeys(t, s, "groups", []string{"group"}, "a", "b")
	wantKeys(t, s, "groups", []string{"group", "active"}, "b")
	wantKeys(t, s, "groups", []string{"active", "active"}, "b")
	wantKeys(t, s, "groups", []string{"unknown"})
	wantKeys(t, s, "groups", []string{"group", "unknown"})
	wantKeys(t, s, "groups", nil)
	wantKeys(t, s, "groups", []string{})
	wantKeys(t, s, "elsewhere", []string{"group"})

	// Tags given on a rewrite are added, as the original does.
	write(t, s, "groups", "a", "2", "fresh")
	wantKeys(t, s, "groups", []string{"group"}, "a", "b")
	wantKeys(t, s, "groups", []string{"fresh", "group"}, "a")
	write(t, s, "groups", "a", "3")
	wantKeys(t, s, "groups", []string{"fresh", "group"}, "a")

	// Removal takes the tags with it, also for a later key of that name.
	remove(t, s, "groups", "a")
	wantKeys(t, s, "groups", []string{"group"}, "b")
	wantKeys(t, s, "groups", []string{"fresh"})
	write(t, s, "groups", "a", "4", "fresh")
	wantKeys(t, s, "groups", []string{"group"}, "b")
	wantKeys(t, s, "groups", []string{"fresh"}, "a")

	// A key may be named like a tag.
	write(t, s, "groups", "group", "5", "group")
	wantKeys(t, s, "groups", []string{"group"}, "b", "group")
	wantValue(t, s, "groups", "group", "5")
}

func intersection(t *testing.T, s storage.Store) {
	// Key n has the tag of every prime that divides it.
	primes := []int{2, 3, 5}
	for n := 1; n <= 60; n++ {
		var tags []string
		for _, p := range primes {
			if n%p == 0 {
				tags = append(tags, fmt.Sprint("divisible by ", p))
			}
		}
		write(t, s, "numbers", fmt.Sprint(n), "", tags...)
	}
	for mask := 1; mask < 1<<len(primes); mask++ {
		product := 1
		var tags, want []string
		for i, p := range primes {
			if mask&(1<<i) != 0 {
				product *= p
				tags = append(tags, fmt.Sprint("divisible by ", p))
			}
		}
		for n := product; n <= 60; n += product {
			want = append(want, fmt.Sprint(n))
		}
		slices.Sort(want) // bytewise: "10" before "2"
		wantKeys(t, s, "numbers", tags, want...)
	}
}

// goodNames are names that must work, and must be different from each other.
func goodNames() []string {
	every := make([]byte, 0, 255)
	for b := 1; b < 256; b++ {
		every = append(every, byte(b))
	}
	return []string{
		"a", "A", "a b", " ", "a.b", ".a", "a.", "..a", "a..", "...", "*", ">", "a.*", "=", "=41", "$KV", "-", "_", "%2e",
		"dir/key", "dir/.key", "dir//key", "dir/", "1390000000:f6e1ccae", "группа", "\xff\xfe", "\r\n", "\t", `"`, `\`, string(every[:len(every)-1]) + "\xff",
		strings.Repeat("x", 512), strings.Repeat("/", 0) + strings.Repeat("\xff", 512),
	}
}

func names(t *testing.T, s storage.Store) {
	good := goodNames()
	for _, name := range good {
		write(t, s, name, name, name, name)
	}
	for _, name := range good {
		wantValue(t, s, name, name, name)
		wantKeys(t, s, name, []string{name}, name)
	}
	for i, name := range good {
		remove(t, s, name, name)
		wantMissing(t, s, name, name)
		wantKeys(t, s, name, []string{name})
		if i+1 < len(good) {
			wantValue(t, s, good[i+1], good[i+1], good[i+1])
		}
	}
	// Within one collection as well.
	for _, name := range good {
		write(t, s, "all", name, name, "tag")
	}
	sorted := slices.Sorted(slices.Values(good))
	wantKeys(t, s, "all", []string{"tag"}, sorted...)
}

func badNames(t *testing.T, s storage.Store) {
	write(t, s, "manifests", "x", "secret", "tag")
	for _, bad := range []string{
		"", "\x00", "a\x00", "/", "/abs", "//", ".", "..", "../x", "./x", "a/../b", "a/./b", "a/..", "a/.", "..//", strings.Repeat("x", 513),
	} {
		ctx := t.Context()
		calls := map[string]error{
			"write to collection": s.Write(ctx, bad, "key", nil, nil),
			"write of key":        s.Write(ctx, "collection", bad, nil, nil),
			"write with tag":      s.Write(ctx, "collection", "key", nil, []string{"tag", bad}),
			"remove from":         s.Remove(ctx, bad, "key"),
			"remove of":           s.Remove(ctx, "collection", bad),
		}
		_, calls["read of"] = s.Read(ctx, "collection", bad)
		_, calls["read from"] = s.Read(ctx, bad, "key")
		_, calls["find in"] = s.Find(ctx, bad, []string{"tag"})
		_, calls["find by"] = s.Find(ctx, "collection", []string{bad})
		for call, err := range calls {
			if !errors.Is(err, storage.ErrBadName) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s %.20q: %v", call, bad, err)
			}
		}
	}
	wantMissing(t, s, "collection", "key")
	wantKeys(t, s, "collection", []string{"tag"})
	wantValue(t, s, "manifests", "x", "secret")
}

// value makes bytes that belong to a size and a seed.
func value(size int, seed uint64) []byte {
	p := make([]byte, size)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	rand.NewChaCha8(key).Read(p)
	return p
}

func sizes(t *testing.T, s storage.Store) {
	list := []int{0, 1, 1 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 512 << 10, 512<<10 + 1, 1 << 20, 5<<20 + 3}
	if !testing.Short() {
		list = append(list, 100<<20)
	}
	for i, size := range list {
		v := value(size, uint64(i))
		if err := s.Write(t.Context(), "sizes", fmt.Sprint(size), v, []string{"all"}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Read(t.Context(), "sizes", fmt.Sprint(size))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, v) {
			t.Errorf("a value of %d bytes comes back as %d others", size, len(got))
		}
	}
	// Any size may replace any other.
	list = list[:10]
	for _, from := range list {
		for _, to := range []int{0, 1 << 10, 200 << 10} {
			for i, size := range []int{from, to} {
				if err := s.Write(t.Context(), "sizes", "changing", value(size, uint64(i)), nil); err != nil {
					t.Fatal(err)
				}
			}
			got, err := s.Read(t.Context(), "sizes", "changing")
			if err != nil || !bytes.Equal(got, value(to, 1)) {
				t.Errorf("%d bytes replaced by %d come back as %d, %v", from, to, len(got), err)
			}
		}
	}
}

func tooLarge(t *testing.T, s storage.Store) {
	write(t, s, "c", "k", "old")
	// A slice of that length costs no memory until somebody touches it.
	err := s.Write(t.Context(), "c", "k", make([]byte, storage.MaxValue+1), nil)
	if !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("write of a value that is too large: %v", err)
	}
	wantValue(t, s, "c", "k", "old")
}

func copied(t *testing.T, s storage.Store) {
	v := []byte("value")
	tags := []string{"b", "a"}
	if err := s.Write(t.Context(), "c", "k", v, tags); err != nil {
		t.Fatal(err)
	}
	v[0], tags[0] = 'X', "X"
	wantValue(t, s, "c", "k", "value")
	wantKeys(t, s, "c", []string{"a", "b"}, "k")
	got, err := s.Read(t.Context(), "c", "k")
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'Y'
	wantValue(t, s, "c", "k", "value")
}

func endedContext(t *testing.T, s storage.Store) {
	write(t, s, "c", "k", "value", "tag")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, readErr := s.Read(ctx, "c", "k")
	_, findErr := s.Find(ctx, "c", []string{"tag"})
	for call, err := range map[string]error{
		"read": readErr, "find": findErr,
		"write":       s.Write(ctx, "c", "k", []byte("new"), nil),
		"large write": s.Write(ctx, "c", "k", value(1<<20, 0), nil),
		"remove":      s.Remove(ctx, "c", "k"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", call, err)
		}
	}
	wantValue(t, s, "c", "k", "value")
}

// writersOfOneKey: no tag of any writer is lost, and the last value is that of one.
func writersOfOneKey(t *testing.T, s storage.Store) {
	const writers, rounds = 8, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				size := 10
				if i%5 == 4 {
					size = 100 << 10
				}
				if err := s.Write(t.Context(), "c", "k", signed(w, i, size), []string{fmt.Sprintf("writer %d round %d", w, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for w := range writers {
		for i := range rounds {
			wantKeys(t, s, "c", []string{fmt.Sprintf("writer %d round %d", w, i)}, "k")
		}
	}
	v, err := s.Read(t.Context(), "c", "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := checkSigned(v); err != nil {
		t.Error(err)
	}
}

func wholeValues(t *testing.T, s storage.Store) {
	write(t, s, "c", "k", string(signed(0, 0, 10)))
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v, err := s.Read(t.Context(), "c", "k")
				if err == nil {
					err = checkSigned(v)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			for i := range 30 {
				size := []int{10, 70 << 10, 700 << 10}[i%3]
				if err := s.Write(t.Context(), "c", "k", signed(w, i, size), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

func writersOfManyKeys(t *testing.T, s storage.Store) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("%d.%d", w, i)
				if err := s.Write(t.Context(), "c", key, []byte(key), []string{"all", fmt.Sprint(w)}); err != nil {
					t.Error(err)
				}
				if i%5 == 0 {
					if err := s.Remove(t.Context(), "c", key); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	all, err := s.Find(t.Context(), "c", []string{"all"})
	if err != nil || len(all) != 8*20 {
		t.Errorf("find gives %d keys, %v; want %d", len(all), err, 8*20)
	}
	for _, key := range all {
		wantValue(t, s, "c", key, key)
	}
}

// findSeesWrites: what a call has done, the next one sees.
func findSeesWrites(t *testing.T, s storage.Store) {
	for i := range 100 {
		tag := fmt.Sprint(i)
		write(t, s, "c", "k", tag, tag)
		wantKeys(t, s, "c", []string{tag}, "k")
		if i%3 == 0 {
			remove(t, s, "c", "k")
			wantKeys(t, s, "c", []string{tag})
		}
	}
}

// signed makes a value that tells whether it is whole.
func signed(writer, round, size int) []byte {
	v := append(fmt.Appendf(nil, "%d.%d.", writer, round), value(size, uint64(writer<<8+round))...)
	h := fnv.New64a()
	h.Write(v)
	return h.Sum(v)
}

func checkSigned(v []byte) error {
	if len(v) < 8 {
		return fmt.Errorf("value of %d bytes is torn", len(v))
	}
	h := fnv.New64a()
	h.Write(v[:len(v)-8])
	if !bytes.Equal(h.Sum(nil), v[len(v)-8:]) {
		return fmt.Errorf("value of %d bytes is torn", len(v))
	}
	return nil
}
