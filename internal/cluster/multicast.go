package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// MulticastOptions configure the discovery of nodes by multicast.
type MulticastOptions struct {
	// Group is the address and the port that all nodes send to.
	Group netip.AddrPort
	// Interface is where the group is: an address or the name of an interface, or
	// its number. If empty, the system chooses.
	Interface string
	// Loopback makes other runtimes on this machine hear this one.
	Loopback bool
	// Hops is how many networks a datagram may cross; 1 is the local one.
	Hops int
	// Interval is how often this node tells that it is there. A node that was not
	// heard for three times as long is dropped. If zero, DefaultInterval.
	Interval time.Duration
	// UUID is the identity of this node.
	UUID string
	// Endpoints are those of this node's locator. It is asked before every datagram.
	Endpoints func() []netip.AddrPort
	// Links has the nodes that are heard linked. If nil, nobody is listened to.
	Links *Links
	// Log receives what goes wrong. If nil, nothing is logged.
	Log *slog.Logger
}

// Multicast tells a group of nodes that this one is there, and hears who else is.
type Multicast struct {
	o      MulticastOptions
	socket datagrams
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// Owned by the goroutine of run.
	seen   map[string]time.Time // when a node was last heard, by uuid
	failed bool                 // the last datagram could not be sent
	double bool                 // somebody was told that another node has this one's uuid
}

// datagrams are a socket that is a member of the group.
type datagrams interface {
	// Receive blocks until there is a datagram.
	Receive(b []byte) (n int, from netip.AddrPort, err error)
	Send(b []byte) error
	Close() error
}

// heard is one datagram of another node.
type heard struct {
	uuid      string
	endpoints []netip.AddrPort
	from      netip.AddrPort
}

// NewMulticast joins the group, and tells at once that this node is there. Close ends
// it.
func NewMulticast(o MulticastOptions) (*Multicast, error) {
	socket, err := openMulticast(o)
	if err != nil {
		return nil, fmt.Errorf("cannot join multicast group %s: %w", o.Group, err)
	}
	return startMulticast(o, socket), nil
}

func startMulticast(o MulticastOptions, socket datagrams) *Multicast {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Multicast{o: o, socket: socket, seen: make(map[string]time.Time)}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	var in chan heard
	if o.Links != nil {
		in = make(chan heard)
		m.wg.Go(func() { m.listen(ctx, in) })
	}
	m.wg.Go(func() { m.run(ctx, in) })
	return m
}

// Close leaves the group and waits for the goroutines. The links stay. It may be
// called again.
func (m *Multicast) Close() error {
	m.cancel()
	err := m.socket.Close()
	m.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// listen passes on what other nodes tell.
func (m *Multicast) listen(ctx context.Context, in chan<- heard) {
	b := make([]byte, maxDatagram)
	for {
		n, from, err := m.socket.Receive(b)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				m.o.Log.Error("cannot listen to the multicast group any more", "group", m.o.Group, "cause", err)
			}
			return
		}
		uuid, endpoints, err := decodeDatagram(b[:n])
		if err != nil {
			m.o.Log.Debug("ignoring a datagram", "from", from, "cause", err)
			continue
		}
		select {
		case in <- heard{uuid, endpoints, from}:
		case <-ctx.Done():
			return
		}
	}
}

// run tells that this node is there once an interval, and drops nodes that have
// fallen silent.
func (m *Multicast) run(ctx context.Context, in <-chan heard) {
	tick := time.NewTicker(m.o.Interval)
	defer tick.Stop()
	silence := time.NewTimer(m.o.Interval)
	defer silence.Stop()
	m.tell()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.tell()
		case h := <-in:
			m.hear(h)
		case <-silence.C:
			silence.Reset(m.sweep())
		}
	}
}

// tell sends the datagram of this node.
func (m *Multicast) tell() {
	endpoints := m.o.Endpoints()
	if len(endpoints) == 0 {
		return // nobody could do anything with it
	}
	if len(endpoints) > maxEndpoints {
		endpoints = endpoints[:maxEndpoints]
	}
	err := m.socket.Send(encodeDatagram(m.o.UUID, endpoints))
	if err != nil && !m.failed && !errors.Is(err, net.ErrClosed) {
		m.o.Log.Warn("cannot tell the multicast group that this node is there", "group", m.o.Group, "cause", err)
	}
	m.failed = err != nil
}

// hear links to a node that was heard.
func (m *Multicast) hear(h heard) {
	if h.uuid == m.o.UUID {
		if !m.double && len(h.endpoints) > 0 && !slices.Equal(h.endpoints, m.o.Endpoints()) {
			m.double = true
			m.o.Log.Error("another node has the uuid of this one, and neither can see the other",
				"uuid", h.uuid, "its_locator", h.endpoints, "from", h.from)
		}
		return
	}
	if _, known := m.seen[h.uuid]; !known && len(m.seen) >= maxLinks {
		return
	}
	if len(h.endpoints) == 0 {
		return
	}
	m.seen[h.uuid] = time.Now()
	m.o.Links.Link(h.uuid, h.endpoints)
}

// sweep drops the nodes that have been silent for too long, and returns when to look
// again.
func (m *Multicast) sweep() time.Duration {
	patience := silences * m.o.Interval
	next := patience
	for uuid, at := range m.seen {
		left := patience - time.Since(at)
		if left <= 0 {
			m.o.Log.Warn("a node has fallen silent and is dropped", "node", uuid, "last_heard", at)
			delete(m.seen, uuid)
			m.o.Links.Drop(uuid)
			continue
		}
		next = min(next, left)
	}
	return next
}
