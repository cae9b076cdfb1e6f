package unicorn

import (
	"fmt"
	"math/big"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// zero is the encoded integer.
var zero = msgpack.AppendInt(nil, 0)

// add returns the sum of two encoded numbers.
func add(a, b []byte) ([]byte, error) {
	x, err := readNumber(a)
	if err != nil {
		return nil, err
	}
	y, err := readNumber(b)
	if err != nil {
		return nil, err
	}
	if x.integer == nil || y.integer == nil {
		return msgpack.AppendFloat(nil, x.float+y.float), nil
	}
	sum := new(big.Int).Add(x.integer, y.integer)
	switch {
	case sum.IsInt64():
		return msgpack.AppendInt(nil, sum.Int64()), nil
	case sum.IsUint64():
		return msgpack.AppendUint(nil, sum.Uint64()), nil
	}
	return nil, fmt.Errorf("%w: %s does not fit in 64 bits", ErrNotNumber, sum)
}

// number is an integer, or a float only.
type number struct {
	integer *big.Int
	float   float64
}

func readNumber(b []byte) (number, error) {
	r := msgpack.NewReader(b)
	var n number
	switch r.Kind() {
	case msgpack.KindUint:
		n.integer = new(big.Int).SetUint64(r.Uint())
	case msgpack.KindInt:
		n.integer = big.NewInt(r.Int())
	case msgpack.KindFloat:
		n.float = r.Float()
	default:
		return number{}, ErrNotNumber
	}
	if n.integer != nil {
		n.float, _ = new(big.Float).SetInt(n.integer).Float64()
	}
	return n, r.Err()
}
