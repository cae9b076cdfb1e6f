package auth

import (
	"context"
	"fmt"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// eventName is the node below the records of unicorn in which the lists of methods
// are: /.acls/event/SERVICE/cids/ID and /.acls/event/SERVICE/uids/ID.
const eventName = "event"

// Events keep lists of the methods of services that may be called. Each id has a list
// of its own for each service, a map whose keys are names of methods.
type Events struct {
	tree Tree
}

// NewEvents keeps the lists in a unicorn.
func NewEvents(t Tree) *Events { return &Events{tree: t} }

// Allow says whether an identity may call a method: if all of its client ids may, or
// all of its user ids. Nobody else may; nobody owns anything.
func (e *Events) Allow(ctx context.Context, who Identity, service, method string) error {
	if who.Anonymous() {
		return rpc.Errorf(idl.CategorySecurity, idl.SecurityUnauthorized, "cannot call %s of %s: no identity was given", method, service)
	}
	ok, err := listed(ctx, e.tree, service, method, "uids", who.UIDs)
	if err == nil && !ok {
		ok, err = listed(ctx, e.tree, service, method, "cids", who.CIDs)
	}
	if err != nil {
		return coded(err, fmt.Sprintf("method %s of %s", method, service))
	}
	if !ok {
		return rpc.Errorf(idl.CategorySecurity, idl.SecurityDenied, "cannot call %s of %s: permission denied", method, service)
	}
	return nil
}

// listed reports whether the lists of all ids have a method. Of no ids none has.
func listed[K uint32 | uint64](ctx context.Context, t Tree, service, method, kind string, ids []K) (bool, error) {
	for _, id := range ids {
		value, _, err := t.Get(ctx, aclRoot+"/"+eventName+"/"+service+"/"+kind+"/"+strconv.FormatUint(uint64(id), 10))
		if err != nil {
			return false, err
		}
		if ok, err := hasMethod(value, method); err != nil || !ok {
			return false, err
		}
	}
	return len(ids) > 0, nil
}

// hasMethod reports whether a list of methods has one. What the list says of it is not
// read.
func hasMethod(list []byte, method string) (found bool, err error) {
	if len(list) == 0 || len(list) == 1 && list[0] == nilValue {
		return false, nil
	}
	r := msgpack.NewReader(list)
	for n := r.Map(); n > 0 && r.Err() == nil; n-- {
		found = r.String() == method || found
		r.Skip()
	}
	if err := r.Err(); err != nil {
		return false, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if r.Len() > 0 {
		return false, fmt.Errorf("%w: %d bytes follow it", errMalformed, r.Len())
	}
	return found, nil
}
