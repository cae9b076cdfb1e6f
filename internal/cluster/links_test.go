package cluster_test

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/cluster"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

func endpoints(s ...string) []netip.AddrPort {
	var eps []netip.AddrPort
	for _, e := range s {
		eps = append(eps, netip.MustParseAddrPort(e))
	}
	return eps
}

// TestOriginalNodes plays nodes of the original, byte for byte.
func TestOriginalNodes(t *testing.T) {
	for _, file := range []string{"node_0.12.14.txt", "node_0.12.12.txt", "node_alone.txt", "node_other_cluster.txt"} {
		t.Run(file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				ln := n.listen(t, here)
				o := cluster.Options{}
				if file == "node_other_cluster.txt" {
					o.Name = "blue"
				}
				l := newLinks(t, n, o)
				l.Link(peer, endpoints(here))
				play(t, file, ln, l)
				if have := l.Nodes(); !maps.Equal(have, map[string]netip.AddrPort{peer: netip.MustParseAddrPort(here)}) {
					t.Errorf("the nodes are %v", have)
				}
			})
		})
	}
}

// TestChoice: of several nodes that have a service each is chosen as often.
func TestChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		l := newLinks(t, n, cluster.Options{})
		var fakes []*fake
		for i := range 4 {
			address, uuid := fmt.Sprintf("10.0.0.%d:10053", i+2), fmt.Sprintf("node-%d", i)
			ln := n.listen(t, address)
			l.Link(uuid, endpoints(address))
			f := accept(t, ln, uuid)
			f.announce("x", fmt.Sprintf("10.0.0.%d:1", i+2))
			fakes = append(fakes, f)
		}
		count := func() map[string]int {
			settle()
			counts := map[string]int{}
			for range 4000 {
				counts[string(l.Choose([]byte("x")))]++
			}
			return counts
		}
		counts := count()
		for _, c := range counts {
			if c < 800 || c > 1200 { // 5 standard deviations and more
				t.Errorf("4000 choices of 4: %v", slices.Collect(maps.Values(counts)))
			}
		}
		fakes[0].Conn().Close()
		fakes[1].announce("x", "")
		if counts := count(); len(counts) != 2 {
			t.Errorf("two nodes have it, %d are chosen", len(counts))
		}
	})
}

// TestLossAndReturn: the services of a node that is lost are gone at once, and it is
// called again after 1, 2, 4 ... 32 s.
func TestLossAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ln := n.listen(t, here)
		l := newLinks(t, n, cluster.Options{})
		l.Link(peer, endpoints(here))
		f := accept(t, ln, peer)
		f.announce("x", "10.0.0.2:1")
		wantAt(t, l, "x", "10.0.0.2:1")

		n.close(here)
		f.Conn().Close()
		wantGone(t, l, "x")
		if have := l.Nodes(); len(have) != 1 || have[peer].IsValid() {
			t.Errorf("the nodes are %v", have)
		}
		n.mu.Lock()
		n.dialled = nil
		n.mu.Unlock()
		lost := time.Now()
		time.Sleep(2 * time.Minute)
		settle()
		var after []time.Duration
		n.mu.Lock()
		for _, at := range n.dialled {
			after = append(after, at.Sub(lost))
		}
		n.mu.Unlock()
		want := []time.Duration{1, 3, 7, 15, 31, 63, 95}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(after, want) {
			t.Errorf("called again after %v, want %v", after, want)
		}

		f = accept(t, n.listen(t, here), peer)
		f.announce("x", "10.0.0.2:2")
		wantAt(t, l, "x", "10.0.0.2:2")

		// Told a new address, it does not wait for the next time.
		n.close(here)
		f.Conn().Close()
		time.Sleep(40 * time.Second)
		moved := n.listen(t, "10.0.0.3:10053")
		l.Link(peer, endpoints(here, "10.0.0.3:10053"))
		at := time.Now()
		accept(t, moved, peer)
		if waited := time.Since(at); waited > time.Second {
			t.Errorf("called at the new address after %v", waited)
		}
	})
}

// TestReturnAsAnother: a node that comes back under another uuid is another one.
func TestReturnAsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ln := n.listen(t, here)
		l := newLinks(t, n, cluster.Options{})
		l.Predefine("", here)
		f := accept(t, ln, peer)
		f.announce("x", "10.0.0.2:1", "y", "10.0.0.2:1")
		wantAt(t, l, "x", "10.0.0.2:1")
		f.Conn().Close()
		f = accept(t, ln, "other")
		f.announce("y", "10.0.0.2:2")
		wantAt(t, l, "y", "10.0.0.2:2")
		wantGone(t, l, "x")
		if have := l.Nodes(); !maps.Equal(have, map[string]netip.AddrPort{"other": netip.MustParseAddrPort(here)}) {
			t.Errorf("the nodes are %v", have)
		}
	})
}

// TestStrangerAtTheAddress: whoever is at the address of a node is not taken for it, and
// its announcements go on where they went.
func TestStrangerAtTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ln := n.listen(t, here)
		l := newLinks(t, n, cluster.Options{})
		l.Link("new", endpoints(here))
		f := accept(t, ln, "new")
		f.announce("x", "10.0.0.2:1")
		wantAt(t, l, "x", "10.0.0.2:1")
		l.Link("old", endpoints(here)) // a datagram of before the restart came late
		for range 5 {
			meet(t, ln, "new").hungUp() // without having asked for announcements
		}
		f.announce("y", "10.0.0.2:2") // still: nobody else asked for them
		wantAt(t, l, "y", "10.0.0.2:2")
		list := l.List()
		if len(list) != 2 || list[0].UUID == list[1].UUID {
			t.Fatalf("the nodes are %+v", list)
		}
		for _, d := range list {
			if d.Linked != (d.UUID == "new") || !d.Linked && !strings.Contains(d.Cause, `is "new", not "old"`) {
				t.Errorf("%+v", d)
			}
		}
		l.Drop("old")
		settle()
		if have := l.Nodes(); len(have) != 1 {
			t.Errorf("the nodes are %v", have)
		}
	})
}

// TestSameNodeTwice: a node that is known by two addresses has one link, and the other
// takes over when that is lost.
func TestSameNodeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		one, two := n.listen(t, "10.0.0.2:1"), n.listen(t, "10.0.0.2:2")
		l := newLinks(t, n, cluster.Options{})
		l.Predefine("", "10.0.0.2:1")
		f := accept(t, one, peer)
		f.announce("x", "10.0.0.2:9")
		l.Predefine("", "10.0.0.2:2")
		meet(t, two, peer).hungUp()
		wantAt(t, l, "x", "10.0.0.2:9")
		if have := l.Nodes(); !maps.Equal(have, map[string]netip.AddrPort{peer: netip.MustParseAddrPort("10.0.0.2:1")}) {
			t.Errorf("the nodes are %v", have)
		}
		n.close("10.0.0.2:1")
		f.Conn().Close()
		wantGone(t, l, "x")
		f = accept(t, two, peer)
		f.announce("x", "10.0.0.2:8")
		wantAt(t, l, "x", "10.0.0.2:8")
	})
}

// TestSameOldNodeTwice: one that cannot be asked who it is sends its announcements to
// who asked last, so that the link that is there begins again.
func TestSameOldNodeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		one, two := n.listen(t, "10.0.0.2:1"), n.listen(t, "10.0.0.2:2")
		l := newLinks(t, n, cluster.Options{})
		old := func(ln *faultnet.MemListener, first bool) *fake {
			t.Helper()
			if first {
				c, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
			f := answer(t, ln)
			c := f.Recv()
			if c.Type != idl.LocatorConnect {
				t.Fatalf("received %v, want connect", c)
			}
			f.ch, f.uuid = c.Channel, peer
			return f
		}
		l.Predefine("", "10.0.0.2:1")
		f := old(one, true)
		f.announce("x", "10.0.0.2:9")
		wantAt(t, l, "x", "10.0.0.2:9")
		l.Predefine("", "10.0.0.2:2")
		g := old(two, true)
		g.announce("x", "10.0.0.2:9")
		g.hungUp()
		f.hungUp()
		f = old(one, false)
		f.announce("x", "10.0.0.2:8")
		wantAt(t, l, "x", "10.0.0.2:8")
	})
}

// TestItself: a node on a list of all nodes does not link to itself.
func TestItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ln := n.listen(t, here)
		l := newLinks(t, n, cluster.Options{})
		l.Link(own, endpoints("10.9.9.9:1"))
		l.Predefine(own, "10.9.9.9:1")
		l.Predefine("", here)
		for range 3 {
			meet(t, ln, own).hungUp()
		}
		settle()
		if have := l.Nodes(); len(have) != 0 {
			t.Errorf("the nodes are %v", have)
		}
	})
}

// TestSilence: a node that announces nothing is asked for a sign of life, and is given
// up when it has given none for three times as long.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ln := n.listen(t, here)
		l := newLinks(t, n, cluster.Options{})
		l.Link(peer, endpoints(here))
		f := accept(t, ln, peer)
		f.announce("x", "10.0.0.2:1")
		for range 5 {
			at := time.Now()
			f.identify()
			if d := time.Since(at); d != cluster.DefaultInterval {
				t.Errorf("asked after %v, want %v", d, cluster.DefaultInterval)
			}
		}
		at := time.Now()
		f.Recv() // and no answer
		f.hungUp()
		if d := time.Since(at); d != 4*cluster.DefaultInterval {
			t.Errorf("given up after %v", d)
		}
		wantGone(t, l, "x")
		// One that does not even say who it is.
		g := answer(t, ln)
		at = time.Now()
		g.Recv()
		g.hungUp()
		if d := time.Since(at); d != 3*cluster.DefaultInterval {
			t.Errorf("given up after %v", d)
		}
		// One that says it is another all of a sudden.
		f = accept(t, ln, peer)
		f.announce("x", "10.0.0.2:1")
		wantAt(t, l, "x", "10.0.0.2:1")
		f.uuid = "another"
		f.identify()
		f.hungUp()
		wantGone(t, l, "x")
	})
}

// TestLies: a node that announces what cannot be loses its link and all its services,
// and is asked again later.
func TestLies(t *testing.T) {
	str := func(b []byte, s string) []byte { return msgpack.AppendString(b, s) }
	head := func(n int) []byte { return msgpack.AppendMap(str(msgpack.AppendArray(nil, 2), peer), n) }
	about := func(name string, b ...byte) []byte { return append(str(head(1), name), b...) }
	many := head(20000)
	for i := range 20000 {
		many = append(str(many, fmt.Sprint(i)), info("10.0.0.2:1")...)
	}
	graph := []byte{0x93, 0x91, 0x92, 0xa7, '1', '.', '2', '.', '3', '.', '4', 1, 1}
	for name, args := range map[string][]byte{
		"nothing":                     {0x90},
		"one value":                   {0x91, 0xa1, 'x'},
		"a uuid that is a number":     {0x92, 5, 0x80},
		"services that are a list":    append(str([]byte{0x92}, peer), 0x90),
		"another uuid":                {0x92, 0xa1, 'x', 0x80},
		"a name that is a number":     append(head(1), append([]byte{5}, info("10.0.0.2:1")...)...),
		"no name":                     about("", info("10.0.0.2:1")...),
		"a name too long":             about(strings.Repeat("x", 256), info("10.0.0.2:1")...),
		"a service that is a text":    about("x", 0xa1, 'x'),
		"two values of three":         about("x", 0x92, 0x90, 1),
		"endpoints that are a number": about("x", 0x93, 5, 1, 0x80),
		"a host name":                 about("x", 0x93, 0x91, 0x92, 0xa1, 'h', 1, 1, 0x80),
		"a port too high":             about("x", 0x93, 0x91, 0x92, 0xa7, '1', '.', '2', '.', '3', '.', '4', 0xce, 0, 1, 0, 0, 1, 0x80),
		"a version that is a text":    about("x", 0x93, 0x90, 0xa1, '1', 0x80),
		"a version below zero":        about("x", 0x93, 0x90, 0xff, 0x80),
		"a version too high":          about("x", 0x93, 0x90, 0xce, 0xff, 0xff, 0xff, 0xff, 0x80),
		"a graph that is a list":      about("x", append(slices.Clone(graph), 0x90)...),
		"a graph of nonsense":         about("x", append(slices.Clone(graph), 0x81, 0xa1, 'x', 0x93, 1, 2, 3)...),
		"too many services":           many,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				ln := n.listen(t, here)
				var log logtest.Buffer
				l := newLinks(t, n, cluster.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
				l.Link(peer, endpoints(here))
				f := accept(t, ln, peer)
				f.announce("good", "10.0.0.2:1")
				wantAt(t, l, "good", "10.0.0.2:1")
				f.Write(wire.AppendFrame(nil, wire.Frame{Channel: f.ch, Type: idl.Write, Args: args}))
				f.hungUp()
				wantGone(t, l, "good")
				wantGone(t, l, "x")
				if !strings.Contains(log.String(), cluster.ErrLie.Error()) {
					t.Errorf("the log has %q", log.String())
				}
				f = accept(t, ln, peer)
				f.announce("good", "10.0.0.2:2")
				wantAt(t, l, "good", "10.0.0.2:2")
			})
		})
	}
}

// TestLyingFrames: lies outside of announcements cost the link alone, too.
func TestLyingFrames(t *testing.T) {
	for name, tell := range map[string]func(f *fake){
		"a header that is no map": func(f *fake) {
			f.SendHeaders([]hpack.Header{{Name: "x-cocaine-locator-extra", Value: "\x05"}}, f.ch, idl.Write, f.uuid, map[string]any{})
		},
		"an error":                    func(f *fake) { f.Send(f.ch, idl.Error, []any{10, 1}, "no") },
		"a message there is not":      func(f *fake) { f.Send(f.ch, 17) },
		"what is no frame":            func(f *fake) { f.Write([]byte{0xc1}) },
		"a frame that never ends":     func(f *fake) { f.Write([]byte{0x94, 2, 0, 0xdd, 0xff, 0xff, 0xff, 0xff}); f.Close() },
		"a channel of its own choice": func(f *fake) { f.Send(77, 0, "x"); f.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				ln := n.listen(t, here)
				l := newLinks(t, n, cluster.Options{})
				l.Link(peer, endpoints(here))
				f := accept(t, ln, peer)
				f.announce("good", "10.0.0.2:1")
				wantAt(t, l, "good", "10.0.0.2:1")
				tell(f)
				settle()
				wantGone(t, l, "good")
				f = accept(t, ln, peer)
				f.announce("good", "10.0.0.2:2")
				wantAt(t, l, "good", "10.0.0.2:2")
			})
		})
	}
	for name, uuid := range map[string]any{"a number": 5, "nothing": "", "a uuid too long": strings.Repeat("x", 256)} {
		t.Run("the uuid is "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				ln := n.listen(t, here)
				l := newLinks(t, n, cluster.Options{})
				l.Predefine("", here)
				f := answer(t, ln)
				f.Send(f.Recv().Channel, idl.Value, uuid)
				f.hungUp()
				accept(t, ln, peer).announce("x", "10.0.0.2:1")
				wantAt(t, l, "x", "10.0.0.2:1")
			})
		})
	}
}

// TestBrokenConnections: wherever a connection breaks, nothing is left of what came
// over it, and the next one is as good as the first.
func TestBrokenConnections(t *testing.T) {
	whole := int64(0)
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ln := n.listen(t, here)
		l := newLinks(t, n, cluster.Options{})
		l.Link(peer, endpoints(here))
		f := accept(t, ln, peer)
		f.announce("x", "10.0.0.2:1", "y", "10.0.0.2:2")
		wantAt(t, l, "y", "10.0.0.2:2")
		whole = 70 + int64(len(announcement(2, peer, "x", "10.0.0.2:1", "y", "10.0.0.2:2")))
	})
	for at := int64(0); at < whole; at += 13 {
		for _, fault := range []faultnet.Fault{faultnet.ResetAt(at), faultnet.CloseAt(at)} {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				n.faults = []faultnet.Script{{Read: []faultnet.Fault{faultnet.Pieces(5), fault}}, {Read: []faultnet.Fault{fault}}}
				ln := n.listen(t, here)
				l := newLinks(t, n, cluster.Options{Log: slog.New(slog.DiscardHandler)})
				l.Link(peer, endpoints(here))
				// However far the broken ones get, there is a good one.
				serve(t, ln, "x", "10.0.0.2:1", "y", "10.0.0.2:2")
				time.Sleep(time.Minute)
				wantAt(t, l, "x", "10.0.0.2:1")
				wantAt(t, l, "y", "10.0.0.2:2")
			})
		}
	}
}

// TestManyNodes: links have a limit, which is told once.
func TestManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Buffer
		l := newLinks(t, newNetwork(), cluster.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range 1100 {
			l.Link(fmt.Sprint(i), endpoints(here))
		}
		settle()
		if have := len(l.Nodes()); have != 1024 {
			t.Errorf("%d nodes", have)
		}
		if n := strings.Count(log.String(), "not linking to any more nodes"); n != 1 {
			t.Errorf("told %d times", n)
		}
		l.Close()
		l.Link("late", endpoints(here)) // to no effect
	})
}

func TestNewNeedsUUID(t *testing.T) {
	if _, err := cluster.New(cluster.Options{}); err == nil {
		t.Error("links of nobody")
	}
}
