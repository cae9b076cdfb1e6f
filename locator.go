package cocaine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

const locatorName = "locator"

// A Resolution is what the locator knows of a service.
type Resolution struct {
	Name      string   // as it was asked for, that of a group included
	Endpoints []string // host:port, or unix:PATH for a locator, in the order the locator has them
	Version   int      // of its protocol
	Methods   []Method // its own, by ascending id; not the control messages, which every service has
	graph     idl.Graph
}

// A Method is what a service tells of one of its methods.
type Method struct {
	ID      uint64   // in the frames of a call
	Name    string   // what Call and the like take
	Accepts []string // messages the caller may send after the call; empty: none
	Replies []string // messages the service may answer with; empty: it does not answer
}

// A Locator asks the locator itself. Calling a Service needs none of this.
type Locator struct{ service *Service }

// Locator gives the typed client of the locator.
func (c *Client) Locator() Locator { return Locator{c.Service(locatorName)} }

// Resolve finds a service by name. For the name of a routing group the locator
// picks one of its members. All errors are a *CallError around a *ResolveError; if
// nobody serves the name, they wrap ErrServiceNotFound.
func (l Locator) Resolve(ctx context.Context, name string) (*Resolution, error) {
	return l.ResolveSeed(ctx, name, "")
}

// ResolveSeed is Resolve that picks the same member of a routing group for the
// same seed, for as long as the group does not change. An empty one leaves it to
// chance.
func (l Locator) ResolveSeed(ctx context.Context, name, seed string) (*Resolution, error) {
	if name == locatorName && l.service.made() {
		return l.service.conn.find(ctx)
	}
	r, err := l.ask(ctx, name, seed)
	if errors.Is(err, ErrDisconnected) { // asking twice does no harm
		r, err = l.ask(ctx, name, seed)
	}
	if err != nil {
		return nil, l.service.failed("resolve", err)
	}
	return r, nil
}

// ask is ResolveSeed of another service than the locator, without a repeat.
func (l Locator) ask(ctx context.Context, name, seed string) (*Resolution, error) {
	args := []any{name}
	if seed != "" {
		args = append(args, seed)
	}
	m, from, err := l.service.once(ctx, "resolve", args)
	failed := &ResolveError{Service: name}
	if from != nil {
		failed.Locator = from.endpoint
	}
	if err != nil {
		failed.Err = unwrapCall(err)
		return nil, failed
	}
	r, err := parseResolution(name, m.Args)
	if err != nil {
		failed.Err = &kindError{fmt.Errorf("bad answer of the locator: %w", err), ErrBadAnswer}
		return nil, failed
	}
	return r, nil
}

// Refresh makes the locator read the named routing groups anew.
func (l Locator) Refresh(ctx context.Context, groups ...string) error {
	return Exec(ctx, l.service, "refresh", groups)
}

// UUID is the identity of the node that the locator runs on.
func (l Locator) UUID(ctx context.Context) (string, error) {
	uuid, err := Get[textAnswer](ctx, l.service, "uuid")
	return string(uuid), err
}

// unwrapCall takes the name of the call off an error that is going to get another
// description.
func unwrapCall(err error) error {
	if e, ok := err.(*CallError); ok {
		return e.Err
	}
	return err
}

// locatorResolution finds the locator, which nobody has to be asked about.
func locatorResolution(addresses []string) func(context.Context) (*Resolution, error) {
	return func(context.Context) (*Resolution, error) {
		graph, err := idl.ParseGraph(idl.Locator.AppendGraph(nil))
		if err != nil {
			return nil, err
		}
		return newResolution(locatorName, addresses, idl.Locator.Version, graph), nil
	}
}

// parseResolution reads the answer of locator.resolve: a list of endpoints, a
// version and a graph (docs/PROTOCOL.md, Services, locator).
func parseResolution(name string, args []byte) (*Resolution, error) {
	r := msgpack.NewReader(args)
	if n := r.Array(); n < 3 && r.Err() == nil {
		return nil, fmt.Errorf("%d values, want 3", n)
	}
	n := r.Array()
	endpoints := make([]string, 0, min(n, 16))
	for range n {
		endpoint, err := readEndpoint(&r)
		if err != nil {
			return nil, err
		}
		endpoints = append(endpoints, endpoint)
	}
	version := r.Int()
	if err := r.Err(); err != nil {
		return nil, err
	}
	graph, err := idl.ReadGraph(&r)
	if err != nil {
		return nil, err
	}
	return newResolution(name, endpoints, int(version), graph), nil
}

// readEndpoint reads a host and a port.
func readEndpoint(r *msgpack.Reader) (string, error) {
	n := r.Array()
	if n < 2 && r.Err() == nil {
		return "", fmt.Errorf("endpoint of %d values, want 2", n)
	}
	host, port := r.String(), r.Uint()
	for i := 2; i < n && r.Err() == nil; i++ {
		r.Skip()
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10)), r.Err()
}

func newResolution(name string, endpoints []string, version int, graph idl.Graph) *Resolution {
	r := &Resolution{Name: name, Endpoints: endpoints, Version: version, graph: graph}
	for id, e := range graph {
		if idl.IsControl(id) {
			continue
		}
		r.Methods = append(r.Methods, Method{ID: id, Name: e.Name, Accepts: messageNames(e.Tx), Replies: messageNames(e.Rx)})
	}
	slices.SortFunc(r.Methods, func(a, b Method) int { return int(a.ID) - int(b.ID) })
	return r
}

func messageNames(n *idl.Node) []string {
	if n == nil {
		return nil
	}
	names := make([]string, len(n.Messages))
	for i := range n.Messages {
		names[i] = n.Messages[i].Name
	}
	return names
}
