package cocaine

import (
	"context"
	"io"
	"iter"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/idl"
)

// Unicorn is the typed client of the coordination service: a tree of nodes, each
// with a value and a version, which can be watched and locked. A path is a list of
// names with a slash before each: "/config/limits". The root itself cannot be used.
//
// A value may be anything that msgpack can hold; the values of one node need not
// have one type. Whatever is read comes as a Versioned, to be decoded.
//
// Copies of a Unicorn are alike, and any number of goroutines may use them.
type Unicorn struct{ service *Service }

// Unicorn gives the typed client of the service "unicorn".
func (c *Client) Unicorn() Unicorn { return Unicorn{c.Service("unicorn")} }

// Errors of unicorn that callers act upon. Its nodes are those of the tree; the
// machines of a cluster are called nodes, too, but are none of these.
var (
	// ErrNoNode is about a node of the tree that is not there.
	ErrNoNode error = &Error{Category: idl.CategoryUnicorn, Code: idl.UnicornNoNode}
	// ErrNodeExists is the refusal to create a node that is there.
	ErrNodeExists error = &Error{Category: idl.CategoryUnicorn, Code: idl.UnicornNodeExists}
	// ErrHasChildren is the refusal to read a node that has children.
	ErrHasChildren error = &Error{Category: idl.CategoryUnicorn, Code: idl.UnicornHasChildren}
	// ErrBadVersion is the refusal to change a node whose version is another. It has
	// nothing to do with a *VersionError, which is about protocols.
	ErrBadVersion error = &Error{Category: idl.CategoryUnicorn, Code: idl.UnicornVersionMismatch}
)

// A Version counts the changes of a node's value, from 0 when it is created. In a
// Children it counts those of the list of children.
type Version int64

// NoVersion is the version of a node that is not there. As an argument of Remove
// it stands for any version.
const NoVersion Version = -1

// String gives the number, or "none".
func (v Version) String() string {
	if v == NoVersion {
		return "none"
	}
	return strconv.FormatInt(int64(v), 10)
}

// A Versioned is the value of a node at one version.
type Versioned struct {
	Value   Raw // not decoded; nil in msgpack if there is no node
	Version Version
}

// Exists reports whether there is a node.
func (v Versioned) Exists() bool { return v.Version >= 0 }

// Decode decodes the value into v, a non-nil pointer. If there is no node, the
// error is ErrNoNode.
func (v Versioned) Decode(into any) error {
	if !v.Exists() {
		return ErrNoNode
	}
	return v.Value.Decode(into)
}

// Children are the names of a node's children, at one version of that list.
type Children struct {
	Version Version  // of the list, NoVersion if there is no node
	Names   []string // not paths
}

// Get returns the value of a node. A node that is not there is no error: its
// version is NoVersion. One with children has no value: ErrHasChildren.
func (u Unicorn) Get(ctx context.Context, path string) (Versioned, error) {
	return Get[Versioned](ctx, u.service, "get", path)
}

// Put replaces the value of a node if its version is still the given one, and
// returns what the node holds now. If the version was another, done is false, and
// that is no error: look at the current value and try again. If there is no node,
// the error is ErrNoNode.
func (u Unicorn) Put(ctx context.Context, path string, value any, version Version) (current Versioned, done bool, err error) {
	a, err := Get[putAnswer](ctx, u.service, "put", path, value, int64(version))
	return a.current, a.done, err
}

// Create makes a node with a value, at version 0, and its parents if they are
// missing. If there is a node, the error is ErrNodeExists.
func (u Unicorn) Create(ctx context.Context, path string, value any) error {
	return Exec(ctx, u.service, "create", path, value)
}

// Remove removes a node without children, if it has the version, or whatever
// version it has if that is NoVersion. If there is none, the error is ErrNoNode;
// if its version is another, ErrBadVersion.
func (u Unicorn) Remove(ctx context.Context, path string, version Version) error {
	return Exec(ctx, u.service, "remove", path, int64(version))
}

// Increment adds to the number in a node and returns the sum with its version. The
// sum is an integer, or a fraction if the node held one: decode it into a float64 if
// that may be. A node that is not there is made with the number, at version 0; if its
// parent is not there either, the error is ErrNoNode. A node with children is
// ErrHasChildren; one that holds no number, and a sum that does not fit in 64 bits, is
// an *Error of unicorn, too.
//
// When somebody else changes the node at the same time, this runtime adds again. The
// original one gave up, with ErrBadVersion, and nothing was added.
func (u Unicorn) Increment(ctx context.Context, path string, by int64) (Versioned, error) {
	return Get[Versioned](ctx, u.service, "increment", path, by)
}

// IncrementFloat is Increment by a fraction. The sum is a fraction, too.
func (u Unicorn) IncrementFloat(ctx context.Context, path string, by float64) (Versioned, error) {
	return Get[Versioned](ctx, u.service, "increment", path, by)
}

// Subscribe ranges over the values of a node: the one it has now, NoVersion if
// there is no node, and each later one. Values that follow each other quickly may
// be left out; versions never go back. An error is the last pair: ErrNoNode when
// the node is removed, ErrHasChildren when its value changes while it has children.
// Leaving the loop ends the subscription.
func (u Unicorn) Subscribe(ctx context.Context, path string) iter.Seq2[Versioned, error] {
	return Chunks[Versioned](ctx, u.service, "subscribe", path)
}

// SubscribeChildren ranges over the children of a node: those it has now, and
// those it has after each change. Changes that follow each other quickly may be
// seen as one. An error is the last pair, ErrNoNode when there is no node or it is
// removed. Leaving the loop ends the subscription.
func (u Unicorn) SubscribeChildren(ctx context.Context, path string) iter.Seq2[Children, error] {
	return Chunks[Children](ctx, u.service, "children_subscribe", path)
}

// Lock waits until it holds the lock of a path, which is made if it is missing.
// Locks are granted in the order in which they were asked for. If ctx ends first,
// the place in that order is given up; after that ctx means nothing to the lock. A
// service that ends the call without granting it is an error, too.
func (u Unicorn) Lock(ctx context.Context, path string) (*Lock, error) {
	return u.lock(ctx, path, "lock", path)
}

// NamedLock is Lock with a value for others to see, who holds it for one.
func (u Unicorn) NamedLock(ctx context.Context, path string, value any) (*Lock, error) {
	return u.lock(ctx, path, "named_lock", path, value)
}

func (u Unicorn) lock(ctx context.Context, path, method string, args ...any) (*Lock, error) {
	st, err := u.service.start(ctx, method, args, false)
	if err != nil {
		return nil, err
	}
	for held := yesAnswer(false); !held && err == nil; {
		err = st.Decode(ctx, &held)
	}
	if err != nil {
		st.abandon(context.Cause(ctx))
		if err == io.EOF {
			err = st.failed(errHoldEnded)
		}
		return nil, err
	}
	h, err := newHold(u.service.conn.client, st)
	if err != nil {
		return nil, err
	}
	return &Lock{path, h}, nil
}

// A Lock is held until Unlock, or until it is lost: with the connection to the
// service, or because the service lost its own. Who does what only the holder may
// do has to watch Done.
type Lock struct {
	path string
	hold *hold
}

// Path is what is locked.
func (l *Lock) Path() string { return l.path }

// Done is closed when the lock is not held any more, for whatever reason.
func (l *Lock) Done() <-chan struct{} { return l.hold.done }

// Err is why the lock is not held any more, ErrClosed after Unlock; nil while it
// is held.
func (l *Lock) Err() error { return l.hold.reason() }

// Unlock gives the lock to the next one. If the lock was lost before, the error
// says why. Further calls do nothing and return the same.
func (l *Lock) Unlock() error {
	return l.hold.release(func() { l.hold.stream.abandon(nil) })
}
