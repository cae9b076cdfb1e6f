package cocaine

import (
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// grudge is how long an endpoint that failed is tried after the others.
const grudge = 30 * time.Second

// distrust notes that an endpoint could not be connected to, or does not answer.
func (c *connector) distrust(endpoint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = make(map[string]time.Time)
	}
	c.failed[endpoint] = time.Now()
}

// trust notes that an endpoint could be connected to.
func (c *connector) trust(endpoint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.failed, endpoint)
}

// suspects forgets the endpoints whose failure is long ago and gives the others, with
// the time of the failure.
func (c *connector) suspects() map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	recent := make(map[string]time.Time, len(c.failed))
	for endpoint, at := range c.failed {
		if time.Since(at) < grudge {
			recent[endpoint] = at
		}
	}
	c.failed = recent
	return maps.Clone(recent)
}

// order puts the endpoints of a service in the order in which they are tried, as
// Options.DialTimeout tells it. Those of the locator keep the order that
// Options.Locators gives them. Among those that failed the one that did so first
// comes first.
func (c *connector) order(endpoints []string) []string {
	ordered := slices.Clone(endpoints)
	if c != c.client.locator {
		shuffleAlike(ordered, c.client.isLocal())
	}
	if failed := c.suspects(); len(failed) > 0 {
		slices.SortStableFunc(ordered, func(a, b string) int { return failed[a].Compare(failed[b]) })
	}
	return ordered
}

// isLocal reports whether the locator is on this machine, and with it what the
// locator knows under a loopback address.
func (c *hub) isLocal() bool {
	l := c.locator.current.Load()
	return l != nil && kindOf(l.endpoint) <= loopback
}

// A kind tells endpoints that serve a client equally well from others.
type kind int

const (
	local    kind = iota // a Unix socket
	loopback             // an address of this machine
	ipv4
	ipv6
	named
	kinds
)

// kindOf tells the kind of an endpoint, host:port or unix:PATH.
func kindOf(endpoint string) kind {
	if strings.HasPrefix(endpoint, unixPrefix) {
		return local
	}
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return named
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil && host == "localhost", err == nil && addr.Unmap().IsLoopback():
		return loopback
	case err != nil:
		return named
	case addr.Unmap().Is4():
		return ipv4
	}
	return ipv6
}

// shuffleAlike puts what is on this machine first, or loopback addresses last if they
// are those of another machine, and draws the order within each kind.
func shuffleAlike(endpoints []string, here bool) {
	var rank [kinds]int
	rank[local], rank[loopback] = -2, -1
	if !here {
		rank[loopback] = len(endpoints)
	}
	for i, e := range slices.Backward(endpoints) {
		if k := kindOf(e); k > loopback {
			rank[k] = i // in the end where the first of the kind stands
		}
	}
	rand.Shuffle(len(endpoints), func(i, j int) { endpoints[i], endpoints[j] = endpoints[j], endpoints[i] })
	slices.SortStableFunc(endpoints, func(a, b string) int { return rank[kindOf(a)] - rank[kindOf(b)] })
}
