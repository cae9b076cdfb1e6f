package unicorn

import (
	"context"
	"errors"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

const (
	// MaxValue is the size of the largest value in bytes: what fits in one message
	// of the state engine, with room for its headers.
	MaxValue = 1000 << 10
	// maxDepth is how many containers may be nested in a value, so that it still
	// fits in an answer, which nests it in three.
	maxDepth = msgpack.MaxDepth - 3
)

// Versions that are none.
const (
	// NoVersion is the version of a node that does not exist.
	NoVersion int64 = -1
	// AnyVersion lets Del remove a node whatever its version is.
	AnyVersion int64 = -1
)

// Store is the tree. See the package comment for the model and what holds.
// Every method is safe for concurrent use, and every path is checked by CheckPath.
// Values given to a Store are not kept; those it returns must not be changed.
//
// When the error is that of ctx, what was to be written may have been written.
type Store interface {
	// Get reads a node. One that does not exist has the value nil and NoVersion.
	// One that has children is ErrHasChildren.
	Get(ctx context.Context, path string) (Versioned, error)
	// Create makes a node of version 0, and those of its ancestors that are missing,
	// without values. If the node exists, the error is ErrNodeExists.
	Create(ctx context.Context, path string, value []byte) error
	// Put replaces the value of a node whose version is the given one, and returns
	// true and what the node is now. If the version is another, it returns false and
	// what the node is. A missing node is ErrNoNode, a negative version ErrVersion.
	Put(ctx context.Context, path string, value []byte, version int64) (ok bool, current Versioned, err error)
	// Del removes a node whose version is the given one, or AnyVersion. The error is
	// ErrNoNode, ErrVersion, or ErrNotEmpty for a node with children.
	Del(ctx context.Context, path string, version int64) error
	// Increment adds a number to that of a node and returns what the node is now. A
	// missing node is created with it, its parent is not (ErrNoNode). The sum is a
	// float if one of the two is. A value that is no number, and a sum of integers
	// that does not fit in 64 bits, is ErrNotNumber; no value at all is ErrNoValue.
	Increment(ctx context.Context, path string, number []byte) (Versioned, error)

	// Subscribe follows the value of a node, from what it is now, which may be
	// missing. The watch ends with ErrNoNode when the node is removed, and with
	// ErrHasChildren when the value changes while the node has children; that there are
	// some is no change of it.
	Subscribe(path string) (*Watch[Versioned], error)
	// SubscribeChildren follows the names of a node's children. The watch ends with
	// ErrNoNode when the node is removed; a missing node is ErrNoNode, too.
	SubscribeChildren(path string) (*Watch[Children], error)

	// Hold makes a node that exists until it is released, or until the runtime ends.
	// Missing ancestors are made as Create does, and stay.
	Hold(ctx context.Context, path string, value []byte) (*Held, error)
	// Lock joins the queue of a lock, which is a node with one child for each member,
	// and returns at once. Held.Acquired tells when it is the member's turn. The node
	// and its ancestors are made as Create does, and stay.
	Lock(ctx context.Context, path string, value []byte) (*Held, error)
}

// Versioned is the value of a node and its version.
type Versioned struct {
	// Value is a msgpack value as it was written, or nil (not the empty slice) for a
	// missing node and for one without a value.
	Value []byte
	// Version counts the changes of the value, from 0.
	Version int64
	// args is [[Value, Version]], which shares the memory of Value; nil if nobody has
	// made it yet.
	args []byte
}

// missing is what a node is that does not exist.
var missing = versioned(nil, NoVersion)

// versioned copies a value into a Versioned.
func versioned(value []byte, version int64) Versioned {
	const longest = 2 + 9 // two headers and a version
	b := msgpack.AppendArray(make([]byte, 0, len(value)+longest), 1)
	b = msgpack.AppendArray(b, 2)
	start := len(b)
	if value == nil {
		b = msgpack.AppendNil(b)
	} else {
		b = append(b, value...)
	}
	end := len(b)
	v := Versioned{Version: version, args: msgpack.AppendInt(b, version)}
	if value != nil {
		v.Value = v.args[start:end:end]
	}
	return v
}

// appendVersioned appends [value, version].
func (v Versioned) append(b []byte) []byte {
	if v.args == nil {
		v = versioned(v.Value, v.Version)
	}
	return append(b, v.args[1:]...)
}

// Children are the names of a node's children.
type Children struct {
	// Version counts the children that have come and those that have gone since the node
	// was made.
	Version int64
	// Names are sorted bytewise. They must not be changed.
	Names []string
}

// What can be wrong with an operation. Match them with errors.Is.
var (
	// ErrHasChildren means that the value of a node with children was asked for.
	ErrHasChildren = errors.New("node has children")
	// ErrNotNumber means that a value is no number, or that a sum is too large.
	ErrNotNumber = errors.New("value is not a number")
	// ErrDamaged means that what is stored for a node cannot be read.
	ErrDamaged = errors.New("stored value is damaged")
	// ErrNoValue means that a node has no value, as it was made for those below it.
	ErrNoValue = errors.New("node has no value")
	// ErrBadPath means that a path is none. See CheckPath.
	ErrBadPath = errors.New("bad path")
	// ErrBadName means that a path has a name that no node has, or may be given. See
	// CheckPath.
	ErrBadName = errors.New("bad name")
	// ErrVersion means that the version of a node is not the given one.
	ErrVersion = errors.New("version does not match")
	// ErrNoNode means that there is no node.
	ErrNoNode = errors.New("no such node")
	// ErrNodeExists means that there is a node already.
	ErrNodeExists = errors.New("node exists")
	// ErrNotEmpty means that a node cannot be removed because it has children.
	ErrNotEmpty = errors.New("node has children that must go first")
	// ErrEphemeral means that a node cannot have children because it is held.
	ErrEphemeral = errors.New("node is ephemeral and cannot have children")
	// ErrTooLarge means that a value is larger than MaxValue.
	ErrTooLarge = errors.New("value is too large")
	// ErrBadValue means that a value is not exactly one msgpack value, has a map with a
	// key that is not raw, or is nested too deep to be sent.
	ErrBadValue = errors.New("bad value")
	// ErrClosed means that the store was closed, or that the state engine is gone.
	ErrClosed = errors.New("unicorn is closed")
)

func checkValue(value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(value), MaxValue)
	}
	rest, err := msgpack.Skip(value, maxDepth)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow it", len(rest))
	}
	if err == nil {
		_, err = checkKeys(value)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadValue, err)
	}
	return nil
}

// checkKeys walks the first value of b, which is well-formed, and returns what follows
// it. The keys of maps must be raw: other clients have no type for such a map.
func checkKeys(b []byte) (rest []byte, err error) {
	t, err := msgpack.ReadToken(b)
	if err != nil {
		return nil, err
	}
	rest = b[t.Size:]
	if t.Kind != msgpack.KindArray && t.Kind != msgpack.KindMap {
		return rest, nil
	}
	for i := range t.Items {
		if t.Kind == msgpack.KindMap && i%2 == 0 {
			if key, err := msgpack.ReadToken(rest); err != nil || key.Kind != msgpack.KindRaw {
				return nil, fmt.Errorf("a map has a key that is %s, want raw", key.Kind)
			}
		}
		if rest, err = checkKeys(rest); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// cannot wraps the cause of a failed operation.
func cannot(verb, path string, err error) error {
	return fmt.Errorf("cannot %s %s: %w", verb, show(path), err)
}
