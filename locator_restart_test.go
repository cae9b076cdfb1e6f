package cocaine_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// A locator that went away and comes back at its address is found again, by those who
// ask for the first time as well. While it is away they fail soon, and the client does
// not spin.
func TestLocatorRestart(t *testing.T) {
	r := standin.New(t)
	r.Publish("node", idl.NodeService, nodeAddr)
	r.Publish("other", idl.NodeService, nodeAddr)
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		stop := n.serve(locatorAddr, r.Acceptor())
		defer n.serve(nodeAddr, standin.NodeList("a"))()
		client := n.client(t, locatorAddr)
		defer client.Close()
		if _, err := client.Node().List(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		n.remove(locatorAddr)
		synctest.Wait()
		if _, err := client.Node().List(t.Context()); err != nil { // its connection is its own
			t.Errorf("a service that is connected: %v", err)
		}
		other := client.Service("other")
		start, before := time.Now(), len(n.tried())
		for time.Since(start) < time.Minute {
			if err := other.Connect(t.Context()); !errors.Is(err, errRefused) {
				t.Fatal(err)
			}
		}
		if got := len(n.tried()) - before; got > 150 {
			t.Errorf("%d attempts in a minute", got)
		}
		defer n.serve(locatorAddr, r.Acceptor())()
		start = time.Now()
		if apps, err := cocaine.Get[[]string](t.Context(), other, "list"); err != nil || apps[0] != "a" {
			t.Errorf("got %q, %v", apps, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it was noticed after %v", took)
		}
	})
}
