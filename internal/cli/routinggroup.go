package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go"
)

// groupShape is a routing group as -o json prints it.
type groupShape struct {
	Group   string        `json:"group"`
	Seed    string        `json:"seed"`
	Member  string        `json:"member"` // that the seed leads to; "" without a seed
	Members []memberShape `json:"members"`
}

// memberShape is a member of a routing group.
type memberShape struct {
	Name      string   `json:"name"`
	Share     float64  `json:"share"`     // of the seeds, from 0 to 1
	Endpoints []string `json:"endpoints"` // none: nobody serves it
}

// showGroup prints the members of a routing group, those with the largest shares first.
func (a *app) showGroup(ctx context.Context, c *cocaine.Client, name, seed string) error {
	table, err := routingTable(ctx, c)
	if err != nil {
		return cannot(err, "show routing group %s", name)
	}
	shares := table.Shares(name)
	if shares == nil {
		return coded(NotFound, fmt.Errorf("cannot show routing group %s: the locator does not know it", name),
			"cocaine tool group list; cocaine tool group refresh -n %s", name)
	}
	g := groupShape{Group: name, Seed: seed}
	if seed != "" {
		g.Member = table.Pick(name, seed)
	}
	for member, share := range shares {
		m := memberShape{Name: member, Share: share, Endpoints: []string{}}
		r, err := resolve(ctx, c, member)
		switch {
		case err == nil:
			m.Endpoints = r.Endpoints
		case !errors.Is(err, cocaine.ErrServiceNotFound):
			return cannot(err, "show routing group %s", name)
		}
		g.Members = append(g.Members, m)
	}
	slices.SortFunc(g.Members, func(x, y memberShape) int {
		return cmp.Or(cmp.Compare(y.Share, x.Share), strings.Compare(x.Name, y.Name))
	})
	if a.asJSON() {
		return a.printJSON(g)
	}
	return a.printGroup(&g)
}

func (a *app) printGroup(g *groupShape) error {
	if g.Member != "" {
		if err := a.screen.result(printable(fmt.Sprintf("seed %q leads to %s", g.Seed, g.Member)) + "\n\n"); err != nil {
			return err
		}
	}
	rows := make([][]string, len(g.Members))
	for i, m := range g.Members {
		rows[i] = []string{m.Name, fmt.Sprintf("%.1f%%", 100*m.Share), dash(strings.Join(m.Endpoints, ", "))}
	}
	return a.table([]string{"MEMBER", "SHARE", "AT"}, rows)
}

// routingTable asks for the routing groups as they are now.
func routingTable(ctx context.Context, c *cocaine.Client) (cocaine.RoutingTable, error) {
	ctx, cancel := context.WithTimeout(ctx, resolving)
	defer cancel()
	for table, err := range c.Locator().Routing(ctx, fmt.Sprintf("cocaine:%d:%d", os.Getpid(), time.Now().UnixNano())) {
		return table, err
	}
	return nil, errors.New("the locator has no routing table")
}
