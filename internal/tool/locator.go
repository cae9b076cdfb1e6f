package tool

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

func (t *tool) locate() *cobra.Command {
	var name string
	return t.command("locate", "Show where a service is and what methods it has", func(ctx context.Context, o *operation) error {
		r, err := o.client.Locator().Resolve(ctx, name)
		if err != nil {
			return cannot(err, "locate %s", name)
		}
		api := make(map[string]any, len(r.Methods))
		for _, m := range r.Methods {
			api[strconv.FormatUint(m.ID, 10)] = m.Name
		}
		return o.printJSON(map[string]any{"endpoints": list(r.Endpoints), "version": r.Version, "api": api})
	}, required(&name, "name", "n", "`name` of the service"))
}

func (t *tool) uuid() *cobra.Command {
	return t.command("uuid", "Show the identity of the node", func(ctx context.Context, o *operation) error {
		id, err := o.client.Locator().UUID(ctx)
		if err != nil {
			return cannot(err, "ask for the identity of the node")
		}
		return o.printJSON(id)
	})
}

// An endpoint is an address on the wire.
type endpoint struct {
	Host string
	Port int
}

func (t *tool) cluster() *cobra.Command {
	var resolve string
	return t.command("cluster", "Show the nodes that the locator is connected to", func(ctx context.Context, o *operation) error {
		nodes, err := cocaine.Get[map[string]endpoint](ctx, o.client.Service("locator"), "cluster")
		if err != nil {
			return cannot(err, "list the nodes of the cluster")
		}
		doc := make(map[string]any, len(nodes))
		for id, e := range nodes {
			if !truthy(resolve) {
				e.Host = hostname(ctx, e.Host)
			}
			doc[id] = []any{e.Host, e.Port}
		}
		return o.printJSON(doc)
	}, text(&resolve, "resolve", "", "false", "`true` shows addresses in the place of names (so it is in the original)"))
}

func truthy(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

// hostname finds the name of an address, the address itself if it has none.
func hostname(ctx context.Context, address string) string {
	names, err := net.DefaultResolver.LookupAddr(ctx, address)
	if err != nil || len(names) == 0 {
		return address
	}
	return strings.TrimSuffix(names[0], ".")
}

// A point of a routing group belongs to an app.
type point struct {
	At  uint32
	App string
}

func (t *tool) routing() *cobra.Command {
	var name string
	return t.command("routing", "Show what share of the requests each app of a routing group gets", func(ctx context.Context, o *operation) error {
		rings, err := o.rings(ctx)
		if err != nil {
			return cannot(err, "show routing group %s", name)
		}
		ring, ok := rings[name]
		if !ok {
			return hinted(fmt.Errorf("cannot show routing group %s: the locator does not know it", name), "%s group refresh -n %s", o.env.Name, name)
		}
		return o.printJSON(map[string]any{name: shares(ring)})
	}, required(&name, "name", "n", "`name` of the routing group"), func(c *cobra.Command, _ *spec) { t.completeNames(c, groups()) })
}

// rings asks for the routing table. The locator would go on to send each change.
func (o *operation) rings(ctx context.Context) (map[string][]point, error) {
	host, _ := os.Hostname()
	id := fmt.Sprintf("tools:%s_%d_%d", host, os.Getpid(), time.Now().UnixNano())
	return cocaine.Get[map[string][]point](ctx, o.client.Service("locator"), "routing", id)
}

// shares tells which part of the ring each app owns: a point owns what lies before
// it, the first one also what lies after the last.
func shares(ring []point) map[string]any {
	const whole = math.MaxUint32 + 1
	owned := make(map[string]float64)
	for i, p := range ring {
		before := float64(ring[(i+len(ring)-1)%len(ring)].At)
		if i == 0 {
			before -= whole
		}
		owned[p.App] += float64(p.At) - before
	}
	doc := make(map[string]any, len(owned))
	for app, width := range owned {
		doc[app] = width / whole
	}
	return doc
}
