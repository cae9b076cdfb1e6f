package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// DefaultInterval is how often a node is heard of when all is well.
const DefaultInterval = 5 * time.Second

// silences is after how many intervals without a word a node counts as gone.
const silences = 3

// maxLinks bounds the nodes that are linked: a datagram is enough to name one.
const maxLinks = 1024

// maxMessage bounds one announcement.
const maxMessage = 32 << 20

// Options configure Links. Only UUID is required.
type Options struct {
	// UUID is the identity of this node.
	UUID string
	// Name is that of the cluster. What nodes of another one announce is ignored.
	Name string
	// Token is the value of the header authorization that other nodes are shown, for
	// those that want to know who calls. If empty, there is no such header.
	Token string
	// Interval is how often a node that announces nothing is asked for a sign of
	// life; one that gives none for three times as long has lost its link. If zero,
	// DefaultInterval.
	Interval time.Duration
	// Dial connects to a locator. If nil, a net.Dialer that probes idle connections
	// does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Session configures the connections; its Acceptor is not used.
	Session rpc.SessionOptions
	// Log receives what happens to the links. If nil, nothing is logged.
	Log *slog.Logger
}

// Links are the connections to the locators of other nodes. See the package comment
// for what they do. New makes them, Close ends them.
type Links struct {
	o         Options
	log       *slog.Logger
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	headers   []hpack.Header // of every call
	directory directory

	mu     sync.Mutex // guards what follows; directory.mu is never taken inside it
	closed bool
	links  map[key]*link
	held   map[string]*visit // by uuid: those whose services the directory has
	full   bool              // somebody was told that there are too many links
}

// key is what discovery knows a node by: its uuid, or, if that is not known, an
// address.
type key struct{ uuid, address string }

// New makes Links without a link.
func New(o Options) (*Links, error) {
	if o.UUID == "" {
		return nil, errors.New("cannot make links: the node has no uuid")
	}
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Session.Acceptor, o.Session.Recognise = nil, nil
	o.Session.Limits = wire.Limits{MaxFrame: maxMessage}
	l := &Links{o: o, log: o.Log, links: make(map[key]*link), held: make(map[string]*visit)}
	if o.Token != "" {
		l.headers = []hpack.Header{{Name: hpack.Authorization, Value: o.Token}}
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// Link has this node linked to another. If it is already, endpoints are where it is
// looked for after a loss; the order is that in which they are tried. A node is linked
// once, however often Link is called, and never to itself.
func (l *Links) Link(uuid string, endpoints []netip.AddrPort) {
	if uuid == "" || uuid == l.o.UUID || len(endpoints) == 0 {
		return
	}
	addresses := make([]string, len(endpoints))
	for i, ep := range endpoints {
		addresses[i] = ep.String()
	}
	l.link(key{uuid: uuid}, addresses)
}

// Predefine links this node to one whose locator is at an address, host:port, for
// good. The uuid may be empty: then it is whoever is found there, and may be this node
// itself.
func (l *Links) Predefine(uuid, address string) {
	if uuid != "" {
		if uuid != l.o.UUID {
			l.link(key{uuid: uuid}, []string{address})
		}
		return
	}
	l.link(key{address: address}, []string{address})
}

func (l *Links) link(k key, addresses []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if have := l.links[k]; have != nil {
		have.move(addresses)
		return
	}
	if len(l.links) >= maxLinks {
		if !l.full {
			l.full = true
			l.log.Warn("not linking to any more nodes", "limit", maxLinks)
		}
		return
	}
	n := &link{l: l, key: k, addresses: addresses, moved: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(l.ctx)
	n.cancel = cancel
	l.links[k] = n
	l.wg.Go(func() {
		defer cancel()
		n.run(ctx)
	})
}

// Drop ends the link to a node and forgets its services. It does not wait.
func (l *Links) Drop(uuid string) {
	l.mu.Lock()
	n := l.links[key{uuid: uuid}]
	delete(l.links, key{uuid: uuid})
	l.mu.Unlock()
	if n != nil {
		n.cancel()
	}
}

// Close ends all links and waits for their goroutines. It may be called again.
func (l *Links) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.wg.Wait()
}

// Choose picks at random one of the linked nodes that have a service, and gives what it
// says of it: [[endpoint...], version, graph], encoded. Nobody may change it. It is nil
// if no node has the service.
func (l *Links) Choose(service []byte) []byte { return l.directory.choose(service) }

// Nodes are those that this one is linked to or tries to, by uuid, with the address of
// the locator; the zero address is that of a node that is not connected. One that was
// predefined without its uuid is listed once it has been connected to.
func (l *Links) Nodes() map[string]netip.AddrPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	nodes := make(map[string]netip.AddrPort, len(l.links))
	for k := range l.links {
		if k.uuid != "" {
			nodes[k.uuid] = netip.AddrPort{}
		}
	}
	for uuid, v := range l.held {
		nodes[uuid] = v.at
	}
	return nodes
}

// A Node is another node as this one sees it.
type Node struct {
	UUID     string   // "" if it is not known
	Address  string   // of its locator: where it is, or where it is looked for
	Linked   bool     // services are those that it has now
	Services []string // by name
	Cause    string   // why it is not linked; "" if it was not tried yet
}

// List describes all nodes that discovery has, by address.
func (l *Links) List() []Node {
	l.mu.Lock()
	nodes := make([]Node, 0, len(l.links))
	for k, n := range l.links {
		d := Node{UUID: k.uuid, Address: n.addresses[0], Cause: n.cause}
		if v := n.visit; v != nil {
			d = Node{UUID: v.uuid, Address: v.at.String(), Linked: true}
		}
		nodes = append(nodes, d)
	}
	l.mu.Unlock()
	for i := range nodes {
		if nodes[i].Linked {
			nodes[i].Services = l.directory.of(nodes[i].UUID)
		}
	}
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.UUID, b.UUID))
	})
	return nodes
}

// hold gives a node to a visit. If another one has it, that is returned.
func (l *Links) hold(uuid string, v *visit) (holder *visit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if holder := l.held[uuid]; holder != nil {
		return holder
	}
	l.held[uuid] = v
	v.uuid, v.link.visit, v.link.cause = uuid, v, ""
	return nil
}

// release takes back what hold gave, and the services with it.
func (l *Links) release(v *visit) (services int) {
	services = l.directory.drop(v.uuid)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, v.uuid)
	v.link.visit = nil
	close(v.over)
	return services
}

// kick ends the visit that has a node.
func (l *Links) kick(uuid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.held[uuid]; v != nil {
		v.kick()
	}
}

var errSelf = errors.New("it is this node itself")

// otherError is that the node at an address is another than the one looked for.
type otherError struct{ want, have string }

func (e *otherError) Error() string {
	return fmt.Sprintf("the node there is %.64q, not %q", e.have, e.want)
}
