// Package unicorntest is the conformance suite of unicorn.Store: what every
// implementation must do.
package unicorntest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/unicorn"
)

// patience is how long the suite waits for what must happen.
const patience = 30 * time.Second

// Run tests the stores that open returns. It calls open once per test, for an empty
// store, which open closes when its test ends.
func Run(t *testing.T, open func(t *testing.T) unicorn.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s unicorn.Store)
	}{
		{"Get", get},
		{"Create", create},
		{"CreateMakesParents", createMakesParents},
		{"Put", put},
		{"Del", del},
		{"Increment", increment},
		{"IncrementRefuses", incrementRefuses},
		{"IncrementWithoutParent", incrementWithoutParent},
		{"Paths", paths},
		{"BadPaths", badPaths},
		{"BadNewPaths", badNewPaths},
		{"ValuesAreVerbatim", verbatim},
		{"BadValues", badValues},
		{"ValuesAreCopied", copied},
		{"EndedContext", endedContext},
		{"Subscribe", subscribe},
		{"SubscribeToMissing", subscribeToMissing},
		{"SubscriptionEnds", subscriptionEnds},
		{"SlowSubscriberSeesNewest", slowSubscriber},
		{"SubscribeChildren", subscribeChildren},
		{"ChildrenAreCounted", childrenAreCounted},
		{"Hold", hold},
		{"HoldIsLost", holdIsLost},
		{"NothingBelowEphemeral", belowEphemeral},
		{"LockIsFair", lockIsFair},
		{"LockMembers", lockMembers},
		{"LockIsLost", lockIsLost},
		{"LockWaiterLeaves", lockWaiterLeaves},
		{"PutsOfOneVersion", putsOfOneVersion},
		{"IncrementsAddUp", incrementsAddUp},
		{"CreatorsOfOneNode", creatorsOfOneNode},
		{"SubscribersEndWithTheLast", subscribersEndWithTheLast},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// enc encodes a value.
func enc(v any) []byte {
	b, err := msgpack.AppendValue(nil, v)
	if err != nil {
		panic(err)
	}
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// same compares with a value to be encoded; nil stands for no value.
func same(t *testing.T, v unicorn.Versioned, value any, version int64) {
	t.Helper()
	var want []byte
	if value != nil {
		want = enc(value)
	}
	if !bytes.Equal(v.Value, want) || (v.Value == nil) != (want == nil) || v.Version != version {
		t.Errorf("got %x, version %d; want %x, version %d", v.Value, v.Version, want, version)
	}
}

func wantNode(t *testing.T, s unicorn.Store, path string, value any, version int64) {
	t.Helper()
	v, err := s.Get(t.Context(), path)
	must(t, err)
	same(t, v, value, version)
}

func wantMissing(t *testing.T, s unicorn.Store, path string) {
	t.Helper()
	wantNode(t, s, path, nil, unicorn.NoVersion)
}

func mustCreate(t *testing.T, s unicorn.Store, path string, value any) {
	t.Helper()
	must(t, s.Create(t.Context(), path, enc(value)))
}

func mustPut(t *testing.T, s unicorn.Store, path string, value any, version int64) {
	t.Helper()
	ok, current, err := s.Put(t.Context(), path, enc(value), version)
	must(t, err)
	if !ok {
		t.Fatalf("put of %s over version %d is refused: it has version %d", path, version, current.Version)
	}
	same(t, current, value, version+1)
}

func mustDel(t *testing.T, s unicorn.Store, path string) {
	t.Helper()
	must(t, s.Del(t.Context(), path, unicorn.AnyVersion))
}

// within gives what waits for something the suite's patience.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func next[T any](t *testing.T, w *unicorn.Watch[T]) T {
	t.Helper()
	v, err := w.Next(within(t))
	must(t, err)
	return v
}

func wantEnd[T any](t *testing.T, w *unicorn.Watch[T], want error) {
	t.Helper()
	for range 2 { // it is sticky
		_, err := w.Next(within(t))
		wantError(t, err, want)
	}
}

// wantQuiet fails if the watch has something to say now.
func wantQuiet[T any](t *testing.T, w *unicorn.Watch[T]) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v; want nothing", v, err)
	}
}

func follow(t *testing.T, s unicorn.Store, path string) *unicorn.Watch[unicorn.Versioned] {
	t.Helper()
	w, err := s.Subscribe(path)
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

func followChildren(t *testing.T, s unicorn.Store, path string) *unicorn.Watch[unicorn.Children] {
	t.Helper()
	w, err := s.SubscribeChildren(path)
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

func children(t *testing.T, s unicorn.Store, path string) []string {
	t.Helper()
	w := followChildren(t, s, path)
	defer w.Close()
	return next(t, w).Names
}

func wantChildren(t *testing.T, s unicorn.Store, path string, want ...string) {
	t.Helper()
	if got := children(t, s, path); !slices.Equal(got, want) {
		t.Errorf("children of %s are %q, want %q", path, got, want)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s does not happen", what)
	}
}

func get(t *testing.T, s unicorn.Store) {
	wantMissing(t, s, "/a")
	wantMissing(t, s, "/a/b/c")
	mustCreate(t, s, "/a/b", "v")
	wantNode(t, s, "/a/b", "v", 0)
	_, err := s.Get(t.Context(), "/a")
	wantError(t, err, unicorn.ErrHasChildren)
}

func create(t *testing.T, s unicorn.Store) {
	mustCreate(t, s, "/a", "v")
	wantNode(t, s, "/a", "v", 0)
	wantError(t, s.Create(t.Context(), "/a", enc("w")), unicorn.ErrNodeExists)
	wantNode(t, s, "/a", "v", 0)
	mustPut(t, s, "/a", "w", 0)
	mustDel(t, s, "/a")
	mustCreate(t, s, "/a", "x")
	wantNode(t, s, "/a", "x", 0)
}

func createMakesParents(t *testing.T, s unicorn.Store) {
	mustCreate(t, s, "/p/q/r", "v")
	mustCreate(t, s, "/p/s", "v")
	wantChildren(t, s, "/p", "q", "s")
	wantError(t, s.Create(t.Context(), "/p/q", enc(1)), unicorn.ErrNodeExists)
	// They stay when what they were made for goes, and have no value.
	mustDel(t, s, "/p/q/r")
	wantNode(t, s, "/p/q", nil, 0)
	mustPut(t, s, "/p/q", "now", 0)
	wantNode(t, s, "/p/q", "now", 1)
	// A node with a value may get children; the value comes back when they go.
	mustCreate(t, s, "/p/q/t", 1)
	mustDel(t, s, "/p/q/t")
	wantNode(t, s, "/p/q", "now", 1)
}

func put(t *testing.T, s unicorn.Store) {
	ctx := t.Context()
	_, _, err := s.Put(ctx, "/a", enc("v"), 0)
	wantError(t, err, unicorn.ErrNoNode)
	mustCreate(t, s, "/a", "v")
	_, _, err = s.Put(ctx, "/a", enc("w"), -1)
	wantError(t, err, unicorn.ErrVersion)
	_, _, err = s.Put(ctx, "/missing", enc("w"), -1)
	wantError(t, err, unicorn.ErrVersion)
	mustPut(t, s, "/a", map[string]any{"k": []any{1, 2.5, true, nil}}, 0)
	for _, stale := range []int64{0, 2, math.MaxInt64} {
		ok, current, err := s.Put(ctx, "/a", enc("x"), stale)
		must(t, err)
		if ok {
			t.Errorf("put over version %d of a node of version 1 succeeds", stale)
		}
		same(t, current, map[string]any{"k": []any{1, 2.5, true, nil}}, 1)
	}
	mustPut(t, s, "/a", "y", 1)
	wantNode(t, s, "/a", "y", 2)
	// A value can be written while there are children.
	mustCreate(t, s, "/a/b", 1)
	mustPut(t, s, "/a", "z", 2)
}

func del(t *testing.T, s unicorn.Store) {
	ctx := t.Context()
	wantError(t, s.Del(ctx, "/a", 0), unicorn.ErrNoNode)
	wantError(t, s.Del(ctx, "/a", unicorn.AnyVersion), unicorn.ErrNoNode)
	mustCreate(t, s, "/a/b", 1)
	mustPut(t, s, "/a/b", 2, 0)
	for _, stale := range []int64{0, 2, -2, math.MinInt64} {
		wantError(t, s.Del(ctx, "/a/b", stale), unicorn.ErrVersion)
	}
	wantError(t, s.Del(ctx, "/a", 0), unicorn.ErrNotEmpty)
	wantError(t, s.Del(ctx, "/a", unicorn.AnyVersion), unicorn.ErrNotEmpty)
	must(t, s.Del(ctx, "/a/b", 1))
	wantMissing(t, s, "/a/b")
	must(t, s.Del(ctx, "/a", 0))
	wantMissing(t, s, "/a")
}

func increment(t *testing.T, s unicorn.Store) {
	version := int64(-1)
	for _, step := range []struct{ add, want any }{
		{5, 5}, {8, 13}, {-20, -7}, {7, 0},
		{uint64(math.MaxUint64), uint64(math.MaxUint64)}, {-1, uint64(math.MaxUint64 - 1)},
		{int64(math.MinInt64), math.MaxInt64 - 1}, {int64(math.MinInt64), -2},
		{0.5, -1.5}, {2, 0.5}, {-0.5, 0.0}, {math.Inf(1), math.Inf(1)},
	} {
		version++
		got, err := s.Increment(t.Context(), "/n", enc(step.add))
		must(t, err)
		same(t, got, step.want, version)
		wantNode(t, s, "/n", step.want, version)
	}
}

func incrementRefuses(t *testing.T, s unicorn.Store) {
	ctx := t.Context()
	for _, v := range []any{nil, true, "1", []any{1}, map[string]any{}} {
		_, err := s.Increment(ctx, "/n", enc(v))
		wantError(t, err, unicorn.ErrNotNumber)
	}
	wantMissing(t, s, "/n")
	mustCreate(t, s, "/text", "1")
	_, err := s.Increment(ctx, "/text", enc(1))
	wantError(t, err, unicorn.ErrNotNumber)
	wantNode(t, s, "/text", "1", 0)
	mustCreate(t, s, "/big", uint64(math.MaxUint64))
	_, err = s.Increment(ctx, "/big", enc(1))
	wantError(t, err, unicorn.ErrNotNumber)
	mustCreate(t, s, "/p/c", 1)
	mustCreate(t, s, "/p/c/d", 1)
	_, err = s.Increment(ctx, "/p/c", enc(1))
	wantError(t, err, unicorn.ErrHasChildren)
	_, err = s.Increment(ctx, "/p", enc(1)) // which has no value
	wantError(t, err, unicorn.ErrNoValue)
}

func incrementWithoutParent(t *testing.T, s unicorn.Store) {
	_, err := s.Increment(t.Context(), "/p/n", enc(1))
	wantError(t, err, unicorn.ErrNoNode)
	wantMissing(t, s, "/p")
	mustCreate(t, s, "/p", "v")
	got, err := s.Increment(t.Context(), "/p/n", enc(3))
	must(t, err)
	same(t, got, 3, 0)
	wantChildren(t, s, "/p", "n")
}

func paths(t *testing.T, s unicorn.Store) {
	long := "/" + strings.Repeat("\u00ff", 511) + "x"
	deep := strings.Repeat("/d", 64)
	for _, path := range []string{
		"/a", "/a.b", "/*", "/>", "/ ", "/=", "/=41", "/A", "/\u00ff\u00a0", "/...", "/..a", "/héllo/wörld", long, deep,
		"/.acls/event/storage/uids/17",
	} {
		mustCreate(t, s, path, path)
		wantNode(t, s, path, path, 0)
		wantMissing(t, s, path[:len(path)-1]+"0")
	}
	for _, path := range []string{long, deep} { // no room for a member
		_, err := s.Lock(t.Context(), path, enc(1))
		wantError(t, err, unicorn.ErrBadPath)
	}
	wantMissing(t, s, "/a/b")
	if got := children(t, s, "/héllo"); !slices.Equal(got, []string{"wörld"}) {
		t.Errorf("children are %q", got)
	}
}

func badPaths(t *testing.T, s unicorn.Store) {
	for _, path := range []string{
		"", "/", "a", "a/b", "nopath", "/a\x00b", "\x00", "/" + strings.Repeat("a", 1024), strings.Repeat("/a", 65),
	} {
		wantRefused(t, s, path, unicorn.ErrBadPath)
	}
	for _, path := range []string{
		"//", "/a/", "//a", "/a//b", "/.", "/..", "/a/../b", "/../a", "/a/..", "/./a", "/\x01", "/a\n", "/\x1e/b",
	} {
		wantRefused(t, s, path, unicorn.ErrBadName)
	}
}

func wantRefused(t *testing.T, s unicorn.Store, path string, want error) {
	t.Helper()
	ctx := t.Context()
	_, err := s.Get(ctx, path)
	wantError(t, err, want)
	_, _, err = s.Put(ctx, path, enc(1), 0)
	wantError(t, err, want)
	wantError(t, s.Del(ctx, path, -1), want)
	_, err = s.Subscribe(path)
	wantError(t, err, want)
	_, err = s.SubscribeChildren(path)
	wantError(t, err, want)
	wantNotMade(t, s, path, want)
}

func wantNotMade(t *testing.T, s unicorn.Store, path string, want error) {
	t.Helper()
	ctx := t.Context()
	wantError(t, s.Create(ctx, path, enc(1)), want)
	_, err := s.Increment(ctx, path, enc(1))
	wantError(t, err, want)
	_, err = s.Lock(ctx, path, enc(1))
	wantError(t, err, want)
	_, err = s.Hold(ctx, path, enc(1))
	wantError(t, err, want)
}

// badNewPaths are those of nodes that nobody can make, and so are missing.
func badNewPaths(t *testing.T, s unicorn.Store) {
	for _, path := range []string{
		"/\xff", "/a\xe2\x82", "/\x1f", "/a\x7f", "/\u009f", "/\ue000", "/\uf8ff", "/\ufff0", "/\ufffd", "/\U0001f600", "/\xed\xa0\x80",
	} {
		wantMissing(t, s, path)
		wantNotMade(t, s, path, unicorn.ErrBadName)
		wantError(t, s.Create(t.Context(), path+"/b", enc(1)), unicorn.ErrBadName)
		wantMissing(t, s, path)
	}
}

func verbatim(t *testing.T, s unicorn.Store) {
	largest := slices.Concat([]byte{0xdb, 0, 0x0f, 0x9f, 0xfb}, make([]byte, unicorn.MaxValue-5))
	for i, value := range [][]byte{
		{0xc0}, {0xc2}, {0x07}, {0xcc, 0x07}, {0xd3, 0, 0, 0, 0, 0, 0, 0, 7}, {0xca, 0x40, 0, 0, 0},
		{0xa0}, {0xd9, 0x01, 'x'}, {0xc4, 0x01, 'x'}, {0xda, 0x00, 0x01, 'x'},
		{0x90}, {0xdc, 0, 1, 0xc0}, {0x80}, {0x81, 0xc4, 0x01, 'k', 0x02}, {0x82, 0xa1, 'k', 1, 0xa1, 'k', 2},
		nest(28), largest,
	} {
		path := fmt.Sprintf("/v%d", i)
		must(t, s.Create(t.Context(), path, value))
		v, err := s.Get(t.Context(), path)
		must(t, err)
		if !bytes.Equal(v.Value, value) {
			t.Errorf("value %.20x comes back as %.20x", value, v.Value)
		}
		ok, v, err := s.Put(t.Context(), path, value, 0)
		must(t, err)
		if !ok || !bytes.Equal(v.Value, value) {
			t.Errorf("value %.20x comes back as %.20x, %v", value, v.Value, ok)
		}
	}
}

// nest is an empty array inside of depth arrays.
func nest(depth int) []byte { return append(bytes.Repeat([]byte{0x91}, depth), 0x90) }

func badValues(t *testing.T, s unicorn.Store) {
	ctx := t.Context()
	for _, bad := range []struct {
		value []byte
		want  error
	}{
		{nil, unicorn.ErrBadValue}, {[]byte{}, unicorn.ErrBadValue}, {[]byte{0xc1}, unicorn.ErrBadValue},
		{[]byte{0xa2, 'x'}, unicorn.ErrBadValue}, {[]byte{1, 2}, unicorn.ErrBadValue}, {nest(29), unicorn.ErrBadValue},
		{[]byte{0x81, 1, 2}, unicorn.ErrBadValue}, {[]byte{0x92, 0x80, 0x81, 0xa1, 'k', 0x82, 0xa1, 'k', 1, 0xc0, 2}, unicorn.ErrBadValue},
		{slices.Concat([]byte{0xdb, 0, 0x0f, 0x9f, 0xfc}, make([]byte, unicorn.MaxValue-4)), unicorn.ErrTooLarge},
	} {
		wantError(t, s.Create(ctx, "/a", bad.value), bad.want)
		_, _, err := s.Put(ctx, "/a", bad.value, 0)
		wantError(t, err, bad.want)
		_, err = s.Lock(ctx, "/a", bad.value)
		wantError(t, err, bad.want)
		_, err = s.Hold(ctx, "/a", bad.value)
		wantError(t, err, bad.want)
	}
	wantMissing(t, s, "/a")
}

func copied(t *testing.T, s unicorn.Store) {
	value := enc("before")
	must(t, s.Create(t.Context(), "/a", value))
	copy(value[1:], "behind")
	wantNode(t, s, "/a", "before", 0)
}

func endedContext(t *testing.T, s unicorn.Store) {
	mustCreate(t, s, "/a", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, "/a")
	wantError(t, err, context.Canceled)
	wantError(t, s.Create(ctx, "/b", enc(1)), context.Canceled)
	_, _, err = s.Put(ctx, "/a", enc(2), 0)
	wantError(t, err, context.Canceled)
	wantError(t, s.Del(ctx, "/a", 0), context.Canceled)
	_, err = s.Increment(ctx, "/a", enc(1))
	wantError(t, err, context.Canceled)
	_, err = s.Lock(ctx, "/l", enc(1))
	wantError(t, err, context.Canceled)
	_, err = s.Hold(ctx, "/h", enc(1))
	wantError(t, err, context.Canceled)
	wantNode(t, s, "/a", 1, 0)
	wantMissing(t, s, "/b")
}

func subscribe(t *testing.T, s unicorn.Store) {
	mustCreate(t, s, "/a", "v")
	w := follow(t, s, "/a")
	same(t, next(t, w), "v", 0)
	wantQuiet(t, w)
	mustPut(t, s, "/a", "w", 0)
	same(t, next(t, w), "w", 1)
	mustCreate(t, s, "/b", "other")
	wantQuiet(t, w)
	_, err := s.Increment(t.Context(), "/a", enc(1))
	wantError(t, err, unicorn.ErrNotNumber)
	wantQuiet(t, w)
	w.Close()
	w.Close()
	wantEnd(t, w, unicorn.ErrClosed)
}

func subscribeToMissing(t *testing.T, s unicorn.Store) {
	w := follow(t, s, "/p/a")
	same(t, next(t, w), nil, unicorn.NoVersion)
	wantQuiet(t, w)
	mustCreate(t, s, "/p", 1)
	wantQuiet(t, w)
	mustCreate(t, s, "/p/a", "v")
	same(t, next(t, w), "v", 0)
	late := follow(t, s, "/q")
	mustCreate(t, s, "/q", "v")
	same(t, next(t, late), "v", 0) // the newest is enough
}

func subscriptionEnds(t *testing.T, s unicorn.Store) {
	mustCreate(t, s, "/removed", 1)
	mustCreate(t, s, "/parent", 1)
	removed, parent, unread := follow(t, s, "/removed"), follow(t, s, "/parent"), follow(t, s, "/removed")
	next(t, removed)
	next(t, parent)
	mustDel(t, s, "/removed")
	mustCreate(t, s, "/removed", 2) // another node, which is none of theirs
	mustCreate(t, s, "/parent/child", 1)
	wantEnd(t, removed, unicorn.ErrNoNode)
	wantEnd(t, unread, unicorn.ErrNoNode)
	wantQuiet(t, parent)
	mustPut(t, s, "/parent", 2, 0)
	wantEnd(t, parent, unicorn.ErrHasChildren)
	_, err := s.Subscribe("/parent")
	wantError(t, err, unicorn.ErrHasChildren)
	again := follow(t, s, "/removed")
	same(t, next(t, again), 2, 0)
}

func slowSubscriber(t *testing.T, s unicorn.Store) {
	mustCreate(t, s, "/a", 0)
	w := follow(t, s, "/a")
	for i := range int64(20) {
		mustPut(t, s, "/a", i+1, i)
	}
	same(t, next(t, w), 20, 20)
	wantQuiet(t, w)
}

func subscribeChildren(t *testing.T, s unicorn.Store) {
	_, err := s.SubscribeChildren("/p")
	wantError(t, err, unicorn.ErrNoNode)
	mustCreate(t, s, "/p", "v")
	w := followChildren(t, s, "/p")
	want := func(version int64, names ...string) {
		t.Helper()
		if c := next(t, w); !slices.Equal(c.Names, names) || c.Version != version {
			t.Errorf("children are %q, version %d; want %q, version %d", c.Names, c.Version, names, version)
		}
		wantQuiet(t, w)
	}
	want(0)
	mustCreate(t, s, "/p/b", 1)
	want(1, "b")
	mustCreate(t, s, "/p/a/deep", 1)
	want(2, "a", "b")
	mustPut(t, s, "/p/b", 2, 0)      // a child's value
	mustCreate(t, s, "/p/a/more", 1) // a child's child
	mustPut(t, s, "/p", 2, 0)        // its own value
	wantQuiet(t, w)
	mustDel(t, s, "/p/b")
	want(3, "a")
	mustCreate(t, s, "/p/c", 1)
	mustCreate(t, s, "/p/d", 1)
	want(5, "a", "c", "d")
	for _, path := range []string{"/p/a/deep", "/p/a/more", "/p/a", "/p/c", "/p/d", "/p"} {
		mustDel(t, s, path)
	}
	wantEnd(t, w, unicorn.ErrNoNode)
}

// childrenAreCounted: whoever comes or goes at once with others, each counts once.
func childrenAreCounted(t *testing.T, s unicorn.Store) {
	mustCreate(t, s, "/p", 1)
	w := followChildren(t, s, "/p")
	const each, rounds = 4, 5
	var wg sync.WaitGroup
	for i := range each {
		wg.Go(func() {
			for round := range rounds {
				path := fmt.Sprintf("/p/%d.%d", i, round)
				if err := s.Create(t.Context(), path, enc(i)); err != nil {
					t.Error(err)
				}
				if round > 0 {
					if err := s.Del(t.Context(), path, 0); err != nil {
						t.Error(err)
					}
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				h, err := s.Lock(t.Context(), "/p", enc(i))
				if err == nil {
					err = h.Release(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	const changes = each*rounds + each*(rounds-1) + 2*each*rounds
	last := int64(-1)
	for last < changes {
		c := next(t, w)
		if c.Version <= last || c.Version%2 != int64(len(c.Names)%2) {
			t.Errorf("%d children have version %d, after %d", len(c.Names), c.Version, last)
		}
		last = c.Version
	}
	wantQuiet(t, w)
	if last != changes {
		t.Errorf("after %d changes the version is %d", changes, last)
	}
	// The number of a lock's member is how many children there were before.
	h, err := s.Lock(t.Context(), "/p", enc(1))
	must(t, err)
	if want := fmt.Sprintf("/p/lock%010d", (changes+each)/2); h.Path() != want {
		t.Errorf("the next member is %s, want %s", h.Path(), want)
	}
	must(t, h.Release(within(t)))
}

func hold(t *testing.T, s unicorn.Store) {
	h, err := s.Hold(t.Context(), "/nodes/n1", enc("here"))
	must(t, err)
	await(t, h.Acquired(), "hold")
	if h.Path() != "/nodes/n1" {
		t.Errorf("it is at %s", h.Path())
	}
	wantNode(t, s, "/nodes/n1", "here", 0)
	_, err = s.Hold(t.Context(), "/nodes/n1", enc("me too"))
	wantError(t, err, unicorn.ErrNodeExists)
	mustPut(t, s, "/nodes/n1", "still here", 0)
	w := followChildren(t, s, "/nodes")
	next(t, w)
	must(t, h.Release(within(t)))
	must(t, h.Release(within(t)))
	wantMissing(t, s, "/nodes/n1")
	if c := next(t, w); len(c.Names) != 0 {
		t.Errorf("after release there is %q", c.Names)
	}
	if isClosed(h.Lost()) || h.Err() != nil {
		t.Error("what was released counts as lost")
	}
}

func holdIsLost(t *testing.T, s unicorn.Store) {
	h, err := s.Hold(t.Context(), "/n", enc(1))
	must(t, err)
	mustDel(t, s, "/n")
	await(t, h.Lost(), "loss")
	wantError(t, h.Err(), unicorn.ErrNoNode)
	mustCreate(t, s, "/n", "somebody else's")
	must(t, h.Release(within(t)))
	wantNode(t, s, "/n", "somebody else's", 0)
}

func belowEphemeral(t *testing.T, s unicorn.Store) {
	h, err := s.Hold(t.Context(), "/n", enc(1))
	must(t, err)
	wantError(t, s.Create(t.Context(), "/n/a", enc(1)), unicorn.ErrEphemeral)
	wantError(t, s.Create(t.Context(), "/n/a/b", enc(1)), unicorn.ErrEphemeral)
	_, err = s.Increment(t.Context(), "/n/a", enc(1))
	wantError(t, err, unicorn.ErrEphemeral)
	_, err = s.Lock(t.Context(), "/n", enc(1))
	wantError(t, err, unicorn.ErrEphemeral)
	_, err = s.Hold(t.Context(), "/n/a", enc(1))
	wantError(t, err, unicorn.ErrEphemeral)
	must(t, h.Release(within(t)))
}

func lockIsFair(t *testing.T, s unicorn.Store) {
	const members = 10
	var queue []*unicorn.Held
	for i := range members {
		h, err := s.Lock(t.Context(), "/locks/l", enc(i))
		must(t, err)
		queue = append(queue, h)
	}
	other, err := s.Lock(t.Context(), "/locks/other", enc(0))
	must(t, err)
	await(t, other.Acquired(), "another lock")
	for i, h := range queue {
		await(t, h.Acquired(), fmt.Sprintf("turn %d", i))
		for _, later := range queue[i+1:] {
			if isClosed(later.Acquired()) {
				t.Fatalf("two hold the lock in turn %d", i)
			}
		}
		must(t, h.Release(within(t)))
	}
	must(t, other.Release(within(t)))
	wantChildren(t, s, "/locks/l")
	wantChildren(t, s, "/locks", "l", "other")
}

func lockMembers(t *testing.T, s unicorn.Store) {
	a, err := s.Lock(t.Context(), "/l", enc("a"))
	must(t, err)
	b, err := s.Lock(t.Context(), "/l", enc("b"))
	must(t, err)
	wantChildren(t, s, "/l", "lock0000000000", "lock0000000001")
	wantNode(t, s, "/l/lock0000000001", "b", 0)
	if b.Path() != "/l/lock0000000001" {
		t.Errorf("the second is at %s", b.Path())
	}
	must(t, a.Release(within(t)))
	must(t, b.Release(within(t)))
	c, err := s.Lock(t.Context(), "/l", enc("c"))
	must(t, err)
	wantChildren(t, s, "/l", "lock0000000002") // numbers are not used again
	// Other nodes in the same place do not matter, whatever their names.
	must(t, c.Release(within(t)))
	mustCreate(t, s, "/l/lock0000000003", "no member")
	mustCreate(t, s, "/l/a", "no member")
	d, err := s.Lock(t.Context(), "/l", enc("d"))
	must(t, err)
	await(t, d.Acquired(), "lock")
	mustPut(t, s, d.Path(), "changed", 0)
	if isClosed(d.Lost()) {
		t.Error("a change of its value costs a member its place")
	}
	must(t, d.Release(within(t)))
}

func lockIsLost(t *testing.T, s unicorn.Store) {
	a, err := s.Lock(t.Context(), "/l", enc("a"))
	must(t, err)
	b, err := s.Lock(t.Context(), "/l", enc("b"))
	must(t, err)
	await(t, a.Acquired(), "lock")
	mustDel(t, s, a.Path())
	await(t, a.Lost(), "loss")
	wantError(t, a.Err(), unicorn.ErrNoNode)
	await(t, b.Acquired(), "lock of the next")
	must(t, b.Release(within(t)))
}

func lockWaiterLeaves(t *testing.T, s unicorn.Store) {
	var queue []*unicorn.Held
	for i := range 3 {
		h, err := s.Lock(t.Context(), "/l", enc(i))
		must(t, err)
		queue = append(queue, h)
	}
	must(t, queue[1].Release(within(t)))
	if isClosed(queue[1].Acquired()) || isClosed(queue[2].Acquired()) {
		t.Error("the lock changes hands though its holder stays")
	}
	must(t, queue[0].Release(within(t)))
	await(t, queue[2].Acquired(), "lock of the last")
	must(t, queue[2].Release(within(t)))
}

func putsOfOneVersion(t *testing.T, s unicorn.Store) {
	mustCreate(t, s, "/a", 0)
	const writers = 8
	rounds := int64(10)
	for version := range rounds {
		var wg sync.WaitGroup
		won := make(chan int, writers)
		for w := range writers {
			wg.Go(func() {
				ok, current, err := s.Put(t.Context(), "/a", enc(w), version)
				switch {
				case err != nil:
					t.Error(err)
				case current.Version != version+1:
					t.Errorf("a put over version %d answers %d", version, current.Version)
				case ok:
					won <- w
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d puts over version %d have succeeded", len(won), version)
		}
		wantNode(t, s, "/a", <-won, version+1)
	}
}

func incrementsAddUp(t *testing.T, s unicorn.Store) {
	const writers, times = 8, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range times {
				if _, err := s.Increment(t.Context(), "/n", enc(1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantNode(t, s, "/n", writers*times, writers*times-1)
}

func creatorsOfOneNode(t *testing.T, s unicorn.Store) {
	for round := range 5 {
		path := fmt.Sprintf("/deep/r%d/a/b", round)
		var wg sync.WaitGroup
		won := make(chan int, 8)
		for w := range 8 {
			wg.Go(func() {
				err := s.Create(t.Context(), path, enc(w))
				if err == nil {
					won <- w
				} else if !errors.Is(err, unicorn.ErrNodeExists) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d have created %s", len(won), path)
		}
		wantNode(t, s, path, <-won, 0)
	}
}

func subscribersEndWithTheLast(t *testing.T, s unicorn.Store) {
	const readers, last = 20, 60
	mustCreate(t, s, "/a", 0)
	var wg sync.WaitGroup
	for range readers {
		w := follow(t, s, "/a")
		wg.Go(func() {
			for seen := int64(-1); seen != last; {
				v, err := w.Next(within(t))
				if err != nil {
					t.Error(err)
					return
				}
				if v.Version <= seen {
					t.Errorf("version %d comes after %d", v.Version, seen)
				}
				seen = v.Version
				if !bytes.Equal(v.Value, enc(seen)) {
					t.Errorf("version %d has the value %x", seen, v.Value)
				}
			}
		})
	}
	for i := range int64(last) {
		mustPut(t, s, "/a", i+1, i)
	}
	wg.Wait()
}
