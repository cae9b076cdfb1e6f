package unicorn

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// record is what is kept of one node.
type record struct {
	Versioned
	damaged bool
	// kind says how the node came to be.
	kind kind
	// owner marks the one making of an ephemeral node: no two ever have the same.
	owner string
	// rank is the revision in which an ephemeral node was made; zero: the record's.
	rank uint64
}

type kind byte

const (
	persistent kind = iota
	held            // by Hold
	queued          // by Lock
)

// tree is what all the nodes are. It changes by set and remove only, in the order of
// their revisions, and tells those who watch. Nothing in it does any I/O.
type tree struct {
	mu    sync.Mutex
	nodes map[string]*node
	// values and children are the watches.
	values, children watchers
	// ours are the ephemeral nodes of this process, by owner.
	ours  map[string]*Held
	seen  uint64        // revision up to which the tree is right
	moved chan struct{} // closed when seen moves; nil if nobody waits
	err   error         // why the tree has ended
}

// node is one place of the tree. A place whose record is gone stays while it has
// children: that can only come of two runtimes that write at once.
type node struct {
	record
	path     string
	rev      uint64 // of the record, zero if there is none
	names    map[string]struct{}
	sorted   []string // names, nil if it has to be made anew; never changed once made
	cversion uint64   // revision of the last change of names
	queue    []*node  // members of the lock that this node is, by rank
	next     uint64   // number for the next of them
}

func newTree() *tree {
	return &tree{
		nodes: map[string]*node{root: {path: root}}, values: make(watchers), children: make(watchers),
		ours: make(map[string]*Held),
	}
}

// view is what a node was at one time.
type view struct {
	record
	rev    uint64 // zero if there is no record
	exists bool
	leaf   bool // it has no children
	next   uint64
}

func (t *tree) view(path string) (view, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[path]
	if n == nil || t.err != nil {
		return view{record: record{Versioned: missing}, leaf: true}, t.err
	}
	return view{record: n.record, rev: n.rev, exists: true, leaf: len(n.names) == 0, next: n.next}, nil
}

// set puts a record in its place.
func (t *tree) set(path string, r record, rev uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.place(path, rev)
	if n.owner != r.owner {
		t.leave(n) // somebody else's: the removal in between was not shown
	}
	if n.rev != 0 && r.Version < n.Version { // likewise
		t.values.end(path, ErrNoNode)
		t.children.end(path, ErrNoNode)
	}
	n.record, n.rev = r, rev
	if n.rank == 0 {
		n.rank = rev
	}
	t.enter(n)
	t.values.change(path)
	t.step(rev)
}

// place gives the node of a path, and makes it and those above it if need be.
func (t *tree) place(path string, rev uint64) *node {
	if n := t.nodes[path]; n != nil {
		return n
	}
	n := &node{path: path, record: record{Versioned: versioned(nil, 0)}, cversion: rev}
	t.nodes[path] = n
	above, name := split(path)
	parent := t.place(above, rev)
	if parent.names == nil {
		parent.names = make(map[string]struct{})
	}
	parent.names[name] = struct{}{}
	t.changed(parent, rev)
	t.values.end(above, ErrHasChildren)
	return n
}

// changed tells of a change of a node's children.
func (t *tree) changed(n *node, rev uint64) {
	n.sorted, n.cversion = nil, rev
	t.children.change(n.path)
}

// remove takes a record off its place. There may be none.
func (t *tree) remove(path string, rev uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[path]; n != nil {
		t.leave(n)
		n.record, n.rev = record{Versioned: versioned(nil, 0)}, 0
		t.vacate(n, rev)
	}
	t.step(rev)
}

// vacate removes a place that nothing is in, and those above it that are there for
// its sake only.
func (t *tree) vacate(n *node, rev uint64) {
	if n.path == root || n.rev != 0 || len(n.names) > 0 {
		return
	}
	delete(t.nodes, n.path)
	t.values.end(n.path, ErrNoNode)
	t.children.end(n.path, ErrNoNode)
	above, name := split(n.path)
	parent := t.nodes[above]
	delete(parent.names, name)
	t.changed(parent, rev)
	t.vacate(parent, rev)
}

// pass takes note of a change that is not of the tree.
func (t *tree) pass(rev uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.step(rev)
}

// step tells that the tree is right up to a revision.
func (t *tree) step(rev uint64) {
	t.seen = max(t.seen, rev)
	t.wake()
}

func (t *tree) wake() {
	if t.moved != nil {
		close(t.moved)
		t.moved = nil
	}
}

// await waits until the tree is right up to a revision.
func (t *tree) await(ctx context.Context, rev uint64) error {
	for {
		t.mu.Lock()
		if t.err != nil || t.seen >= rev {
			defer t.mu.Unlock()
			return t.err
		}
		if t.moved == nil {
			t.moved = make(chan struct{})
		}
		moved := t.moved
		t.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// raise makes the versions of children, which are not kept, start from a revision
// that is above all that were given out before a restart.
func (t *tree) raise(rev uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.nodes {
		n.cversion = max(n.cversion, rev)
	}
	t.step(rev)
}

// end ends the tree and all that depends on it. The first cause stays.
func (t *tree) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return
	}
	t.err = err
	t.values.endAll(err)
	t.children.endAll(err)
	for _, h := range t.ours {
		h.lose(err)
	}
	t.wake()
}

// owners lists the ephemeral nodes there are, by path.
func (t *tree) owners() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]string)
	for path, n := range t.nodes {
		if n.kind != persistent {
			all[path] = n.owner
		}
	}
	return all
}

// subscribe watches the value of a node.
func (t *tree) subscribe(path string) (*Watch[Versioned], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil, t.err
	}
	if n := t.nodes[path]; n != nil {
		if err := n.readable(); err != nil {
			return nil, err
		}
	}
	w := &Watch[Versioned]{t: t, changed: true, wake: make(chan struct{}, 1)}
	w.look = func() Versioned {
		if n := t.nodes[path]; n != nil {
			return n.Versioned
		}
		return missing
	}
	w.off = func() { t.values.drop(path, w) }
	t.values.add(path, w)
	return w, nil
}

// readable tells whether a node has a value to be read.
func (n *node) readable() error {
	switch {
	case len(n.names) > 0:
		return ErrHasChildren
	case n.damaged:
		return ErrDamaged
	}
	return nil
}

// subscribeChildren watches the children of a node.
func (t *tree) subscribeChildren(path string) (*Watch[Children], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil, t.err
	}
	if t.nodes[path] == nil {
		return nil, ErrNoNode
	}
	w := &Watch[Children]{t: t, changed: true, wake: make(chan struct{}, 1)}
	w.look = func() Children {
		n := t.nodes[path]
		if n.sorted == nil {
			n.sorted = slices.Sorted(maps.Keys(n.names))
		}
		return Children{Version: int64(n.cversion), Names: n.sorted}
	}
	w.off = func() { t.children.drop(path, w) }
	t.children.add(path, w)
	return w, nil
}
