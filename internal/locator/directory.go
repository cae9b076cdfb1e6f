package locator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Limits on what a client may publish. They are far above anything in use, and
// keep one client from filling the node's memory.
const (
	maxName      = 255
	maxEndpoints = 64
	maxGraph     = 64 << 10
	maxPublished = 4096
)

var (
	// ErrNotAvailable is the failure to resolve a name that nobody has.
	ErrNotAvailable = errors.New("service is not available")
	// ErrTaken is the failure to register a name that somebody has.
	ErrTaken = errors.New("name is taken")
	// ErrNoVersion is the failure to publish a protocol without its version.
	ErrNoVersion = errors.New("a protocol needs a version above zero")
	// ErrInvalid is the failure to register what is no service.
	ErrInvalid = errors.New("invalid service")
	// ErrFull is the failure to publish one service too many.
	ErrFull = fmt.Errorf("%d services are published already", maxPublished)
	// ErrClosed is the failure to register with a locator that was closed.
	ErrClosed = errors.New("locator is closed")
)

// Service is an entry of the directory.
type Service struct {
	Name string

	// Endpoints are where it listens. To [Locator.Expose] they may hold an
	// unspecified address; from [Locator.Resolve] they are what a client dials,
	// and empty if the host's addresses are unknown.
	Endpoints []netip.AddrPort

	// Version of the protocol. Zero, with an empty graph, is a service that does
	// not speak Cocaine's protocol.
	Version int

	// Graph is the encoded protocol graph (docs/PROTOCOL.md, Graphs). Nil is the
	// empty graph. It is shared and must not be changed.
	Graph []byte
}

// Registration is the right to a name. Only its holder can give the name up.
type Registration struct {
	l    *Locator
	name string
}

// entry is a registered service with everything a reply needs. It is immutable;
// a change of the host's addresses replaces it.
type entry struct {
	owner    *Registration
	service  Service // Endpoints as given
	external bool
	dial     []netip.AddrPort // the endpoints that clients are told

	// info is [[endpoint...], version, graph]: the arguments of a resolve's value
	// and, as it happens, also what an announcement says about a service.
	info []byte
}

// Expose registers a service of this node. If it listens on an unspecified
// address the first such call looks the host's addresses up, which takes a few
// seconds at most; else it does not block. A name that is taken, also by an
// external service, is refused with [ErrTaken].
func (l *Locator) Expose(ctx context.Context, s Service) (*Registration, error) {
	if err := validate(s); err != nil {
		return nil, fmt.Errorf("cannot expose service %q: %w", s.Name, err)
	}
	if slices.ContainsFunc(s.Endpoints, isUnspecified) {
		if err := l.lookHostOnce(ctx); err != nil {
			return nil, fmt.Errorf("cannot expose service %q: %w", s.Name, err)
		}
	}
	r, err := l.register(s, false)
	if err != nil {
		return nil, fmt.Errorf("cannot expose service %q: %w", s.Name, err)
	}
	return r, nil
}

// Publish registers an external service, whose endpoints are taken as they are.
// A name that is taken is refused with [ErrTaken].
func (l *Locator) Publish(s Service) (*Registration, error) {
	err := validate(s)
	if err == nil {
		err = validatePublished(s)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot publish service %.100q: %w", s.Name, err)
	}
	r, err := l.register(s, true)
	if err != nil {
		return nil, fmt.Errorf("cannot publish service %q: %w", s.Name, err)
	}
	return r, nil
}

func validate(s Service) error {
	switch {
	case s.Name == "":
		return fmt.Errorf("%w: no name", ErrInvalid)
	case len(s.Name) > maxName:
		return fmt.Errorf("%w: name is longer than %d bytes", ErrInvalid, maxName)
	case len(s.Endpoints) > maxEndpoints:
		return fmt.Errorf("%w: more than %d endpoints", ErrInvalid, maxEndpoints)
	case s.Version < 0:
		return fmt.Errorf("%w: version %d", ErrInvalid, s.Version)
	case s.Version == 0 && !isEmptyGraph(s.Graph):
		return ErrNoVersion
	}
	for _, ep := range s.Endpoints {
		if !ep.IsValid() {
			return fmt.Errorf("%w: an endpoint has no address", ErrInvalid)
		}
	}
	return nil
}

func validatePublished(s Service) error {
	if len(s.Graph) > maxGraph {
		return fmt.Errorf("%w: graph is longer than %d bytes", ErrInvalid, maxGraph)
	}
	return nil
}

func (l *Locator) register(s Service, external bool) (*Registration, error) {
	s.Endpoints = slices.Clone(s.Endpoints)
	s.Graph = slices.Clone(s.Graph)
	r := &Registration{l: l, name: s.Name}

	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.services[s.Name]; taken {
		return nil, ErrTaken
	}
	if external && l.published == maxPublished {
		return nil, ErrFull
	}
	if isDone(l.done) {
		return nil, ErrClosed
	}
	if external {
		l.published++
	}
	e := newEntry(r, s, external, l.addrs)
	l.services[s.Name] = e
	l.announceLocked(s.Name, e)
	return r, nil
}

// Remove gives the name up. It may be called again, to no effect.
func (r *Registration) Remove() {
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.services[r.name]
	if e == nil || e.owner != r {
		return
	}
	delete(l.services, r.name)
	if e.external {
		l.published--
	}
	l.announceLocked(r.name, nil)
}

// Resolve finds a service by its name, or by the name of a routing group and a
// seed; without a seed a group chooses at random, by weight. What is on this node
// comes before what the gateway has. The failure is [ErrNotAvailable].
func (l *Locator) Resolve(name, seed string) (Service, error) {
	e, remote, err := l.find([]byte(name), []byte(seed))
	if err != nil {
		return Service{}, err
	}
	if e == nil {
		return decodeService(name, remote)
	}
	s := e.service
	s.Endpoints = slices.Clone(e.dial)
	return s, nil
}

// resolve is the hot path: no allocation unless it fails.
func (l *Locator) resolve(name, seed []byte) (info []byte, err error) {
	e, remote, err := l.find(name, seed)
	if e != nil {
		return e.info, nil
	}
	return remote, err
}

// find looks a name up: a service of this node is an entry, any other what is said
// of it.
func (l *Locator) find(name, seed []byte) (*entry, []byte, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if g := l.groups[string(name)]; g != nil {
		choice := g.choose(seed)
		if e := l.services[choice]; e != nil {
			return e, nil, nil
		}
		if remote := l.elsewhere([]byte(choice)); remote != nil {
			return nil, remote, nil
		}
		return nil, nil, fmt.Errorf("cannot resolve group %q, routed to %q: %w", name, choice, ErrNotAvailable)
	}
	if e := l.services[string(name)]; e != nil {
		return e, nil, nil
	}
	if remote := l.elsewhere(name); remote != nil {
		return nil, remote, nil
	}
	return nil, nil, fmt.Errorf("cannot resolve service %.100q: %w", name, ErrNotAvailable)
}

// elsewhere is what is said of a service of another node, nil if there is none.
func (l *Locator) elsewhere(name []byte) []byte {
	if l.gateway == nil {
		return nil
	}
	return l.gateway.Choose(name)
}

// decodeService reads [[endpoint...], version, graph].
func decodeService(name string, info []byte) (Service, error) {
	r := msgpack.NewReader(info)
	if n := r.Array(); n != 3 && r.Err() == nil {
		return Service{}, fmt.Errorf("cannot resolve service %.100q: the gateway knows %d things of it, want 3", name, n)
	}
	s := Service{Name: name}
	var err error
	if s.Endpoints, err = idl.ReadEndpoints(&r, maxEndpoints); err == nil {
		s.Version, s.Graph = int(r.Int()), slices.Clone(r.Raw())
		err = r.Err()
	}
	if err != nil {
		return Service{}, fmt.Errorf("cannot resolve service %.100q: %w", name, err)
	}
	return s, nil
}

func newEntry(r *Registration, s Service, external bool, host []netip.Addr) *entry {
	dial := s.Endpoints
	if !external {
		dial = dialable(s.Endpoints, host)
	}
	return &entry{owner: r, service: s, external: external, dial: dial, info: appendInfo(nil, dial, s.Version, s.Graph)}
}

// appendInfo appends [[[address, port]...], version, graph].
func appendInfo(b []byte, endpoints []netip.AddrPort, version int, graph []byte) []byte {
	b = msgpack.AppendArray(b, 3)
	b = idl.AppendEndpoints(b, endpoints)
	b = msgpack.AppendInt(b, int64(version))
	if graph == nil {
		return msgpack.AppendMap(b, 0)
	}
	return append(b, graph...)
}

// isEmptyGraph reports whether a graph has no entry.
func isEmptyGraph(graph []byte) bool {
	if graph == nil {
		return true
	}
	r := msgpack.NewReader(graph)
	return r.Map() == 0 && r.Err() == nil
}
