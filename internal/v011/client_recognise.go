package v011

import (
	"fmt"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// RecogniseOnService tells the generations apart on the port of a service other than
// the locator, where only some frames tell: a peer that does not show that it speaks
// v0.11 speaks v0.12. It is for rpc.SessionOptions.
func (s *ClientService) RecogniseOnService(l wire.Limits) func([]byte) (rpc.Dialect, error) {
	return s.recognise(l, func(opening, []byte) (bool, error) { return false, nil })
}

// RecogniseOnLocator tells the generations apart on the port of the locator, by the
// first frame of a connection. It is for rpc.SessionOptions.
func (s *ClientService) RecogniseOnLocator(l wire.Limits) func([]byte) (rpc.Dialect, error) {
	return s.recognise(l, opensOldLocator)
}

// recognise decides by what the two kinds of port have in common, and asks rest about
// frames of three elements that do not begin with 0.
func (s *ClientService) recognise(l wire.Limits, rest func(o opening, args []byte) (bool, error)) func([]byte) (rpc.Dialect, error) {
	return func(buf []byte) (rpc.Dialect, error) {
		old, err := isOld(buf, rest)
		if err != nil || !old {
			return nil, err
		}
		return newClientDialect(s, l), nil
	}
}

// opening is the start of a connection's first frame.
type opening struct {
	elements uint64
	a, b     uint64
	nargs    uint64
}

// isOld decides by as few bytes as possible, however many of them are there: all that
// is asked for must be of the right type.
func isOld(buf []byte, rest func(o opening, args []byte) (bool, error)) (bool, error) {
	var o opening
	t, buf, err := token(buf, msgpack.KindArray)
	if err != nil {
		return false, err
	}
	o.elements = t.Items
	switch {
	case o.elements > 3:
		return false, nil
	case o.elements < 3:
		return false, fmt.Errorf("%w: a message of %d elements", wire.ErrFraming, o.elements)
	}
	if t, buf, err = token(buf, msgpack.KindUint); err != nil {
		return false, err
	}
	o.a = t.Value
	if t, buf, err = token(buf, msgpack.KindUint); err != nil {
		return false, err
	}
	o.b = t.Value
	if t, buf, err = token(buf, msgpack.KindArray); err != nil {
		return false, err
	}
	o.nargs = t.Items
	if o.a == 0 {
		return true, nil
	}
	return rest(o, buf)
}

// opensOldLocator knows the methods of the v0.11 locator from those of the v0.12 one:
// synchronize and reports have no arguments, refresh has one name, where v0.12 has a
// list. Clients of v0.11 count sessions from 0 or 1.
func opensOldLocator(o opening, args []byte) (bool, error) {
	if o.b > 1 {
		return false, nil
	}
	switch o.a {
	case 1, 2:
		return o.nargs == 0, nil
	case 3:
		if o.nargs != 1 {
			return false, nil
		}
		t, err := msgpack.ReadToken(args)
		if len(args) > 0 && t.Kind == msgpack.KindRaw {
			return true, nil
		}
		return false, err
	}
	return false, nil
}

// token reads one token of a kind.
func token(buf []byte, want msgpack.Kind) (msgpack.Token, []byte, error) {
	t, err := msgpack.ReadToken(buf)
	if err != nil {
		return t, nil, err
	}
	if t.Kind != want {
		return t, nil, fmt.Errorf("%w: %v in place of %v", wire.ErrFraming, t.Kind, want)
	}
	return t, buf[t.Size:], nil
}
