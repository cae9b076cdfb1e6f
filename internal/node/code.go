package node

import (
	"maps"
	"slices"
	"sync"
)

// codeUse counts who uses which code of an app, so that none is removed under
// somebody: an engine that drains still starts workers. The spooler is told under
// the lock, lest an older word comes after a newer one.
type codeUse struct {
	keep func(digests ...string)

	mu   sync.Mutex
	used map[string]int
}

// hold says that a release is going to be used, before it is spooled.
func (c *codeUse) hold(digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used == nil {
		c.used = make(map[string]int)
	}
	c.used[digest]++
}

// release takes back one hold. What the last release leaves is kept: the app may
// start again.
func (c *codeUse) release(digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used[digest]--; c.used[digest] == 0 {
		delete(c.used, digest)
	}
	c.tell()
}

// collect lets the spooler remove what nobody uses.
func (c *codeUse) collect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell()
}

// tell is called with mu held.
func (c *codeUse) tell() {
	if len(c.used) > 0 {
		c.keep(slices.Sorted(maps.Keys(c.used))...)
	}
}
