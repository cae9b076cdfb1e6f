package unicorn

import (
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// arguments are those of any of the methods. They share the memory of the call.
type arguments struct {
	path    string
	value   []byte // one msgpack value, nil where the method has none
	version int64
}

// decode reads the arguments of a method. Surplus ones are ignored, as by all
// services.
func decode(c *rpc.Call) (arguments, error) {
	r := c.Reader()
	a, err := readArguments(&r, c.Method.ID)
	if err != nil {
		return arguments{}, rpc.BadArgs(c, err)
	}
	return a, nil
}

func readArguments(r *msgpack.Reader, method uint64) (arguments, error) {
	a := arguments{path: r.String()}
	switch method {
	case idl.UnicornPut:
		a.value, a.version = r.Raw(), r.Int()
	case idl.UnicornCreate, idl.UnicornIncrement, idl.UnicornNamedLock:
		a.value = r.Raw()
	case idl.UnicornDel, idl.UnicornRemove:
		a.version = r.Int()
	}
	return a, r.Err()
}
