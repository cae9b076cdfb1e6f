package locator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Storage is what the locator needs of the storage service: the records of the
// routing groups. Read of a missing key returns an error that is
// fs.ErrNotExist; Find returns the keys that carry all the tags.
type Storage interface {
	Read(ctx context.Context, collection, key string) ([]byte, error)
	Find(ctx context.Context, collection string, tags []string) ([]string, error)
}

// Resolver looks host names up. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Gateway knows the services of other nodes. Its methods may be called from any
// goroutine, do not block and do not call the locator.
type Gateway interface {
	// Choose picks one of the nodes that have a service, and gives what it says of
	// it: [[endpoint...], version, graph], encoded. It is nil if there is none.
	Choose(service []byte) (info []byte)
	// Nodes are those that this one is linked to, with the addresses of their
	// locators. The zero address is that of a node which is not connected.
	Nodes() map[string]netip.AddrPort
}

// Options configure a Locator. Only UUID is required.
type Options struct {
	// UUID identifies the node to its peers. It should stay the same from one
	// start to the next.
	UUID string

	// Storage holds the routing groups. If nil there are none.
	Storage Storage

	// Name is the locator's own name, which is never announced. If empty,
	// "locator".
	Name string

	// Restrict names further services that are never announced to peers. They
	// resolve like any other.
	Restrict []string

	// Announce makes connect streams carry the directory. If false, as on a node
	// without a cluster, a connect stream is closed at once.
	Announce bool

	// Extra travels with every announcement, for the gateways of the peers.
	Extra map[string]any

	// Gateway knows the services of other nodes. If nil there are none.
	Gateway Gateway

	// Hostname stands in for the unspecified address (0.0.0.0 or ::) in the
	// endpoints of services that listen on it. If empty, the machine's name.
	Hostname string

	// Resolver looks Hostname up. If nil, net.DefaultResolver.
	Resolver Resolver

	// Log receives what the locator has to tell. If nil, nothing is logged.
	Log *slog.Logger
}

// Locator is the directory of a node, its routing groups, and those who follow
// either. See the package comment for what it promises.
type Locator struct {
	uuid     string
	announce bool
	extra    []byte              // Options.Extra, encoded
	silent   map[string]struct{} // names that are never announced
	storage  Storage
	gateway  Gateway // nil without
	host     host
	log      *slog.Logger

	done   <-chan struct{} // closed by Close
	cancel context.CancelFunc
	loops  sync.WaitGroup

	refreshing chan struct{} // token: whoever holds it may replace groups

	mu        sync.RWMutex // guards everything below; feed.mu and router.mu are taken inside it
	services  map[string]*entry
	published int          // how many of services are external
	addrs     []netip.Addr // what the unspecified address stands for, once looked up
	looked    bool
	named     bool              // addrs were found by the host's name
	groups    map[string]*group // replaced as a whole, never changed in place
	table     []byte            // the arguments of a routing message: all of groups
	feeds     map[string]*feed
	routers   map[string]*router
	channels  map[*publication]struct{} // of clients that publish
}

// Open reads the routing groups and returns a locator with an empty directory.
// It fails if the storage does not answer; a single bad group is logged and
// left out. Close must be called at the end.
func Open(ctx context.Context, o Options) (*Locator, error) {
	if o.UUID == "" {
		return nil, errors.New("cannot open locator: the node has no uuid")
	}
	extra, err := encodeExtra(o.Extra)
	if err != nil {
		return nil, fmt.Errorf("cannot open locator: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Locator{
		uuid:       o.UUID,
		announce:   o.Announce,
		extra:      extra,
		silent:     silentNames(o),
		storage:    o.Storage,
		gateway:    o.Gateway,
		host:       newHost(o),
		log:        o.Log,
		refreshing: make(chan struct{}, 1),
		services:   make(map[string]*entry),
		groups:     make(map[string]*group),
		feeds:      make(map[string]*feed),
		routers:    make(map[string]*router),
		channels:   make(map[*publication]struct{}),
	}
	if err := l.loadGroups(ctx); err != nil {
		return nil, fmt.Errorf("cannot open locator: %w", err)
	}
	life, cancel := context.WithCancel(context.Background())
	l.done, l.cancel = life.Done(), cancel
	l.loops.Go(func() { l.followHost(life) })
	return l, nil
}

// Close ends every connect and routing stream, stops listening to those who
// publish, so that their connections count as idle, and waits for the locator's
// own goroutine. The directory stays readable. Close may be called again.
func (l *Locator) Close() {
	l.cancel()
	for _, p := range l.takeChannels() {
		p.session.Forget(p.channel)
	}
	l.loops.Wait()
}

func encodeExtra(extra map[string]any) ([]byte, error) {
	if extra == nil {
		extra = map[string]any{}
	}
	b, err := msgpack.AppendValue(nil, extra)
	if err != nil {
		return nil, fmt.Errorf("cannot encode extra of announcements: %w", err)
	}
	return b, nil
}

func silentNames(o Options) map[string]struct{} {
	if o.Name == "" {
		o.Name = "locator"
	}
	names := map[string]struct{}{o.Name: {}}
	for _, name := range o.Restrict {
		names[name] = struct{}{}
	}
	return names
}

func newHost(o Options) host {
	h := host{name: o.Hostname, resolver: o.Resolver, turn: make(chan struct{}, 1)}
	if h.name == "" {
		h.name, _ = os.Hostname() // without a name the interfaces are asked
	}
	if h.resolver == nil {
		h.resolver = net.DefaultResolver
	}
	return h
}
