package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/logtest"
)

// loop is a group in memory with one member, the test at the other end.
type loop struct {
	in   chan []byte // to the member
	done chan struct{}
	once sync.Once

	mu   sync.Mutex
	sent []sent
	fail error
}

type sent struct {
	at time.Time
	b  []byte
}

func newLoop() *loop { return &loop{in: make(chan []byte), done: make(chan struct{})} }

func (l *loop) Receive(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-l.in:
		return copy(b, d), netip.MustParseAddrPort("10.0.0.9:10053"), nil
	case <-l.done:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (l *loop) Send(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.sent = append(l.sent, sent{time.Now(), b})
	return nil
}

func (l *loop) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// nowhere is a network without anybody.
func nowhere(_ context.Context, _, address string) (net.Conn, error) {
	return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
}

func newTestLinks(t testing.TB) *Links {
	t.Helper()
	l, err := New(Options{UUID: "own", Dial: nowhere})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

var ownEndpoints = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:10053")}

func startTest(t testing.TB, l *loop, o MulticastOptions) *Multicast {
	t.Helper()
	o.UUID = "own"
	if o.Endpoints == nil {
		o.Endpoints = func() []netip.AddrPort { return ownEndpoints }
	}
	m := startMulticast(o, l)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestTelling: a node tells that it is there at once, and then every interval; its
// endpoints are those that it has at that time.
func TestTelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoop()
		var mu sync.Mutex
		endpoints := ownEndpoints
		startTest(t, l, MulticastOptions{Endpoints: func() []netip.AddrPort { mu.Lock(); defer mu.Unlock(); return endpoints }})
		began := time.Now()
		time.Sleep(11 * time.Second)
		mu.Lock()
		endpoints = nil // it has none for a while
		mu.Unlock()
		time.Sleep(10 * time.Second)
		mu.Lock()
		endpoints = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.7:1")}
		mu.Unlock()
		time.Sleep(5 * time.Second)
		l.mu.Lock()
		defer l.mu.Unlock()
		var have []string
		for _, s := range l.sent {
			uuid, eps, err := decodeDatagram(s.b)
			if err != nil || uuid != "own" {
				t.Fatalf("sent %x", s.b)
			}
			have = append(have, fmt.Sprint(s.at.Sub(began), " ", eps))
		}
		want := []string{"0s [10.0.0.1:10053]", "5s [10.0.0.1:10053]", "10s [10.0.0.1:10053]", "25s [10.0.0.7:1]"}
		if !slices.Equal(have, want) {
			t.Errorf("sent %v, want %v", have, want)
		}
	})
}

// TestHearing: nodes that are heard are linked, and dropped three intervals after they
// were heard last.
func TestHearing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoop()
		links := newTestLinks(t)
		startTest(t, l, MulticastOptions{Links: links})
		hear := func(uuid string) { l.in <- encodeDatagram(uuid, ownEndpoints) }
		want := func(nodes ...string) {
			t.Helper()
			synctest.Wait()
			if have := slices.Sorted(maps.Keys(links.Nodes())); !slices.Equal(have, nodes) {
				t.Fatalf("after %v the nodes are %v, want %v", time.Now().Format("05.000"), have, nodes)
			}
		}
		hear("a")
		time.Sleep(time.Second)
		hear("b")
		want("a", "b")
		time.Sleep(9 * time.Second)
		hear("a")
		time.Sleep(6*time.Second - 1)
		want("a", "b")
		time.Sleep(time.Nanosecond)
		want("a") // b was silent for 15 s
		time.Sleep(9*time.Second - 1)
		want("a")
		time.Sleep(time.Nanosecond)
		want()
		hear("b")
		want("b")
	})
}

// TestNonsenseInTheGroup: what is no datagram of a node is ignored, as are those of this
// one; that another node has its uuid is told, once.
func TestNonsenseInTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoop()
		links := newTestLinks(t)
		var log logtest.Buffer
		startTest(t, l, MulticastOptions{Links: links, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for _, d := range [][]byte{{}, {0xc1}, bytes.Repeat([]byte{0xff}, maxDatagram), encodeDatagram("", ownEndpoints), encodeDatagram("nowhere", nil),
			encodeDatagram(strings.Repeat("x", 300), ownEndpoints), encodeDatagram("own", ownEndpoints)} {
			l.in <- d
		}
		synctest.Wait()
		if have := links.Nodes(); len(have) > 0 {
			t.Errorf("the nodes are %v", have)
		}
		if strings.Count(log.String(), "has the uuid of this one") != 0 {
			t.Error("its own datagram is taken for that of another")
		}
		for range 3 {
			l.in <- encodeDatagram("own", []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:1")})
		}
		for i := range 2000 {
			l.in <- encodeDatagram(fmt.Sprint("node", i), ownEndpoints)
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "has the uuid of this one"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if have := links.Nodes(); len(have) != maxLinks {
			t.Errorf("%d nodes", len(have))
		}
	})
}

// TestUnreachableGroup: that nothing can be sent is told once, and again when it could
// be meanwhile.
func TestUnreachableGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoop()
		l.fail = syscall.ENETUNREACH
		var log logtest.Buffer
		startTest(t, l, MulticastOptions{Log: slog.New(slog.NewTextHandler(&log, nil))})
		set := func(err error) {
			time.Sleep(time.Minute)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.fail = err
		}
		set(nil)
		set(syscall.ENETUNREACH)
		set(nil)
		if n := strings.Count(log.String(), "cannot tell the multicast group"); n != 2 {
			t.Errorf("told %d times", n)
		}
	})
}

// TestMulticastLoopback sends real datagrams over the loopback interface.
func TestMulticastLoopback(t *testing.T) {
	group := netip.MustParseAddrPort("239.0.100.53:0")
	ln, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	group = netip.AddrPortFrom(group.Addr(), uint16(ln.LocalAddr().(*net.UDPAddr).Port)) // one that is free
	ln.Close()
	o := MulticastOptions{Group: group, Interface: "127.0.0.1", Loopback: true, Hops: 1, Interval: 20 * time.Millisecond}
	probe(t, o)
	a, b := newTestLinks(t), newTestLinks(t)
	a.o.UUID, b.o.UUID = "a", "b"
	start := func(uuid string, links *Links) *Multicast {
		o.UUID, o.Links = uuid, links
		o.Endpoints = func() []netip.AddrPort { return ownEndpoints }
		m, err := NewMulticast(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
		return m
	}
	start("a", a)
	m := start("b", b)
	start("c", nil) // tells, and does not listen
	waitFor(t, "a hears b and c", func() bool { return slices.Equal(slices.Sorted(maps.Keys(a.Nodes())), []string{"b", "c"}) })
	waitFor(t, "b hears a and c", func() bool { return slices.Equal(slices.Sorted(maps.Keys(b.Nodes())), []string{"a", "c"}) })
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	waitFor(t, "a drops b", func() bool { return slices.Equal(slices.Sorted(maps.Keys(a.Nodes())), []string{"c"}) })
}

// probe skips the test where the system has no multicast over loopback.
func probe(t *testing.T, o MulticastOptions) {
	t.Helper()
	o.Links = new(Links) // to be a member
	s, err := openMulticast(o)
	if err != nil {
		t.Skipf("no multicast over loopback here: %v", err)
	}
	defer s.Close()
	if err := s.Send([]byte("probe")); err != nil {
		t.Skipf("no multicast over loopback here: %v", err)
	}
	_ = s.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, _, err := s.Receive(make([]byte, 16)); err != nil {
		t.Skipf("no multicast over loopback here: nothing comes back: %v", err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}

func TestBadGroups(t *testing.T) {
	for _, o := range []MulticastOptions{
		{Group: netip.MustParseAddrPort("10.0.0.1:10053")},
		{Group: netip.MustParseAddrPort("239.0.100.53:10053"), Interface: "no-such-interface"},
		{Group: netip.MustParseAddrPort("239.0.100.53:10053"), Interface: "192.0.2.1"},
		{Group: netip.MustParseAddrPort("239.0.100.53:10053"), Interface: "1000000"},
	} {
		m, err := NewMulticast(o)
		if err == nil {
			m.Close()
			t.Errorf("joined %v on %q", o.Group, o.Interface)
		} else if !strings.HasPrefix(err.Error(), "cannot join multicast group "+o.Group.String()) || errors.Unwrap(err) == nil {
			t.Errorf("%v", err)
		}
	}
}
