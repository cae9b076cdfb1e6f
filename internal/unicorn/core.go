package unicorn

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"sync"
	"time"
)

// A journal is where the records are kept. Each change is atomic and gets a
// revision; sooner or later it shows in the tree, changes in the order of their
// revisions, those of other runtimes included.
type journal interface {
	// write keeps a record in the place of revision prev, zero for none. If another
	// is there, the error is errConflict.
	write(ctx context.Context, path string, r record, prev uint64) (rev uint64, err error)
	// remove is write of nothing.
	remove(ctx context.Context, path string, prev uint64) (rev uint64, err error)
	// load gives the newest record; its revision is zero if there is none.
	load(ctx context.Context, path string) (r record, rev uint64, err error)
	// session is under which name this process makes ephemeral nodes now.
	session() (string, error)
	// exclusive reports that nobody else writes.
	exclusive() bool
}

// errConflict means that a record is not of the expected revision.
var errConflict = errors.New("record has changed")

const (
	// stripes is how many locks order the changes of values in this process.
	stripes = 64
	// removals is how many ephemeral nodes are removed at once: thousands of clients
	// may go at the same time.
	removals = 32
	// retry is how long a removal that failed waits before it tries again.
	retry = time.Second
	// makeTimeout is how long the making of an ephemeral node may take. What comes of it
	// after that is removed.
	makeTimeout = 30 * time.Second
)

// core is a Store on a journal.
//
// Changes of the tree's shape take turns (shape), and so do changes of one value
// (turns); each waits until the tree shows what it did. So whoever has his turn sees
// what all others in this process have done, and the journal's revisions matter only
// between processes, and between a change of a value and a removal. A turn of a value
// is taken before that of the shape.
type core struct {
	t   *tree
	j   journal
	log *slog.Logger

	shape turn
	turns [stripes]turn
	seed  maphash.Seed

	removing turn // of removals places

	life context.Context // ends with the store
	stop context.CancelFunc
	wg   sync.WaitGroup // what goes on in the background
}

// A turn is a lock for which waiting can be cut short. As many can have it at once as
// the channel has places, one as a rule.
type turn chan struct{}

func (l turn) take(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l turn) give() { <-l }

// init makes a zero core ready.
func (c *core) init(j journal, log *slog.Logger) {
	c.t, c.j, c.log, c.seed = newTree(), j, log, maphash.MakeSeed()
	c.shape, c.removing = make(turn, 1), make(turn, removals)
	for i := range c.turns {
		c.turns[i] = make(turn, 1)
	}
	c.life, c.stop = context.WithCancel(context.Background())
}

func (c *core) turn(path string) turn { return c.turns[maphash.String(c.seed, path)%stripes] }

// reload is what a node is in the journal, which may be newer than the tree.
func (c *core) reload(ctx context.Context, path string) (view, error) {
	r, rev, err := c.j.load(ctx, path)
	if err != nil {
		return view{}, err
	}
	v, err := c.t.view(path)
	v.record, v.rev = r, rev
	v.exists = rev != 0 || v.exists && !v.leaf
	return v, err
}

// attempt runs f on what a node is, as the tree shows it, until f has had its way: it
// runs again on what is in the journal if the record has changed meanwhile, and if f
// refuses and the tree may be behind.
func (c *core) attempt(ctx context.Context, path string, f func(v view) (rev uint64, err error)) error {
	v, err := c.t.view(path)
	for fresh := c.j.exclusive(); err == nil; fresh = true {
		var rev uint64
		rev, err = f(v)
		if err == nil {
			return c.t.await(ctx, rev)
		}
		if !errors.Is(err, errConflict) && (fresh || !isRefusal(err)) || ctx.Err() != nil {
			return err
		}
		v, err = c.reload(ctx, path)
	}
	return err
}

// isRefusal reports whether an operation failed because of what the record is.
func isRefusal(err error) bool {
	for _, e := range []error{ErrNoNode, ErrNodeExists, ErrVersion, ErrNotNumber, ErrNoValue, ErrDamaged} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Get implements Store.
func (c *core) Get(ctx context.Context, path string) (Versioned, error) {
	err := ctx.Err()
	if err == nil {
		err = CheckPath(path)
	}
	if err == nil {
		c.t.mu.Lock()
		defer c.t.mu.Unlock()
		n := c.t.nodes[path]
		switch {
		case c.t.err != nil:
			err = c.t.err
		case n == nil:
			return missing, nil
		default:
			if err = n.readable(); err == nil {
				return n.Versioned, nil
			}
		}
	}
	return Versioned{}, cannot("read", path, err)
}

// Create implements Store.
func (c *core) Create(ctx context.Context, path string, value []byte) error {
	err := check(ctx, path, value)
	if err == nil {
		err = c.create(ctx, path, value)
	}
	if err != nil {
		return cannot("create", path, err)
	}
	return nil
}

func (c *core) create(ctx context.Context, path string, value []byte) error {
	if err := checkNew(path); err != nil {
		return err
	}
	if err := c.shape.take(ctx); err != nil {
		return err
	}
	defer c.shape.give()
	if err := c.makeAll(ctx, ancestors(path)); err != nil {
		return err
	}
	return c.make(ctx, path, record{Versioned: versioned(value, 0)})
}

// make adds a node below one that is there. The shape is taken.
func (c *core) make(ctx context.Context, path string, r record) error {
	err := c.attempt(ctx, path, func(v view) (uint64, error) {
		if v.exists {
			return 0, ErrNodeExists
		}
		r.nth = c.t.nth(path)
		return c.j.write(ctx, path, r, 0)
	})
	if err != nil || c.j.exclusive() {
		return err
	}
	if ever, told := c.t.owed(path); !told { // another runtime has made one as the nth, too
		return c.tell(ctx, path, ever)
	}
	return nil
}

// unmake removes a node of revision rev.
func (c *core) unmake(ctx context.Context, path string, rev uint64) (uint64, error) {
	if ever, _ := c.t.owed(path); ever != 0 {
		if err := c.tell(ctx, path, ever); err != nil {
			return 0, err
		}
	}
	return c.j.remove(ctx, path, rev)
}

// tell writes beside the parent of a node how many children it has had.
func (c *core) tell(ctx context.Context, path string, ever uint64) error {
	above, _ := split(path)
	return c.attempt(ctx, above, func(v view) (uint64, error) {
		if v.rev == 0 || v.damaged || v.made >= ever {
			return 0, nil
		}
		r := v.record
		r.made = ever
		return c.j.write(ctx, above, r, v.rev)
	})
}

// makeAll makes the nodes that are missing, each below the one before. The shape is
// taken.
func (c *core) makeAll(ctx context.Context, paths []string) error {
	for _, path := range paths {
		v, err := c.t.view(path)
		if err != nil {
			return err
		}
		if v.kind != persistent {
			return fmt.Errorf("%s: %w", show(path), ErrEphemeral)
		}
		if v.exists {
			continue
		}
		err = c.make(ctx, path, record{Versioned: versioned(nil, 0)})
		if err != nil && !errors.Is(err, ErrNodeExists) {
			return err
		}
	}
	return nil
}

// Put implements Store.
func (c *core) Put(ctx context.Context, path string, value []byte, version int64) (bool, Versioned, error) {
	err := check(ctx, path, value)
	if err == nil && version < 0 {
		err = fmt.Errorf("%w: it is negative", ErrVersion)
	}
	next := versioned(value, version+1)
	if err == nil {
		var current Versioned
		current, err = c.change(ctx, path, func(v view) (Versioned, error) {
			if v.Version != version {
				return v.Versioned, ErrVersion
			}
			return next, nil
		})
		switch {
		case err == nil:
			return true, current, nil
		case errors.Is(err, ErrVersion):
			return false, current, nil
		}
	}
	return false, Versioned{}, cannot("write", path, err)
}

// change gives a node the value that f makes of what it is.
func (c *core) change(ctx context.Context, path string, f func(v view) (Versioned, error)) (next Versioned, err error) {
	turn := c.turn(path)
	if err := turn.take(ctx); err != nil {
		return Versioned{}, err
	}
	defer turn.give()
	err = c.attempt(ctx, path, func(v view) (rev uint64, err error) {
		switch {
		case !v.exists:
			return 0, ErrNoNode
		case v.damaged:
			return 0, ErrDamaged
		}
		if next, err = f(v); err != nil {
			return 0, err
		}
		r := v.record
		r.Versioned = next
		return c.j.write(ctx, path, r, v.rev)
	})
	return next, err
}

// Del implements Store.
func (c *core) Del(ctx context.Context, path string, version int64) error {
	err := ctx.Err()
	if err == nil {
		err = CheckPath(path)
	}
	if err == nil {
		err = c.del(ctx, path, version)
	}
	if err != nil {
		return cannot("remove", path, err)
	}
	return nil
}

func (c *core) del(ctx context.Context, path string, version int64) error {
	if err := c.shape.take(ctx); err != nil {
		return err
	}
	defer c.shape.give()
	return c.attempt(ctx, path, func(v view) (uint64, error) {
		switch {
		case !v.exists:
			return 0, ErrNoNode
		case version != AnyVersion && version != v.Version:
			return 0, ErrVersion
		case !v.leaf:
			return 0, ErrNotEmpty
		}
		return c.unmake(ctx, path, v.rev)
	})
}

// Increment implements Store.
func (c *core) Increment(ctx context.Context, path string, number []byte) (Versioned, error) {
	err := check(ctx, path, number)
	if err == nil {
		_, err = add(zero, number)
	}
	for err == nil {
		var current Versioned
		current, err = c.change(ctx, path, func(v view) (Versioned, error) {
			switch {
			case v.Value == nil:
				return Versioned{}, ErrNoValue
			case !v.leaf:
				return Versioned{}, ErrHasChildren
			}
			sum, err := add(v.Value, number)
			return versioned(sum, v.Version+1), err
		})
		if err == nil {
			return current, nil
		}
		if !errors.Is(err, ErrNoNode) {
			break
		}
		current, err = c.begin(ctx, path, number)
		if err == nil {
			return current, nil
		}
		if errors.Is(err, ErrNodeExists) {
			err = nil // somebody was faster: there is something to add to
		}
	}
	return Versioned{}, cannot("increment", path, err)
}

// begin creates a node for a number below a node that is there.
func (c *core) begin(ctx context.Context, path string, number []byte) (Versioned, error) {
	if err := checkNew(path); err != nil {
		return Versioned{}, err
	}
	if err := c.shape.take(ctx); err != nil {
		return Versioned{}, err
	}
	defer c.shape.give()
	if above, _ := split(path); above != root {
		v, err := c.t.view(above)
		switch {
		case err != nil:
			return Versioned{}, err
		case !v.exists:
			return Versioned{}, fmt.Errorf("%s: %w", show(above), ErrNoNode)
		case v.kind != persistent:
			return Versioned{}, fmt.Errorf("%s: %w", show(above), ErrEphemeral)
		}
	}
	sum, err := add(zero, number)
	if err != nil {
		return Versioned{}, err
	}
	first := versioned(sum, 0)
	return first, c.make(ctx, path, record{Versioned: first})
}

// Subscribe implements Store.
func (c *core) Subscribe(path string) (*Watch[Versioned], error) {
	err := CheckPath(path)
	if err == nil {
		var w *Watch[Versioned]
		if w, err = c.t.subscribe(path); err == nil {
			return w, nil
		}
	}
	return nil, cannot("follow", path, err)
}

// SubscribeChildren implements Store.
func (c *core) SubscribeChildren(path string) (*Watch[Children], error) {
	err := CheckPath(path)
	if err == nil {
		var w *Watch[Children]
		if w, err = c.t.subscribeChildren(path); err == nil {
			return w, nil
		}
	}
	return nil, cannot("follow the children of", path, err)
}

// Hold implements Store.
func (c *core) Hold(ctx context.Context, path string, value []byte) (*Held, error) {
	err := check(ctx, path, value)
	if err == nil {
		var h *Held
		if h, err = c.hold(ctx, path, value); err == nil {
			return h, nil
		}
	}
	return nil, cannot("hold", path, err)
}

func (c *core) hold(ctx context.Context, path string, value []byte) (*Held, error) {
	if err := checkNew(path); err != nil {
		return nil, err
	}
	if err := c.shape.take(ctx); err != nil {
		return nil, err
	}
	defer c.shape.give()
	if err := c.makeAll(ctx, ancestors(path)); err != nil {
		return nil, err
	}
	return c.makeHeld(ctx, path, value, held)
}

// Lock implements Store.
func (c *core) Lock(ctx context.Context, path string, value []byte) (*Held, error) {
	err := check(ctx, path, value)
	if err == nil {
		err = CheckPath(join(path, memberName(math.MaxUint64)))
	}
	if err == nil {
		var h *Held
		if h, err = c.join(ctx, path, value); err == nil {
			return h, nil
		}
	}
	return nil, cannot("lock", path, err)
}

// join adds a member to the queue of a lock.
func (c *core) join(ctx context.Context, path string, value []byte) (*Held, error) {
	if err := checkNew(path); err != nil {
		return nil, err
	}
	if err := c.shape.take(ctx); err != nil {
		return nil, err
	}
	defer c.shape.give()
	if err := c.makeAll(ctx, append(ancestors(path), path)); err != nil {
		return nil, err
	}
	v, err := c.t.view(path)
	if err != nil {
		return nil, err
	}
	for number := v.ever; ; number++ {
		h, err := c.makeHeld(ctx, join(path, memberName(number)), value, queued)
		if !errors.Is(err, ErrNodeExists) {
			return h, err
		}
	}
}

// makeHeld makes an ephemeral node. The shape is taken. That ctx ends cannot leave it
// open whether there is one: a node of nobody would block its lock for ever.
func (c *core) makeHeld(ctx context.Context, path string, value []byte, k kind) (*Held, error) {
	session, err := c.j.session()
	if err != nil {
		return nil, err
	}
	h := &Held{path: path, c: c, owner: ownerIn(session), acquired: make(chan struct{}), lost: make(chan struct{})}
	if err := c.t.adopt(h); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeTimeout)
	defer cancel()
	err = c.make(ctx, path, record{Versioned: versioned(value, 0), kind: k, owner: h.owner})
	if err == nil {
		var now string
		if now, err = c.j.session(); err == nil && now == session {
			return h, nil
		}
		err = errExpired // while the node was being made
	}
	c.t.disown(h)
	if !errors.Is(err, ErrNodeExists) {
		c.background(func() { c.discard(path, h.owner) })
	}
	return nil, err
}

// adopt lets the tree tell an ephemeral node's owner of it.
func (t *tree) adopt(h *Held) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.ours[h.owner] = h
	}
	return t.err
}

func (t *tree) owns(owner string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ours[owner] != nil
}

// disown takes adopt back. It reports false if the node was lost before.
func (t *tree) disown(h *Held) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.ours[h.owner]
	delete(t.ours, h.owner)
	return ok
}

func (c *core) release(ctx context.Context, h *Held) error {
	if !c.t.disown(h) {
		return nil
	}
	done := make(chan struct{})
	if !c.background(func() {
		defer close(done)
		c.discard(h.path, h.owner)
	}) {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// background runs f, which has to end with c.life, in a goroutine. It reports false
// if the store has been closed.
func (c *core) background(f func()) bool {
	c.t.mu.Lock() // Close ends the tree before it waits
	defer c.t.mu.Unlock()
	if c.t.err != nil {
		return false
	}
	c.wg.Go(f)
	return true
}

// discard removes an ephemeral node, unless it is somebody else's by now. It returns
// when that is done, or when the store is closed.
func (c *core) discard(path, owner string) {
	for {
		err := c.removeOwned(c.life, path, owner)
		if err == nil || errors.Is(err, ErrNoNode) || errors.Is(err, ErrClosed) || c.life.Err() != nil {
			return
		}
		c.log.Warn("unicorn: an ephemeral node stays for now", "path", show(path), "cause", err)
		select {
		case <-time.After(retry):
		case <-c.life.Done():
			return
		}
	}
}

// removeOwned removes a node if it is still that of an owner; if not, the error is
// ErrNoNode.
func (c *core) removeOwned(ctx context.Context, path, owner string) error {
	if err := c.removing.take(ctx); err != nil {
		return err
	}
	defer c.removing.give()
	return c.attempt(ctx, path, func(v view) (uint64, error) {
		if v.owner == owner {
			return c.unmake(ctx, path, v.rev)
		}
		return 0, ErrNoNode
	})
}

// end ends all that depends on the store, and waits for what goes on in the
// background.
func (c *core) end() {
	c.t.end(ErrClosed)
	c.stop()
	c.wg.Wait()
}

// check is for operations that write a value.
func check(ctx context.Context, path string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckPath(path); err != nil {
		return err
	}
	return checkValue(value)
}
