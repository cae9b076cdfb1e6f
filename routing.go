package cocaine

import (
	"context"
	"iter"
	"slices"

	"github.com/cocaine/cocaine-go/internal/locator/ring"
)

// A RoutingTable holds every routing group: by its name, the points of its ring in
// ascending order.
type RoutingTable map[string][]RoutingPoint

// A RoutingPoint is the place of a service on the ring of a group. It serves the
// seeds that fall before it, down to the next lower point.
type RoutingPoint struct {
	Point   uint32 // on a ring of 2^32 places
	Service string // its name
}

// Pick names the service that serves a seed in a group, the one that the locator
// would resolve the group to. Of a group that the table does not have it is the
// group's own name, as for the locator. An empty seed is a seed like any other
// here.
func (t RoutingTable) Pick(group, seed string) string {
	points := t[group]
	if len(points) == 0 {
		return group
	}
	at := ring.Hash([]byte(seed))
	i, _ := slices.BinarySearchFunc(points, at, func(p RoutingPoint, at uint32) int {
		if p.Point > at { // the first one above it, not at it
			return 1
		}
		return -1
	})
	return points[i%len(points)].Service
}

// Shares tells which part of the seeds each member of a group serves: fractions that
// add up to 1. They are close to the members' parts of the weights, not the same. A
// group that the table does not have is nil.
func (t RoutingTable) Shares(group string) map[string]float64 {
	const whole = 1 << 32
	points := t[group]
	if len(points) == 0 {
		return nil
	}
	shares := make(map[string]float64)
	before := float64(points[len(points)-1].Point) - whole // the first one also owns what lies after the last
	for _, p := range points {
		shares[p.Service] += (float64(p.Point) - before) / whole
		before = float64(p.Point)
	}
	return shares
}

// Routing ranges over the routing table: as it is now, and after each refresh. It
// is for those who pick members of groups themselves.
//
// The name of the router is up to the caller: a later Routing with the same one
// takes the place of this, which then hears nothing more. Leaving the loop ends
// the stream.
func (l Locator) Routing(ctx context.Context, router string) iter.Seq2[RoutingTable, error] {
	return Chunks[RoutingTable](ctx, l.service, "routing", router)
}
