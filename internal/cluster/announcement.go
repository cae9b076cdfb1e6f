package cluster

import (
	"errors"
	"fmt"
	"math"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Limits on what a node may announce. They are far above anything in use, and keep one
// node from filling the memory of all the others.
const (
	maxName      = 255
	maxEndpoints = 64
	maxGraph     = 64 << 10
	maxServices  = 16 << 10
	maxInventory = 32 << 20 // bytes of all that is known of one node
)

// ErrLie is the end of a link whose node does not say what a node may say.
var ErrLie = errors.New("the node announces what cannot be")

// An announcement is one message of a connect stream.
type announcement struct {
	node     string // uuid
	services []announced
}

// announced is what a node says of one service.
type announced struct {
	name string
	info []byte // [[endpoint...], version, graph], encoded; nil: it is gone
}

// decodeAnnouncement reads [uuid, {name: [[endpoint...], version, graph]}]. Nothing of
// the result aliases args.
func decodeAnnouncement(args []byte) (announcement, error) {
	r := msgpack.NewReader(args)
	if n := r.Array(); n < 2 && r.Err() == nil {
		return announcement{}, fmt.Errorf("%w: a message of %d values, want 2", ErrLie, n)
	}
	a := announcement{node: r.String()}
	n := r.Map()
	if n > maxServices {
		return announcement{}, fmt.Errorf("%w: %d services, the limit is %d", ErrLie, n, maxServices)
	}
	for range n {
		s, err := readAnnounced(&r)
		if err != nil {
			return announcement{}, fmt.Errorf("%w: service %.100q: %w", ErrLie, s.name, err)
		}
		a.services = append(a.services, s)
	}
	if err := r.Err(); err != nil {
		return announcement{}, fmt.Errorf("%w: %w", ErrLie, err)
	}
	return a, nil
}

// readAnnounced reads the name of a service and what is said of it. The graph is
// encoded anew, since it goes on to clients: they need one that is well formed, in the
// dialect that old ones read.
func readAnnounced(r *msgpack.Reader) (announced, error) {
	s := announced{name: r.String()}
	if len(s.name) == 0 || len(s.name) > maxName {
		if err := r.Err(); err != nil {
			return s, err
		}
		return s, fmt.Errorf("a name of %d bytes, want 1 to %d", len(s.name), maxName)
	}
	if n := r.Array(); n < 3 && r.Err() == nil {
		return s, fmt.Errorf("%d values, want endpoints, version and graph", n)
	}
	endpoints, err := idl.ReadEndpoints(r, maxEndpoints)
	if err != nil {
		return s, err
	}
	version := r.Uint()
	if version > math.MaxInt32 {
		return s, fmt.Errorf("version %d is out of range", version)
	}
	graph, err := idl.ReadGraph(r)
	if err != nil {
		return s, err
	}
	if len(endpoints) == 0 {
		return s, nil
	}
	b := idl.AppendEndpoints(msgpack.AppendArray(nil, 3), endpoints)
	b = msgpack.AppendUint(b, version)
	at := len(b)
	if b = graph.Append(b); len(b)-at > maxGraph {
		return s, fmt.Errorf("a graph of %d bytes, the limit is %d", len(b)-at, maxGraph)
	}
	s.info = b
	return s, nil
}

// extraHeader comes with every announcement: a map.
const extraHeader = "x-cocaine-locator-extra"

// NameKey is the name of the cluster in what a node tells of itself to others.
const NameKey = "x-cocaine-cluster"

// clusterOf is the name of the cluster that the sender of an announcement is in, "" if
// it does not say.
func clusterOf(headers []hpack.Header) (string, error) {
	extra, ok := hpack.Lookup(headers, extraHeader)
	if !ok {
		return "", nil
	}
	r := msgpack.NewReader([]byte(extra))
	name := ""
	for range r.Map() {
		key := r.String()
		if key == NameKey && r.Kind() == msgpack.KindRaw {
			name = r.String()
		} else {
			r.Skip()
		}
		if r.Err() != nil {
			break
		}
	}
	if err := r.Err(); err != nil {
		return "", fmt.Errorf("%w: header %s: %w", ErrLie, extraHeader, err)
	}
	return name, nil
}
