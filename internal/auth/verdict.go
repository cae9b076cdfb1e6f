package auth

import (
	"errors"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// denied is the answer to who may not do something with a thing.
func denied(verb, object string) error {
	return rpc.Errorf(idl.CategoryGeneric, idl.GenericDenied, "cannot %s %s: Permission denied", verb, object)
}

// coded gives what is wrong with a record its code. Whatever keeps a record from
// being read refuses the call.
func coded(err error, object string) error {
	if errors.Is(err, errMalformed) {
		return rpc.Errorf(idl.CategorySecurity, idl.SecurityBadACL, "cannot check permissions of %s: %v", object, err)
	}
	return err
}
