package cocaine

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// A shaped value knows what the answer that it is read from has to look like.
// Decoding by reflection is kind to what it does not expect, nil and a map in the
// place of a list for two; a typed client is not, so that no nonsense passes for a
// value.
type shaped interface {
	// read reads the n arguments of a message.
	read(r *msgpack.Reader, n int) error
}

// readShaped reads the arguments of a message.
func readShaped(args []byte, v shaped) error {
	r := msgpack.NewReader(args)
	n := r.Array()
	err := r.Err()
	switch {
	case err != nil:
	case n == 0:
		err = errNoValue
	default:
		if err = v.read(&r, n); err == nil {
			err = r.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("cannot decode the answer: %w", err)
	}
	return nil
}

// errNoValue is an answer without one where one is due.
var errNoValue = errors.New("it has no value")

// tuple opens several values, which may be the arguments themselves or one array.
func tuple(r *msgpack.Reader, n, want int) error {
	if n == 1 {
		n = r.Array()
	}
	if n < want && r.Err() == nil {
		return fmt.Errorf("%d values, want %d", n, want)
	}
	return r.Err()
}

// What typed clients read that has no type of its own.
type (
	textAnswer    string
	bytesAnswer   []byte
	namesAnswer   []string
	yesAnswer     bool
	levelAnswer   Severity
	clusterAnswer map[string]string // addresses by uuid
	putAnswer     struct {
		done    bool
		current Versioned
	}
)

func (v *textAnswer) read(r *msgpack.Reader, _ int) error {
	*v = textAnswer(r.String())
	return nil
}

func (v *bytesAnswer) read(r *msgpack.Reader, _ int) error {
	*v = append(bytesAnswer{}, r.Bytes()...)
	return nil
}

func (v *namesAnswer) read(r *msgpack.Reader, _ int) error {
	*v = readNames(r)
	return nil
}

func readNames(r *msgpack.Reader) []string {
	n := r.Array()
	names := make([]string, 0, n)
	for i := 0; i < n && r.Err() == nil; i++ {
		names = append(names, r.String())
	}
	return names
}

func (v *yesAnswer) read(r *msgpack.Reader, _ int) error {
	*v = yesAnswer(r.Bool())
	return nil
}

func (v *levelAnswer) read(r *msgpack.Reader, _ int) error {
	*v = levelAnswer(r.Int())
	return nil
}

func (v *clusterAnswer) read(r *msgpack.Reader, _ int) error {
	n := r.Map()
	nodes := make(clusterAnswer, n)
	for i := 0; i < n && r.Err() == nil; i++ {
		uuid := r.String()
		if err := tuple(r, 1, 2); err != nil {
			return err
		}
		host, port := r.String(), r.Uint()
		nodes[uuid] = ""
		if port != 0 {
			nodes[uuid] = net.JoinHostPort(host, strconv.FormatUint(port, 10))
		}
	}
	*v = nodes
	return nil
}

func (v *putAnswer) read(r *msgpack.Reader, n int) error {
	if err := tuple(r, n, 2); err != nil {
		return err
	}
	v.done = r.Bool()
	return v.current.read(r, 1)
}

func (v *Versioned) read(r *msgpack.Reader, n int) error {
	if err := tuple(r, n, 2); err != nil {
		return err
	}
	v.Value, v.Version = append(Raw{}, r.Raw()...), Version(r.Int())
	return nil
}

func (c *Children) read(r *msgpack.Reader, n int) error {
	if err := tuple(r, n, 2); err != nil {
		return err
	}
	c.Version, c.Names = Version(r.Int()), readNames(r)
	return nil
}

func (t *RoutingTable) read(r *msgpack.Reader, _ int) error {
	n := r.Map()
	table := make(RoutingTable, n)
	for i := 0; i < n && r.Err() == nil; i++ {
		group, points := r.String(), r.Array()
		ring := make([]RoutingPoint, 0, points)
		for j := 0; j < points && r.Err() == nil; j++ {
			if err := tuple(r, 1, 2); err != nil {
				return err
			}
			at := r.Uint()
			if at > 1<<32-1 {
				return fmt.Errorf("point %d is not on a ring of 2^32", at)
			}
			ring = append(ring, RoutingPoint{uint32(at), r.String()})
		}
		table[group] = ring
	}
	*t = table
	return nil
}

func (i *AppInfo) read(r *msgpack.Reader, _ int) error {
	if k := r.Kind(); k != msgpack.KindMap {
		return fmt.Errorf("info is %v, want a map", k)
	}
	return Raw(r.Raw()).Decode(i)
}
