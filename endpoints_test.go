package cocaine_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// dialed connects to the node service of a runtime whose locator has an address, in
// virtual time, and gives the endpoints that were tried. Those in up listen.
func dialed(t *testing.T, locator string, endpoints, up []string) (tried []string) {
	t.Helper()
	r := standin.New(t)
	r.Publish("node", idl.NodeService, endpoints...)
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		defer n.serve(locator, r.Acceptor())()
		for _, addr := range up {
			defer n.serve(addr, standin.NodeList(addr))()
		}
		client := n.client(t, locator)
		defer client.Close()
		_ = client.Service("node").Connect(t.Context()) // what was tried is what counts
		tried = n.tried()[1:]
	})
	return tried
}

func (n *network) client(t *testing.T, locators ...string) *cocaine.Client {
	client, err := cocaine.New(cocaine.Options{Locators: locators, Dial: n.dial, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// tried gives the addresses that were dialed.
func (n *network) tried() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.addrs)
}

// What is on this machine comes first, unless it is another machine's, and kinds of
// endpoints keep their order.
func TestEndpointsByKind(t *testing.T) {
	const (
		here, v4, v6, name = "127.0.0.1:7", "10.0.0.7:7", "[fd00::7]:7", "node.example.org:7"
		locator, remote    = "127.0.0.1:10053", "10.0.0.2:10053"
	)
	for _, c := range []struct {
		locator       string
		answer, order []string
	}{
		{locator, []string{v4, v6, here}, []string{here, v4, v6}},
		{locator, []string{name, v6, v4, "[::1]:7"}, []string{"[::1]:7", name, v6, v4}},
		{locator, []string{v6, "localhost:7", v4}, []string{"localhost:7", v6, v4}},
		{remote, []string{here, v6, v4}, []string{v6, v4, here}},
		{remote, []string{v4, name}, []string{v4, name}},
	} {
		for range 5 { // the order is no matter of chance
			if got := dialed(t, c.locator, c.answer, nil); !slices.Equal(got, c.order) {
				t.Errorf("%s says %q: tried %q, want %q", c.locator, c.answer, got, c.order)
			}
		}
	}
}

// Endpoints that are alike get their share each.
func TestEndpointsAreShared(t *testing.T) {
	endpoints := []string{"10.0.0.7:1", "10.0.0.7:2", "10.0.0.8:1"}
	got := map[string]int{}
	for range 120 {
		got[dialed(t, locatorAddr, endpoints, endpoints)[0]]++
	}
	for _, e := range endpoints {
		if n := got[e]; n < 15 { // of 40 that are to be expected: once in a million runs
			t.Errorf("%s was chosen %d times of 120", e, n)
		}
	}
}

// An endpoint that failed is not the first to be tried again, for a while.
func TestFailedEndpointComesLast(t *testing.T) {
	const good, bad = "10.0.0.7:1", "10.0.0.8:1"
	r := standin.New(t)
	r.Publish("node", idl.NodeService, bad, good)
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		defer n.serve(locatorAddr, r.Acceptor())()
		client := n.client(t, locatorAddr)
		defer client.Close()
		svc := client.Service("node")
		connect := func() (tried []string) {
			before := len(n.tried())
			if err := svc.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			svc.Disconnect()
			synctest.Wait()
			return n.tried()[before:]
		}
		stop := n.serve(good, standin.NodeList("good"))
		for tried := connect(); !slices.Contains(tried, bad); tried = connect() {
		}
		for range 20 {
			if tried := connect(); tried[0] != good {
				t.Fatalf("tried %q: the endpoint that has just failed comes first", tried)
			}
		}
		// It is still better than none,
		stop()
		defer n.serve(bad, standin.NodeList("back"))()
		if tried := connect(); !slices.Equal(tried, []string{good, bad}) {
			t.Errorf("tried %q, want the one that failed long ago at the end", tried)
		}
		// and to have answered clears it: now it is the other one's turn to be last.
		if tried := connect(); !slices.Equal(tried, []string{bad}) {
			t.Errorf("tried %q", tried)
		}
		// After a while nobody remembers.
		time.Sleep(time.Minute)
		defer n.serve(good, standin.NodeList("good"))()
		first := map[string]bool{}
		for range 40 {
			first[connect()[0]] = true
		}
		if len(first) != 2 {
			t.Errorf("only %v was chosen", first)
		}
	})
}

// Locators are tried as Options has them, whatever they are, but those that failed.
func TestLocatorsKeepTheirOrder(t *testing.T) {
	r := standin.New(t)
	synctest.Test(t, func(t *testing.T) {
		const first, second = "10.0.0.2:10053", "127.0.0.1:10053"
		for range 10 {
			n := new(network)
			stop, other := n.serve(first, r.Acceptor()), n.serve(second, r.Acceptor())
			client := n.client(t, first, second)
			connect := func() string {
				if err := client.Service("locator").Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				return client.Service("locator").RemoteAddr().String()
			}
			if got := connect(); got != first {
				t.Errorf("the locator is %s, want the first", got)
			}
			stop()
			synctest.Wait()
			if got := connect(); got != second {
				t.Errorf("the locator is %s, want the second", got)
			}
			client.Close()
			other()
		}
	})
}

// Over real sockets: clients spread over the listeners of a service, and go on when
// one is gone.
func TestClientsSpreadOverListeners(t *testing.T) {
	r := standin.New(t)
	services := make([]*standin.Service, 3)
	endpoints := make([]string, len(services))
	for i := range services {
		services[i] = standin.Listen(t, standin.NodeList(fmt.Sprint(i)))
		endpoints[i] = services[i].Addr()
	}
	r.Publish("node", idl.NodeService, endpoints...)
	chosen := func() map[string]int {
		got := map[string]int{}
		for range 60 {
			client := newClient(t, r)
			apps, err := client.Node().List(patient(t))
			if err != nil {
				t.Fatal(err)
			}
			got[apps[0]]++
			client.Close()
		}
		return got
	}
	if got := chosen(); len(got) != 3 {
		t.Errorf("60 clients chose %v", got)
	}
	services[1].Stop()
	if got := chosen(); len(got) != 2 || got["1"] != 0 {
		t.Errorf("60 clients chose %v, the second of which is gone", got)
	}
}
