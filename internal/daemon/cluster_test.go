package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/cluster"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/faultnet"
)

// patience bounds every wait of a test that goes well.
const patience = 2 * time.Minute

// eventually calls f until it says that all is as it should be. What another node
// knows arrives there some time; between the tries the processor is left to it.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}

// a node is a daemon of a cluster with a client of it.
type node struct {
	*daemon.Daemon
	c    *cocaine.Client
	uuid string
}

// startNode starts a node that is linked to others, by the addresses of their
// locators.
func startNode(t testing.TB, others []string, set map[string]string) *node {
	t.Helper()
	conf := map[string]string{"cluster.type": "predefine"}
	if len(others) > 0 {
		conf["cluster.nodes"] = strings.Join(others, ",")
	}
	maps.Copy(conf, set)
	d := start(t, daemon.Options{Config: configuration(directory(t), conf)})
	n := &node{Daemon: d, c: dial(t, d.Addr().String())}
	var err error
	if n.uuid, err = n.c.Locator().UUID(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) addr() string { return n.Addr().String() }

// publish makes a name known on a node.
func (n *node) publish(t testing.TB, name, endpoint string) *cocaine.Publication {
	t.Helper()
	p, err := n.c.Locator().Publish(t.Context(), cocaine.Resolution{Name: name, Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// resolves checks where a name leads.
func (n *node) resolves(ctx context.Context, name, want string) error {
	r, err := n.c.Locator().Resolve(ctx, name)
	if err != nil {
		return err
	}
	if len(r.Endpoints) != 1 || r.Endpoints[0] != want {
		return fmt.Errorf("%s is at %v, want %s", name, r.Endpoints, want)
	}
	return nil
}

// gone checks that a name leads nowhere.
func (n *node) gone(ctx context.Context, name string) error {
	r, err := n.c.Locator().Resolve(ctx, name)
	if err == nil {
		return fmt.Errorf("%s is at %v", name, r.Endpoints)
	}
	if !errors.Is(err, cocaine.ErrServiceNotFound) {
		return err
	}
	return nil
}

// linked checks which nodes a node is linked to.
func (n *node) linked(ctx context.Context, others ...*node) error {
	have, err := n.c.Locator().Cluster(ctx)
	if err != nil {
		return err
	}
	want := map[string]string{}
	for _, o := range others {
		want[o.uuid] = o.addr()
	}
	if !maps.Equal(have, want) {
		return fmt.Errorf("it is linked to %v, want %v", have, want)
	}
	return nil
}

// TestClusterOfThree: nodes resolve each other's services, their own ones first; a
// service that comes or goes anywhere is known everywhere, and a node that stops takes
// its services along.
func TestClusterOfThree(t *testing.T) {
	ctx := t.Context()
	a := startNode(t, nil, nil)
	b := startNode(t, []string{a.addr()}, nil)
	c := startNode(t, []string{a.addr(), b.uuid + "=" + b.addr()}, nil)
	eventually(t, "c is linked to a and b", func() error { return c.linked(ctx, a, b) })
	eventually(t, "b is linked to a", func() error { return b.linked(ctx, a) })
	if err := a.linked(ctx); err != nil { // nobody told it of others
		t.Error(err)
	}

	onA := a.publish(t, "only.a", "10.0.0.1:1")
	b.publish(t, "only.b", "10.0.0.2:2")
	eventually(t, "b resolves what a has", func() error { return b.resolves(ctx, "only.a", "10.0.0.1:1") })
	eventually(t, "c resolves what a has", func() error { return c.resolves(ctx, "only.a", "10.0.0.1:1") })
	eventually(t, "c resolves what b has", func() error { return c.resolves(ctx, "only.b", "10.0.0.2:2") })
	if err := a.gone(ctx, "only.b"); err != nil {
		t.Error(err)
	}

	// What all nodes have each of them has itself.
	for _, n := range []*node{a, b, c} {
		own := statusOf(t, n.c).Services["storage"]
		for range 10 {
			if err := n.resolves(ctx, "storage", own); err != nil {
				t.Error(err)
			}
		}
	}
	// What several others have is one of them.
	a.publish(t, "both", "10.0.0.1:3")
	b.publish(t, "both", "10.0.0.2:3")
	seen := map[string]bool{}
	eventually(t, "both places come up", func() error {
		r, err := c.c.Locator().Resolve(ctx, "both")
		if err != nil {
			return err
		}
		if seen[r.Endpoints[0]] = true; len(seen) < 2 {
			return fmt.Errorf("seen %v", seen)
		}
		return nil
	})
	c.publish(t, "both", "10.0.0.3:3")
	for range 20 {
		if err := c.resolves(ctx, "both", "10.0.0.3:3"); err != nil {
			t.Error(err)
		}
	}

	onA.Close()
	eventually(t, "b forgets what a has no more", func() error { return b.gone(ctx, "only.a") })
	eventually(t, "c forgets what a has no more", func() error { return c.gone(ctx, "only.a") })
	b.c.Close()
	stop(t, b.Daemon)
	eventually(t, "c forgets b's services", func() error { return c.gone(ctx, "only.b") })
}

// TestClusterApps: an app on one node is called through another.
func TestClusterApps(t *testing.T) {
	ctx := t.Context()
	a := startNode(t, nil, nil)
	newApp("hello").deploy(t, a.c)
	b := startNode(t, []string{a.addr()}, nil)
	eventually(t, "the app is called through b", func() error { return echo(ctx, b.c, "hello", "over there") })
	methods, err := b.c.Service("hello").Methods(ctx)
	if err != nil || len(methods) == 0 || methods[0].Name != "enqueue" {
		t.Errorf("methods %v, %v", methods, err)
	}
	type report struct {
		Nodes []struct {
			Node     string   `codec:"node"`
			Locator  string   `codec:"locator"`
			Linked   bool     `codec:"linked"`
			Services []string `codec:"services"`
		} `codec:"nodes"`
	}
	s, err := cocaine.Get[report](ctx, b.c.Service("admin"), "status")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Nodes) != 1 || s.Nodes[0].Node != a.uuid || s.Nodes[0].Locator != a.addr() || !s.Nodes[0].Linked || !slices.Contains(s.Nodes[0].Services, "hello") {
		t.Errorf("the nodes of b are %+v", s.Nodes)
	}
}

// TestClusterRestrictions: what is restricted is not told, nor is anything told to or
// taken from a node of another cluster; a node without a gateway only tells.
func TestClusterRestrictions(t *testing.T) {
	ctx := t.Context()
	a := startNode(t, nil, map[string]string{"cluster.restrict": "secret", "cluster.name": "blue"})
	a.publish(t, "secret", "10.0.0.1:1")
	a.publish(t, "open", "10.0.0.1:2")
	blue := startNode(t, []string{a.addr()}, map[string]string{"cluster.name": "blue"})
	red := startNode(t, []string{a.addr()}, map[string]string{"cluster.name": "red"})
	shut := startNode(t, []string{a.addr()}, map[string]string{"cluster.name": "blue", "cluster.gateway": "none"})
	eventually(t, "blue resolves what a has", func() error { return blue.resolves(ctx, "open", "10.0.0.1:2") })
	if err := blue.gone(ctx, "secret"); err != nil {
		t.Error(err)
	}
	eventually(t, "red is linked", func() error { return red.linked(ctx, a) })
	a.publish(t, "later", "10.0.0.1:3")
	eventually(t, "blue resolves what came later", func() error { return blue.resolves(ctx, "later", "10.0.0.1:3") })
	for _, n := range []*node{red, shut} {
		if err := n.gone(ctx, "open"); err != nil {
			t.Error(err)
		}
	}
	if err := shut.linked(ctx); err != nil {
		t.Error(err)
	}
}

// TestClusterTokens: nodes that want tokens are linked by who shows one.
func TestClusterTokens(t *testing.T) {
	ctx := t.Context()
	conf := configuration(directory(t), map[string]string{"cluster.type": "predefine",
		"authentication.type": "token", "authentication.tokens": tokenLine("peers", 7, "s3cret")})
	guarded := start(t, daemon.Options{Config: conf})
	at := guarded.Addr().String()
	stranger := startNode(t, []string{at}, map[string]string{"cluster.token": "Bearer guess"})
	friend := startNode(t, []string{at}, map[string]string{"cluster.token": "Bearer s3cret"})
	eventually(t, "who shows the token is linked", func() error {
		nodes, err := friend.c.Locator().Cluster(ctx)
		if err == nil && len(nodes) != 1 {
			err = fmt.Errorf("it is linked to %v", nodes)
		}
		return err
	})
	type report struct {
		Nodes []struct {
			Linked bool   `codec:"linked"`
			Cause  string `codec:"cause"`
		} `codec:"nodes"`
	}
	eventually(t, "the other is told why not", func() error {
		s, err := cocaine.Get[report](ctx, stranger.c.Service("admin"), "status")
		if err == nil && (len(s.Nodes) != 1 || s.Nodes[0].Linked || !strings.Contains(s.Nodes[0].Cause, "token")) {
			err = fmt.Errorf("%+v", s.Nodes)
		}
		return err
	})
}

// TestClusterListsItself: one list of nodes does for all of them.
func TestClusterListsItself(t *testing.T) {
	ctx := t.Context()
	ports := freePorts(t, 2)
	list := []string{"127.0.0.1:" + ports[0], "127.0.0.1:" + ports[1]}
	a := startNode(t, list, map[string]string{"network.port": ports[0]})
	b := startNode(t, list, map[string]string{"network.port": ports[1]})
	eventually(t, "a is linked to b", func() error { return a.linked(ctx, b) })
	eventually(t, "b is linked to a", func() error { return b.linked(ctx, a) })
}

// TestClusterMulticast: nodes find each other, and one that has gone is dropped.
func TestClusterMulticast(t *testing.T) {
	ctx := t.Context()
	port := freeUDPPort(t)
	set := map[string]string{"cluster.type": "multicast", "cluster.port": port, "cluster.interface": "127.0.0.1", "cluster.loopback": "true", "cluster.interval": "300ms"}
	if err := multicastWorks(port); err != nil {
		t.Skipf("no multicast over loopback here: %v", err)
	}
	a, b := startNode(t, nil, set), startNode(t, nil, set)
	quiet := maps.Clone(set)
	quiet["cluster.gateway"] = "none"
	c := startNode(t, nil, quiet)
	eventually(t, "a is linked to b and c", func() error { return a.linked(ctx, b, c) })
	eventually(t, "b is linked to a and c", func() error { return b.linked(ctx, a, c) })
	if err := c.linked(ctx); err != nil {
		t.Error(err)
	}
	b.publish(t, "x", "10.0.0.2:1")
	eventually(t, "a resolves what b has", func() error { return a.resolves(ctx, "x", "10.0.0.2:1") })
	b.c.Close()
	stop(t, b.Daemon)
	eventually(t, "a forgets b's services", func() error { return a.gone(ctx, "x") })
	eventually(t, "a drops b", func() error { return a.linked(ctx, c) })
}

func freeUDPPort(t testing.TB) string {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, port, _ := net.SplitHostPort(c.LocalAddr().String())
	return port
}

// multicastWorks joins the group of the default configuration on the loopback interface
// twice, and waits for one to hear the other.
func multicastWorks(port string) error {
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	group := netip.AddrPortFrom(netip.MustParseAddr("239.0.100.53"), uint16(n))
	links, err := cluster.New(cluster.Options{UUID: "probe"})
	if err != nil {
		return err
	}
	defer links.Close()
	other, err := cluster.New(cluster.Options{UUID: "other"})
	if err != nil {
		return err
	}
	defer other.Close()
	for _, l := range []struct {
		uuid  string
		links *cluster.Links
	}{{"probe", links}, {"other", other}} {
		m, err := cluster.NewMulticast(cluster.MulticastOptions{Group: group, Interface: "127.0.0.1", Loopback: true, Hops: 1,
			Interval: 50 * time.Millisecond, UUID: l.uuid, Links: l.links,
			Endpoints: func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")} }})
		if err != nil {
			return err
		}
		defer m.Close()
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C {
		if len(links.Nodes()) > 0 {
			return nil
		}
	}
	return errors.New("nothing comes back")
}

// freePorts are ports that nobody listened on a moment ago.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// A cable passes connections on to an address until it is cut.
type cable struct {
	ln net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	to    string
	cut   bool
	held  chan struct{} // not nil: what is read waits until this is closed
	conns map[net.Conn]struct{}
}

func newCable(t testing.TB, to string) *cable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{ln: ln, to: to, conns: make(map[net.Conn]struct{})}
	c.wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.carry(in) })
		}
	})
	t.Cleanup(func() {
		c.sever()
		ln.Close()
		c.wg.Wait()
	})
	return c
}

func (c *cable) addr() string { return c.ln.Addr().String() }

// sever cuts what is connected, and what would be until lead.
func (c *cable) sever() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for conn := range c.conns {
		// A reset, as of a machine that lost its power and came back.
		_ = faultnet.Wrap(conn, faultnet.Script{}).Reset()
	}
	clear(c.conns)
	c.release()
}

// lead repairs the cable, and makes it lead to an address.
func (c *cable) lead(to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to, c.cut = to, false
	c.release()
}

func (c *cable) release() {
	if c.held != nil {
		close(c.held)
		c.held = nil
	}
}

// stall keeps what comes from now on back until sever or lead, as a machine that
// hangs does.
func (c *cable) stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = make(chan struct{})
}

func (c *cable) carry(in net.Conn) {
	defer in.Close()
	c.mu.Lock()
	to, cut := c.to, c.cut
	c.mu.Unlock()
	if cut {
		return
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	c.mu.Lock()
	if c.cut {
		c.mu.Unlock()
		return
	}
	c.conns[in], c.conns[out] = struct{}{}, struct{}{}
	c.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { c.pass(out, in) })
	c.pass(in, out)
	wg.Wait()
}

func (c *cable) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		c.mu.Lock()
		held := c.held
		c.mu.Unlock()
		if held != nil {
			<-held
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// TestClusterCable: what happens to a link when the way to the node breaks, hangs, or
// leads to another node.
func TestClusterCable(t *testing.T) {
	ctx := t.Context()
	a, other := startNode(t, nil, nil), startNode(t, nil, nil)
	a.publish(t, "x", "10.0.0.1:1")
	other.publish(t, "y", "10.0.0.9:1")
	way := newCable(t, a.addr())
	quick := map[string]string{"cluster.interval": "300ms"}
	b := startNode(t, []string{way.addr()}, quick)
	strict := startNode(t, []string{a.uuid + "=" + way.addr()}, quick)
	both := func(what string, f func(n *node) error) {
		t.Helper()
		eventually(t, "whoever is there: "+what, func() error { return f(b) })
		eventually(t, "the one node: "+what, func() error { return f(strict) })
	}
	there := func(n *node) error { return n.resolves(ctx, "x", "10.0.0.1:1") }
	lost := func(n *node) error { return n.gone(ctx, "x") }

	both("linked", there)
	way.sever()
	both("cut", lost)
	way.lead(a.addr())
	both("repaired", there)
	way.stall()
	both("hanging", lost)
	way.sever()
	way.lead(other.addr())
	eventually(t, "another node is there", func() error { return b.resolves(ctx, "y", "10.0.0.9:1") })
	if err := b.gone(ctx, "x"); err != nil {
		t.Error(err)
	}
	if err := strict.gone(ctx, "y"); err != nil {
		t.Error(err)
	}
	way.sever()
	way.lead(a.addr())
	both("back", there)
	if err := b.gone(ctx, "y"); err != nil {
		t.Error(err)
	}
}

// TestClusterOldPeer: the node of the original that links to ours sees the directory,
// each change, and the end.
func TestClusterOldPeer(t *testing.T) {
	ctx := t.Context()
	a := startNode(t, nil, map[string]string{"cluster.name": "blue"})
	var announcements []cocaine.Announcement
	for announced, err := range a.c.Locator().Synchronize(ctx, "11111111-2222-3333-4444-555555555555") {
		if err != nil {
			t.Fatal(err)
		}
		if announcements = append(announcements, announced); len(announcements) == 1 {
			a.publish(t, "x", "10.0.0.1:1").Close()
			a.publish(t, "y", "10.0.0.1:1")
		}
		if announced.Services["y"] != nil {
			break
		}
	}
	first := announcements[0]
	if have := slices.Sorted(maps.Keys(first.Services)); first.Node != a.uuid || !slices.Equal(have, []string{"admin", "logging", "node", "storage", "unicorn"}) {
		t.Errorf("node %s announces %v", first.Node, have)
	}
}
