package codec

import (
	"fmt"
	"math"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// preallocated bounds what is made on the word of a count: an element takes one
// byte on the wire and sixteen or more here.
const preallocated = 1 << 10

// dynamic reads the next value without knowing its type. It differs from
// msgpack.Reader.Value in its map keys: some services send maps keyed by number,
// a graph for one, and a caller who prints what it got wants those too.
func dynamic(r *msgpack.Reader) (any, error) {
	v := dynamicValue(r)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return v, nil
}

func dynamicValue(r *msgpack.Reader) any {
	switch r.Kind() {
	case msgpack.KindNil:
		r.Nil()
		return nil
	case msgpack.KindBool:
		return r.Bool()
	case msgpack.KindInt:
		return r.Int()
	case msgpack.KindUint:
		if v := r.Uint(); v > math.MaxInt64 {
			return v
		} else {
			return int64(v)
		}
	case msgpack.KindFloat:
		return r.Float()
	case msgpack.KindArray:
		return dynamicList(r)
	case msgpack.KindMap:
		return dynamicMap(r)
	}
	return r.String() // anything but a raw fails here
}

func dynamicList(r *msgpack.Reader) any {
	n := r.Array()
	list := make([]any, 0, min(n, preallocated))
	for i := 0; i < n && r.Err() == nil; i++ {
		list = append(list, dynamicValue(r))
	}
	return list
}

func dynamicMap(r *msgpack.Reader) any {
	n := r.Map()
	dict := make(map[string]any, min(n, preallocated))
	for i := 0; i < n && r.Err() == nil; i++ {
		key := dynamicKey(r)
		dict[key] = dynamicValue(r)
	}
	return dict
}

func dynamicKey(r *msgpack.Reader) string {
	switch r.Kind() {
	case msgpack.KindBool:
		return strconv.FormatBool(r.Bool())
	case msgpack.KindInt:
		return strconv.FormatInt(r.Int(), 10)
	case msgpack.KindUint:
		return strconv.FormatUint(r.Uint(), 10)
	case msgpack.KindFloat:
		return fmt.Sprint(r.Float())
	}
	return r.String() // nil and containers fail here
}
