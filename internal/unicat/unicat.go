// Package unicat is the service that gives and takes permissions on collections of the
// storage and on what lies below the names at the top of unicorn (docs/PROTOCOL.md,
// Permissions). It is only an adapter between the protocol and the records of package
// auth, which may be edited by many at once.
package unicat

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/cocaine/cocaine-go/internal/auth"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Ledger is where the records of one kind of things are. Edit is given nil for who
// if nobody is to be asked for his permission.
type Ledger interface {
	Edit(ctx context.Context, who *auth.Identity, name string, change func(*auth.Record)) error
}

// A Scheme is a kind of things.
type Scheme struct {
	Ledger Ledger
	// Protected says that who edits a record has to be permitted to change the thing.
	Protected bool
}

// Options configure the service.
type Options struct {
	// Identify finds out who calls.
	Identify func(c *rpc.Call) (auth.Identity, error)
	// Storage is that of collections, Unicorn that of names at the top of unicorn.
	Storage, Unicorn Scheme
	// Mux are the options of the service's Mux.
	Mux rpc.MuxOptions
}

// Service is the service `unicat`.
func Service(o Options) *rpc.Mux {
	m := rpc.NewMux(idl.Unicat, o.Mux)
	s := service{o}
	m.Unary("grant", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		return nil, s.edit(ctx, c, (*auth.Record).Grant)
	})
	m.Unary("revoke", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		return nil, s.edit(ctx, c, (*auth.Record).Revoke)
	})
	return m
}

type service struct{ o Options }

// edit changes the record of each thing, one after the other. The first that fails is
// the last: those before it stay changed, and a repetition does no harm.
func (s service) edit(ctx context.Context, c *rpc.Call, change func(*auth.Record, auth.Identity, auth.Access)) error {
	r := c.Reader()
	a, err := readArguments(&r)
	if err != nil {
		return rpc.BadArgs(c, err)
	}
	if a.access < 0 || a.access > int64(auth.ReadWrite) {
		return rpc.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "cannot %s: permissions are 1 to read and 2 to write, have %d", c.Method.Name, a.access)
	}
	caller, err := s.o.Identify(c)
	if err != nil {
		return err
	}
	for _, t := range a.things {
		scheme, name, err := s.find(t)
		if err != nil {
			return err
		}
		who := &caller
		if !scheme.Protected {
			who = nil
		}
		if err := scheme.Ledger.Edit(ctx, who, name, func(r *auth.Record) { change(r, a.whom, auth.Access(a.access)) }); err != nil {
			return err
		}
	}
	return nil
}

// find gives the scheme of a thing, and the name under which its record lies there.
func (s service) find(t thing) (Scheme, string, error) {
	invalid := func(format string, args ...any) (Scheme, string, error) {
		return Scheme{}, "", rpc.Errorf(idl.CategoryGeneric, idl.GenericInvalid, format, args...)
	}
	switch t.scheme {
	case "storage", "unicorn":
	default:
		return invalid("cannot edit permissions of a %q: want storage or unicorn", t.scheme)
	}
	if t.service != "" && t.service != "core" && t.service != t.scheme {
		return invalid("cannot edit permissions in %s %q: there is no such service", t.scheme, t.service)
	}
	if t.scheme == "storage" {
		if t.entity == "" {
			return invalid("cannot edit permissions of a collection without a name")
		}
		return s.o.Storage, t.entity, nil
	}
	name, _, _ := strings.Cut(strings.TrimLeft(t.entity, "/"), "/")
	if name == "" {
		return Scheme{}, "", rpc.Errorf(idl.CategoryUnicorn, idl.UnicornBadPath, "[%d] bad path %.200q", idl.UnicornBadPath, t.entity)
	}
	return s.o.Unicorn, name, nil
}

// A thing is what permissions are for, as it is named in a call.
type thing struct{ scheme, service, entity string }

type arguments struct {
	things []thing
	whom   auth.Identity
	access int64
}

// maxList bounds the lists of a call.
const maxList = 1 << 12

// readArguments reads [[scheme, service or nil, entity], ...], [cid, ...], [uid, ...],
// access.
func readArguments(r *msgpack.Reader) (a arguments, err error) {
	n, err := length(r)
	if err != nil {
		return a, err
	}
	for range n {
		if k := r.Array(); r.Err() == nil && k != 3 {
			return a, fmt.Errorf("an entity has %d parts, want 3", k)
		}
		t := thing{scheme: r.String()}
		if r.Kind() == msgpack.KindNil {
			r.Nil()
		} else {
			t.service = r.String()
		}
		t.entity = r.String()
		if r.Err() != nil {
			return a, r.Err()
		}
		a.things = append(a.things, t)
	}
	if n, err = length(r); err != nil {
		return a, err
	}
	for range n {
		cid := r.Uint()
		if cid > math.MaxUint32 {
			return a, fmt.Errorf("client id %d is too large", cid)
		}
		a.whom.CIDs = append(a.whom.CIDs, uint32(cid))
	}
	if n, err = length(r); err != nil {
		return a, err
	}
	for range n {
		a.whom.UIDs = append(a.whom.UIDs, r.Uint())
	}
	a.access = r.Int()
	return a, r.Err()
}

// length reads that of a list.
func length(r *msgpack.Reader) (int, error) {
	n := r.Array()
	if r.Err() == nil && n > maxList {
		return 0, fmt.Errorf("a list of %d is too long", n)
	}
	if r.Err() != nil {
		return 0, r.Err()
	}
	return n, nil
}
