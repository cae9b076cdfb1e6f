package unicorn

import (
	"cmp"
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
	// rank is the revision in which the node was made; zero: the record's.
	rank uint64
	// nth is which of its parent's children the node was made as, counted from 1. Two
	// runtimes that make children at once may give the same.
	nth uint64
	// made is how many children the node has had, as far as no child that is there
	// tells by its nth. It is written before the newest child goes.
	made uint64
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
	path   string
	rev    uint64 // of the record, zero if there is none
	names  map[string]struct{}
	sorted []string // names, nil if it has to be made anew; never changed once made
	ever   uint64   // how many children there have been
	order  uint64   // which of its parent's children this one is, from 1
	queue  []*node  // members of the lock that this node is, by rank
}

// cversion is how often a child has come or gone: all that ever were have come, and
// those that are not there have gone.
func (n *node) cversion() int64 { return int64(2*n.ever) - int64(len(n.names)) }

// bear counts a child that was made as the nth.
func (n *node) bear(child *node, nth uint64) {
	n.ever = max(n.ever+1, nth)
	child.order = n.ever
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
	ever   uint64
}

func (t *tree) view(path string) (view, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[path]
	if n == nil || t.err != nil {
		return view{record: record{Versioned: missing}, leaf: true}, t.err
	}
	return view{record: n.record, rev: n.rev, exists: true, leaf: len(n.names) == 0, ever: n.ever}, nil
}

// set puts a record in its place.
func (t *tree) set(path string, r record, rev uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.rank == 0 {
		r.rank = rev
	}
	n := t.place(path, r.nth)
	if n.rev != 0 && n.rank != r.rank {
		t.replace(n, r.nth)
	}
	changed := n.rev == 0 || n.rank != r.rank || n.Version != r.Version
	n.record, n.rev = r, rev
	if r.made > n.ever { // of children that came and went without being shown
		n.ever = r.made
		t.changed(n)
	}
	t.enter(n)
	switch {
	case !changed:
	case len(n.names) > 0:
		t.values.end(path, ErrHasChildren)
	default:
		t.values.change(path)
	}
	t.step(rev)
}

// replace makes a node another one of its path: the removal in between was not shown.
func (t *tree) replace(n *node, nth uint64) {
	t.leave(n)
	t.values.end(n.path, ErrNoNode)
	t.children.end(n.path, ErrNoNode)
	if len(n.names) == 0 {
		n.ever = 0
	}
	above, _ := split(n.path)
	parent := t.nodes[above]
	parent.bear(n, nth)
	t.changed(parent)
}

// place gives the node of a path, and makes it, as the nth child, and those above it if
// need be.
func (t *tree) place(path string, nth uint64) *node {
	if n := t.nodes[path]; n != nil {
		return n
	}
	n := &node{path: path, record: record{Versioned: versioned(nil, 0)}}
	t.nodes[path] = n
	above, name := split(path)
	parent := t.place(above, 0)
	if parent.names == nil {
		parent.names = make(map[string]struct{})
	}
	parent.names[name] = struct{}{}
	parent.bear(n, nth)
	t.changed(parent)
	return n
}

// changed tells of a change of a node's children.
func (t *tree) changed(n *node) {
	n.sorted = nil
	t.children.change(n.path)
}

// count finds out how many children each node has had, once all that is there is
// known: until then children may have been shown in another order than they were made.
func (t *tree) count() {
	t.mu.Lock()
	defer t.mu.Unlock()
	below := make(map[*node][]*node)
	for path, n := range t.nodes {
		if path != root {
			above, _ := split(path)
			below[t.nodes[above]] = append(below[t.nodes[above]], n)
		}
	}
	for n, children := range below {
		slices.SortFunc(children, func(a, b *node) int { return cmp.Compare(a.rank, b.rank) })
		n.ever = 0
		for _, child := range children {
			n.bear(child, child.nth)
		}
		n.ever = max(n.ever, n.made)
	}
}

// nth is which child of its parent a node would be that is made now.
func (t *tree) nth(path string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	above, _ := split(path)
	if parent := t.nodes[above]; parent != nil {
		return parent.ever + 1
	}
	return 1
}

// owed is how many children the parent of a node has had, if that is not written
// anywhere but, where told, beside the node itself; else zero.
func (t *tree) owed(path string) (ever uint64, told bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[path]
	above, _ := split(path)
	parent := t.nodes[above]
	if n == nil || above == root || n.order != parent.ever || parent.made >= parent.ever {
		return 0, true
	}
	return parent.ever, n.nth == n.order
}

// remove takes a record off its place. There may be none.
func (t *tree) remove(path string, rev uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[path]; n != nil {
		t.leave(n)
		n.record, n.rev = record{Versioned: versioned(nil, 0)}, 0
		t.vacate(n)
	}
	t.step(rev)
}

// vacate removes a place that nothing is in, and those above it that are there for
// its sake only.
func (t *tree) vacate(n *node) {
	if n.path == root || n.rev != 0 || len(n.names) > 0 {
		return
	}
	delete(t.nodes, n.path)
	t.values.end(n.path, ErrNoNode)
	t.children.end(n.path, ErrNoNode)
	above, name := split(n.path)
	parent := t.nodes[above]
	delete(parent.names, name)
	t.changed(parent)
	t.vacate(parent)
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
		return Children{Version: n.cversion(), Names: n.sorted}
	}
	w.off = func() { t.children.drop(path, w) }
	t.children.add(path, w)
	return w, nil
}
