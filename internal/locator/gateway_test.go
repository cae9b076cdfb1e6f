package locator_test

import (
	"bytes"
	"errors"
	"net/netip"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// gateway is one that knows what the test says.
type gateway struct {
	mu       sync.Mutex
	services map[string][]byte
	nodes    map[string]netip.AddrPort
}

func (g *gateway) Choose(service []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.services[string(service)]
}

func (g *gateway) Nodes() map[string]netip.AddrPort {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nodes
}

func (g *gateway) set(nodes map[string]netip.AddrPort, services map[string][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.nodes, g.services = nodes, services
}

const otherUUID = "ebefc1d3-cfed-4278-85d2-8d987ddf1308"

// hi is a service with one method, as another node announces it.
func hi(t *testing.T) []byte {
	return unhex(t, "939192a93132372e302e302e31cd270f01810093a2686980820092a576616c7565800192a56572726f7280")
}

// TestConversationOfALinkedNode plays what a node of the original told of its cluster.
func TestConversationOfALinkedNode(t *testing.T) {
	g := new(gateway)
	g.set(map[string]netip.AddrPort{otherUUID: netip.MustParseAddrPort("127.0.0.1:10072")},
		map[string][]byte{"onlyb": hi(t), "local": hi(t)})
	l := open(t, locator.Options{Gateway: g})
	local := service("local", "127.0.0.1:34969")
	local.Version = 0
	expose(t, l, local)
	conversation(t, serve(t, l, rpc.ServerOptions{}), "cluster.txt", map[string]func(){
		"dialling": func() { g.set(map[string]netip.AddrPort{otherUUID: {}}, nil) },
		"gone":     func() { g.set(nil, nil) },
	})
}

// TestResolveElsewhere: names and groups lead to other nodes where this one has nothing;
// what it has itself comes first, and what is elsewhere is not announced.
func TestResolveElsewhere(t *testing.T) {
	g := new(gateway)
	g.set(nil, map[string][]byte{"there": hi(t), "both": hi(t), "broken": msgpack.AppendNil(nil)})
	store := new(records)
	store.store("group", weights(map[string]uint64{"there": 1}))
	store.store("shadowed", weights(map[string]uint64{"both": 1}))
	store.store("lost", weights(map[string]uint64{"nowhere": 1}))
	l := open(t, locator.Options{Gateway: g, Storage: store, Announce: true})
	mine := expose(t, l, service("both", "127.0.0.1:1"))

	there, here := netip.MustParseAddrPort("127.0.0.1:9999"), netip.MustParseAddrPort("127.0.0.1:1")
	for name, want := range map[string]netip.AddrPort{"there": there, "group": there, "both": here, "shadowed": here} {
		s, err := l.Resolve(name, "seed")
		if err != nil || len(s.Endpoints) != 1 || s.Endpoints[0] != want || s.Version != 1 {
			t.Errorf("%s is %+v, %v; want it at %v", name, s, err, want)
		}
	}
	for _, name := range []string{"lost", "nowhere"} {
		if _, err := l.Resolve(name, ""); !errors.Is(err, locator.ErrNotAvailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := l.Resolve("broken", ""); err == nil {
		t.Errorf("what is no service is %+v", s)
	}
	mine.Remove()
	if s, err := l.Resolve("both", ""); err != nil || s.Endpoints[0] != there || !bytes.HasSuffix(hi(t), s.Graph) {
		t.Errorf("both is %+v, %v", s, err)
	}
	st := call(t, dial(t, serve(t, l, rpc.ServerOptions{})), "connect", msgpack.AppendString(msgpack.AppendArray(nil, 1), "peer"))
	m, err := recv(t, st)
	if want := msgpack.AppendMap(msgpack.AppendString(msgpack.AppendArray(nil, 2), nodeUUID), 0); err != nil || !bytes.Equal(m.Args, want) {
		t.Errorf("announced %x, %v; want nothing", m.Args, err)
	}
}
