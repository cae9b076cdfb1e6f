// Package ring is the continuum of a routing group: it spreads seeds over the
// members of a group in proportion to their weights, so that the same seed
// goes to the same member for as long as the group does not change, and only a
// share of the seeds moves when it does.
//
//	       member a     member b     member a
//	0 ──●────────●─────────●───────────●──────────▶ 2³²
//	       ▲ hash(seed)
//	       └── the first point strictly greater owns the seed; past the last
//	           point the ring wraps to the first
//
// Every peer of a mixed cluster, and every proxy that received the table from
// a locator, must make the same choice, so the arithmetic is fixed by the
// original v0.12 runtime, down to its float widths:
//
//  1. The total weight is summed in float32, in byte order of the names.
//  2. A member's share of it is a float64; it gets round(share·64·n) steps
//     for n members, halves rounded away from zero.
//  3. Step i of a member is MD5(name ‖ i as 8 bytes, little-endian), read as
//     four little-endian words: four points.
//  4. A seed's place is the XOR of the four words of its MD5.
//
// A member whose share rounds to no step gets no point. Two members get about
// 1/128 of resolution: this is stickiness, not exact splitting.
//
// A [Group] is immutable; all its methods may be called concurrently.
package ring

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// MaxMembers limits the members of one group. A member costs about 256 points
// in memory and in every routing table sent.
const MaxMembers = 1024

// stepsPerMember is how many digests an average member contributes; a digest
// gives four points.
const stepsPerMember = 64

// ErrNoWeight is returned for a group that has no members, or none of whose
// members has a weight.
var ErrNoWeight = errors.New("no member has a weight")

// ErrTooManyMembers is returned for a group of more than [MaxMembers].
var ErrTooManyMembers = fmt.Errorf("more than %d members", MaxMembers)

// Group is the continuum of one routing group.
type Group struct {
	names  []string // members in byte order
	points []uint32 // ascending
	owners []uint16 // owners[i] is the index in names of points[i]'s member
}

// New builds the continuum of the members and their weights.
func New(weights map[string]uint32) (*Group, error) {
	if len(weights) > MaxMembers {
		return nil, ErrTooManyMembers
	}
	names := slices.Sorted(maps.Keys(weights))
	var total float32
	for _, name := range names {
		total += float32(weights[name])
	}
	if total <= 0 {
		return nil, ErrNoWeight
	}
	ps := make([]point, 0, len(names)*stepsPerMember*4)
	for i, name := range names {
		share := float64(weights[name]) / float64(total)
		steps := uint64(math.Round(share * stepsPerMember * float64(len(names))))
		ps = appendMember(ps, name, uint16(i), steps)
	}
	// Of two members that claim one point the first by name comes first; the
	// original leaves that open.
	slices.SortFunc(ps, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.owner, b.owner))
	})

	g := &Group{names: names, points: make([]uint32, len(ps)), owners: make([]uint16, len(ps))}
	for i, p := range ps {
		g.points[i], g.owners[i] = p.at, p.owner
	}
	return g, nil
}

type point struct {
	at    uint32
	owner uint16
}

// appendMember appends the points of one member, four a step.
func appendMember(ps []point, name string, owner uint16, steps uint64) []point {
	key := append([]byte(name), make([]byte, 8)...)
	counter := key[len(name):]
	for step := range steps {
		binary.LittleEndian.PutUint64(counter, step)
		for _, at := range words(md5.Sum(key)) {
			ps = append(ps, point{at, owner})
		}
	}
	return ps
}

func words(d [md5.Size]byte) [4]uint32 {
	return [4]uint32{
		binary.LittleEndian.Uint32(d[0:]),
		binary.LittleEndian.Uint32(d[4:]),
		binary.LittleEndian.Uint32(d[8:]),
		binary.LittleEndian.Uint32(d[12:]),
	}
}

// Hash is the place of a seed on every ring.
func Hash(seed []byte) uint32 {
	w := words(md5.Sum(seed))
	return w[0] ^ w[1] ^ w[2] ^ w[3]
}

// Lookup returns the member that owns the seed. An empty seed is a seed like
// any other here; whoever treats it as "no seed" calls [Group.Random].
func (g *Group) Lookup(seed []byte) string { return g.after(Hash(seed)) }

// Random returns the owner of a random place: members come up in proportion
// to their part of the ring. A nil r is the process's own random source, which
// may be used concurrently; a given one is used as it is.
func (g *Group) Random(r *rand.Rand) string {
	if r == nil {
		return g.after(rand.Uint32())
	}
	return g.after(r.Uint32())
}

// RandomOf is Random among the members for which ok says yes, "" if there is none that
// has a point. ok is called once for each member.
func (g *Group) RandomOf(ok func(name string) bool) string {
	in := make([]bool, len(g.names))
	for i, name := range g.names {
		in[i] = ok(name)
	}
	total := 0
	for _, owner := range g.owners {
		if in[owner] {
			total++
		}
	}
	if total == 0 {
		return ""
	}
	for n, i := rand.IntN(total), 0; ; i++ {
		if owner := g.owners[i]; in[owner] {
			if n == 0 {
				return g.names[owner]
			}
			n--
		}
	}
}

// after returns the owner of the first point strictly greater than at.
func (g *Group) after(at uint32) string {
	i := sort.Search(len(g.points), func(i int) bool { return g.points[i] > at })
	if i == len(g.points) {
		i = 0
	}
	return g.names[g.owners[i]]
}

// Len returns the number of points.
func (g *Group) Len() int { return len(g.points) }

// All iterates over the points in ring order, with the member each belongs to.
func (g *Group) All() iter.Seq2[uint32, string] {
	return func(yield func(uint32, string) bool) {
		for i, at := range g.points {
			if !yield(at, g.names[g.owners[i]]) {
				return
			}
		}
	}
}
