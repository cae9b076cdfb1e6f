package ring_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/locator/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vectors were taken from the original v0.12 runtime.
var vectors = []struct {
	name    string
	weights map[string]uint32
	points  map[string]int
	digest  string // first 8 bytes of SHA-256 over "point:member\n" in ring order
	choices map[string]string
	first   string
	last    string
}{
	{
		name:    "one to three",
		weights: map[string]uint32{"app_v1": 1, "app_v2": 3},
		points:  map[string]int{"app_v1": 128, "app_v2": 384},
		digest:  "efcdf6ad970c43df",
		choices: map[string]string{"user1": "app_v1", "user2": "app_v1", "42": "app_v2", "hello": "app_v2"},
		first:   "10939163:app_v2", last: "4288951102:app_v2",
	},
	{
		name:    "one to two",
		weights: map[string]uint32{"a": 1, "b": 2},
		points:  map[string]int{"a": 172, "b": 340},
		digest:  "3e58b6f022d5b686",
		choices: map[string]string{"user1": "a", "user2": "a", "42": "b", "hello": "b"},
		first:   "2642815:b", last: "4287741740:b",
	},
	{
		name:    "three equals",
		weights: map[string]uint32{"a": 1, "b": 1, "c": 1},
		points:  map[string]int{"a": 256, "b": 256, "c": 256},
		digest:  "1fbae58bfd13b24a",
		choices: map[string]string{"user1": "a", "user2": "a", "42": "b", "hello": "b"},
		first:   "2642815:b", last: "4293218189:c",
	},
	{
		name:    "a weight that float32 cannot hold starves the others",
		weights: map[string]uint32{"x": 16777217, "y": 1, "z": 3},
		points:  map[string]int{"x": 768},
		digest:  "2540881f95a3277a",
		choices: map[string]string{"user1": "x", "user2": "x", "42": "x", "hello": "x"},
		first:   "4160863:x", last: "4290607164:x",
	},
	{
		name:    "alone",
		weights: map[string]uint32{"solo": 7},
		points:  map[string]int{"solo": 256},
		digest:  "eac214caedcd6c6e",
		choices: map[string]string{"user1": "solo", "user2": "solo", "42": "solo", "hello": "solo"},
		first:   "13205002:solo", last: "4293949676:solo",
	},
	{
		name:    "a member without weight counts but owns nothing",
		weights: map[string]uint32{"p": 0, "q": 5},
		points:  map[string]int{"q": 512},
		digest:  "c6df228472bd972d",
		choices: map[string]string{"user1": "q", "user2": "q", "42": "q", "hello": "q"},
		first:   "8361433:q", last: "4291340453:q",
	},
}

func TestContinuum(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			g := mustNew(t, v.weights)
			var lines []string
			counts := map[string]int{}
			sum := sha256.New()
			for at, member := range g.All() {
				lines = append(lines, fmt.Sprintf("%d:%s", at, member))
				counts[member]++
				fmt.Fprintf(sum, "%d:%s\n", at, member)
			}
			if len(lines) != g.Len() {
				t.Fatalf("All gave %d points, Len is %d", len(lines), g.Len())
			}
			for member := range v.weights {
				if counts[member] != v.points[member] {
					t.Errorf("%s has %d points, want %d", member, counts[member], v.points[member])
				}
			}
			if got := hex.EncodeToString(sum.Sum(nil)[:8]); got != v.digest {
				t.Errorf("digest of the ring is %s, want %s", got, v.digest)
			}
			if lines[0] != v.first || lines[len(lines)-1] != v.last {
				t.Errorf("ring runs from %s to %s, want %s to %s", lines[0], lines[len(lines)-1], v.first, v.last)
			}
			for seed, want := range v.choices {
				if got := g.Lookup([]byte(seed)); got != want {
					t.Errorf("Lookup(%q) = %s, want %s", seed, got, want)
				}
			}
		})
	}
}

func TestHash(t *testing.T) {
	for seed, want := range map[string]uint32{
		"user1": 3243234095,
		"user2": 2002352851,
		"seed":  360123409,
		"42":    184367282,
	} {
		if got := ring.Hash([]byte(seed)); got != want {
			t.Errorf("Hash(%q) = %d, want %d", seed, got, want)
		}
	}
}

func TestRefusedGroups(t *testing.T) {
	crowd := map[string]uint32{}
	for i := range ring.MaxMembers + 1 {
		crowd[fmt.Sprint(i)] = 1
	}
	for _, c := range []struct {
		name    string
		weights map[string]uint32
		want    error
	}{
		{"nil", nil, ring.ErrNoWeight},
		{"empty", map[string]uint32{}, ring.ErrNoWeight},
		{"all zero", map[string]uint32{"a": 0, "b": 0}, ring.ErrNoWeight},
		{"crowd", crowd, ring.ErrTooManyMembers},
	} {
		if g, err := ring.New(c.weights); !errors.Is(err, c.want) || g != nil {
			t.Errorf("%s: New = %v, %v, want the error %v", c.name, g, err, c.want)
		}
	}
	delete(crowd, "0")
	if _, err := ring.New(crowd); err != nil {
		t.Errorf("New of %d members: %v", len(crowd), err)
	}
}

// fixed is a random source that always says the same word.
type fixed uint64

func (f fixed) Uint64() uint64 { return uint64(f) }

func TestRandomFollowsTheLookupRule(t *testing.T) {
	g := mustNew(t, map[string]uint32{"a": 1, "b": 1, "c": 1})
	var points []uint32
	var owners []string
	for at, member := range g.All() {
		points, owners = append(points, at), append(owners, member)
	}
	at := func(p uint32) string { return g.Random(rand.New(fixed(uint64(p) << 32))) }

	if got := at(0); got != owners[0] {
		t.Errorf("place 0 belongs to %s, want the first point's %s", got, owners[0])
	}
	if got := at(math.MaxUint32); got != owners[0] {
		t.Errorf("the last place belongs to %s, want to wrap to the first point's %s", got, owners[0])
	}
	for i := range points[:len(points)-1] {
		if got := at(points[i]); got != owners[i+1] {
			t.Fatalf("place of point %d belongs to %s, want the next point's %s (strictly greater)", i, got, owners[i+1])
		}
		if got := at(points[i] - 1); got != owners[i] {
			t.Fatalf("place before point %d belongs to %s, want its own %s", i, got, owners[i])
		}
	}
}

func TestRandomIsProportional(t *testing.T) {
	g := mustNew(t, map[string]uint32{"app_v1": 1, "app_v2": 3})
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[string]int{}
	const n = 100_000
	for range n {
		counts[g.Random(r)]++
	}
	// What the ring itself gives a member: the arcs that end at its points.
	var arcs uint64
	var prev, first uint32
	for at, member := range g.All() {
		if first == 0 {
			first = at
		} else if member == "app_v1" {
			arcs += uint64(at - prev)
		}
		prev = at
	}
	want := float64(arcs) / (1 << 32)
	if got := float64(counts["app_v1"]) / n; math.Abs(got-want) > 0.01 {
		t.Errorf("app_v1 came up in %.3f of the draws, its part of the ring is %.3f", got, want)
	}
	if g.Random(nil) == "" {
		t.Error("Random(nil) chose nobody")
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	g := mustNew(t, map[string]uint32{"app_v1": 1, "app_v2": 3})
	seed := []byte("user1")
	if n := testing.AllocsPerRun(100, func() { g.Lookup(seed); g.Random(nil) }); n != 0 {
		t.Errorf("a lookup allocates %v times", n)
	}
}

func mustNew(t *testing.T, weights map[string]uint32) *ring.Group {
	t.Helper()
	g, err := ring.New(weights)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func BenchmarkLookup(b *testing.B) {
	g, err := ring.New(map[string]uint32{"app_v1": 1, "app_v2": 3})
	if err != nil {
		b.Fatal(err)
	}
	seed := []byte("user1")
	b.ReportAllocs()
	for b.Loop() {
		g.Lookup(seed)
	}
}

// RandomOf keeps to the members that are there, in proportion to their weights.
func TestRandomOf(t *testing.T) {
	g, err := ring.New(map[string]uint32{"a": 1, "b": 3, "c": 100})
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for range 4000 {
		count[g.RandomOf(func(name string) bool { return name != "c" })]++
	}
	if share := float64(count["b"]) / 4000; len(count) != 2 || share < 0.6 || share > 0.9 {
		t.Errorf("chosen: %v", count)
	}
	if name := g.RandomOf(func(string) bool { return false }); name != "" {
		t.Errorf("%q is chosen of none", name)
	}
}
