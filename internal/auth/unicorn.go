package auth

import (
	"context"
	"strconv"
	"strings"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Where records are in unicorn: below this node, which is also the name of a subtree
// that is itself protected.
const (
	aclName = ".acls"
	aclRoot = "/" + aclName
)

// Tree is the part of unicorn in which records lie.
type Tree interface {
	// Get reads a node: its value, nil if it has none, and its version, -1 if there
	// is no node.
	Get(ctx context.Context, path string) (value []byte, version int64, err error)
	// Create makes a node, with those above it. It reports false if there is one.
	Create(ctx context.Context, path string, value []byte) (made bool, err error)
	// Put replaces the value of a node. It reports false if the node is of another
	// version, or is gone.
	Put(ctx context.Context, path string, value []byte, version int64) (done bool, err error)
}

// Subtrees keep the permissions of what lies below each name at the top of unicorn.
type Subtrees struct {
	tree Tree
}

// NewSubtrees keeps the permissions in the unicorn that they are for.
func NewSubtrees(t Tree) *Subtrees { return &Subtrees{tree: t} }

// Authorize says whether a method of the unicorn service may run.
//
// The records themselves belong to whom the subtree /.acls does. As long as that is
// nobody, what is done with the record of a subtree counts as done with that subtree:
// else whoever comes could write himself a permission for it.
func (u *Subtrees) Authorize(ctx context.Context, who Identity, c *rpc.Call) error {
	r := c.Reader()
	path := r.String()
	if r.Err() != nil {
		return rpc.BadArgs(c, r.Err())
	}
	need := ReadWrite
	switch c.Method.Name {
	case "get", "subscribe", "children_subscribe":
		need = Read
	}
	name, rest, err := topName(path)
	if err != nil {
		return err
	}
	if inner, _, err := topName(rest); err == nil && name == aclName && inner != aclName && inner != eventName {
		owner, err := u.read(ctx, aclName)
		if err != nil {
			return coded(err, subtree(aclName))
		}
		if owner.record.Empty() {
			record, err := u.read(ctx, inner)
			if err != nil {
				return coded(err, subtree(inner))
			}
			if !record.record.Empty() {
				return record.verdict(who, inner, need)
			}
		}
	}
	return u.Allow(ctx, who, name, need)
}

// topName cuts a path into its first name and what follows it.
func topName(path string) (name, rest string, err error) {
	trimmed := strings.TrimLeft(path, "/")
	if trimmed == "" || trimmed == path {
		return "", "", rpc.Errorf(idl.CategoryUnicorn, idl.UnicornBadPath, "[%d] bad path %.200q", idl.UnicornBadPath, path)
	}
	name, rest, _ = strings.Cut(trimmed, "/")
	return name, "/" + rest, nil
}

func subtree(name string) string { return "unicorn path " + strconv.Quote("/"+name) }

// stored is a record as it lies in unicorn.
type stored struct {
	record  Record
	version int64
}

func (s stored) verdict(who Identity, name string, need Access) error {
	if s.record.Permits(who, need) {
		return nil
	}
	if need == Read {
		return denied("read", subtree(name))
	}
	return denied("change", subtree(name))
}

// nilValue is a msgpack nil.
const nilValue = 0xc0

func (u *Subtrees) read(ctx context.Context, name string) (stored, error) {
	value, version, err := u.tree.Get(ctx, aclRoot+"/"+name)
	if err != nil {
		return stored{}, err
	}
	if len(value) == 0 || len(value) == 1 && value[0] == nilValue {
		return stored{version: version}, nil
	}
	rec, err := parseRecord(value, textKeys)
	return stored{rec, version}, err
}

// Allow says whether an identity may do something below a name at the top. What
// belongs to nobody becomes that of the first known identity that may change it
// because of that.
func (u *Subtrees) Allow(ctx context.Context, who Identity, name string, need Access) error {
	s, err := u.read(ctx, name)
	switch {
	case err != nil:
		return coded(err, subtree(name))
	case !s.record.Empty():
		return s.verdict(who, name, need)
	case need&Write == 0 || who.Anonymous():
		return nil
	}
	lost, err := u.write(ctx, name, s, ownedBy(who))
	if err != nil || lost == nil {
		return err
	}
	// Somebody else was faster: perhaps the same identity.
	if s, err = u.read(ctx, name); err != nil {
		return coded(err, subtree(name))
	}
	if s.record.Permits(who, need) {
		return nil
	}
	return lost
}

// write puts a record in the place of one that was read. lost is the answer to whoever
// loses the race for it, in the words of the original: what was to be made is there,
// or what was to be changed has changed.
func (u *Subtrees) write(ctx context.Context, name string, old stored, r Record) (lost, err error) {
	path, value := aclRoot+"/"+name, r.append(nil, textKeys)
	var done bool
	if old.version < 0 {
		done, err = u.tree.Create(ctx, path, value)
		lost = rpc.Errorf(idl.CategoryUnicorn, idl.UnicornNodeExists, "[%d] cannot change %s: it has got permissions meanwhile",
			idl.UnicornNodeExists, subtree(name))
	} else {
		done, err = u.tree.Put(ctx, path, value, old.version)
		lost = rpc.Errorf(idl.CategorySecurity, idl.SecurityConflict, "cannot change %s: its permissions have changed meanwhile", subtree(name))
	}
	if done || err != nil {
		lost = nil
	}
	return lost, err
}

// Edit changes the record of a name at the top on behalf of an identity, which has to
// be permitted everything; of what belongs to nobody it becomes the owner first, if it
// is known. With no identity nothing is checked.
func (u *Subtrees) Edit(ctx context.Context, who *Identity, name string, change func(*Record)) error {
	for {
		s, err := u.read(ctx, name)
		if err != nil {
			return coded(err, subtree(name))
		}
		missing := s.record.Empty()
		if who != nil && !missing {
			if err := s.verdict(*who, name, ReadWrite); err != nil {
				return err
			}
		} else if who != nil {
			s.record = ownedBy(*who)
		}
		change(&s.record)
		if missing && s.record.Empty() {
			return nil
		}
		if lost, err := u.write(ctx, name, s, s.record); err != nil || lost == nil {
			return err
		}
	}
}
