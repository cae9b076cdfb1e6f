package uniresis_test

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/uniresis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const uuid = "a02f0448-80e8-4c15-af57-065d8bf2e022"

func play(t *testing.T, n uniresis.Node) *rpctest.Peer {
	return rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: uniresis.Service(n, rpc.MuxOptions{})}})
}

// TestConversation is one with the original, on a machine of the same size: the same
// requests, byte for byte, and the answers in the same order, without the headers of
// untraced frames. A method that does not exist costs the connection there.
func TestConversation(t *testing.T) {
	p := play(t, uniresis.Node{UUID: uuid, CPUs: 2, Memory: 25276502016})
	for _, step := range []struct{ send, args string }{
		{"93010090", "9102"},
		{"93020190", "91cf00000005e298d000"},
		{"93030290", "91da0024" + hex.EncodeToString([]byte(uuid))},
	} {
		b, err := hex.DecodeString(step.send)
		if err != nil {
			t.Fatal(err)
		}
		p.Write(b)
		f := p.Recv()
		if got := hex.EncodeToString(f.Args); got != step.args || f.Type != idl.Value || f.Channel != uint64(b[1]) {
			t.Errorf("%s is answered with %v, want arguments %s", step.send, f, step.args)
		}
	}
	p.Send(4, 3)
	p.WantError(4, idl.CategoryDispatch, idl.DispatchUnbound)
}

func TestUnknownResources(t *testing.T) {
	p := play(t, uniresis.Node{UUID: uuid}.Restrict(4, 1<<30))
	p.Send(1, idl.UniresisCPUCount)
	p.WantError(1, idl.CategoryUniresis, idl.UniresisNoCPUCount)
	p.Send(2, idl.UniresisMemoryCount)
	p.WantError(2, idl.CategoryUniresis, idl.UniresisNoMemorySize)
	p.Send(3, idl.UniresisUUID, "surplus")
	p.Want(3, idl.Value, uuid)
}

// TestRestrict: restrictions only lower.
func TestRestrict(t *testing.T) {
	n := uniresis.Node{CPUs: 8, Memory: 1 << 30}
	for _, c := range []struct {
		cpus       int
		memory     int64
		wantCPUs   int
		wantMemory int64
	}{{0, 0, 8, 1 << 30}, {2, 1 << 20, 2, 1 << 20}, {100, 1 << 40, 8, 1 << 30}} {
		if got := n.Restrict(c.cpus, c.memory); got.CPUs != c.wantCPUs || got.Memory != c.wantMemory {
			t.Errorf("restricted to %d and %d: %d and %d", c.cpus, c.memory, got.CPUs, got.Memory)
		}
	}
}

// registry remembers the nodes that exist.
type registry struct {
	mu     sync.Mutex
	nodes  map[string]*held
	tries  int
	broken error
}

type held struct {
	r     *registry
	path  string
	value any
	lost  chan struct{}
}

func (r *registry) Hold(_ context.Context, path string, value []byte) (uniresis.Held, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if r.broken != nil {
		return nil, r.broken
	}
	m := msgpack.NewReader(value)
	h := &held{r: r, path: path, value: m.Value(), lost: make(chan struct{})}
	r.nodes[path] = h
	return h, nil
}

func (h *held) Lost() <-chan struct{} { return h.lost }

func (h *held) Release(context.Context) error {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	delete(h.r.nodes, h.path)
	return nil
}

// lose removes the node from outside.
func (r *registry) lose(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.nodes[path].lost)
	delete(r.nodes, path)
}

func (r *registry) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

func (r *registry) get(path string) (value any, tries int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.nodes[path]; h != nil {
		value = h.value
	}
	return value, r.tries
}

func TestBeacon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{nodes: make(map[string]*held)}
		var log strings.Builder
		b := uniresis.Tell(r, "/resources", uniresis.Node{UUID: uuid, Hostname: "box", CPUs: 2, Memory: 5000,
			Endpoints: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:10053"), netip.MustParseAddrPort("[::1]:5")}},
			slog.New(slog.NewTextHandler(&log, nil)))
		const path = "/resources/" + uuid
		want := map[string]any{"hostname": "box", "extra": map[string]any{}, "resources": map[string]any{"cpu": int64(2), "mem": int64(5000)},
			"endpoints": []any{[]any{"10.0.0.1", int64(10053)}, []any{"::1", int64(5)}}}
		synctest.Wait()
		if got, _ := r.get(path); !reflect.DeepEqual(got, want) {
			t.Errorf("the cluster is told %v", got)
		}

		r.fail(errors.New("out of order"))
		r.lose(path)
		time.Sleep(10*time.Second + time.Millisecond)
		if got, tries := r.get(path); got != nil || tries != 11 {
			t.Errorf("%v, after %d tries, want 11", got, tries)
		}
		r.fail(nil)
		time.Sleep(time.Second)
		if got, _ := r.get(path); !reflect.DeepEqual(got, want) {
			t.Errorf("after a loss the cluster is told %v", got)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "out of order") {
			t.Errorf("logged %d lines, want one for the loss and one for the failures:\n%s", n, log.String())
		}

		if err := errors.Join(b.Close(), b.Close()); err != nil {
			t.Error(err)
		}
		if got, _ := r.get(path); got != nil {
			t.Errorf("after the end there is still %v", got)
		}
	})
}
