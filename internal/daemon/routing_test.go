package daemon_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/logtest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// writeGroup stores a routing group as the old tools do.
func (n *node) writeGroup(t testing.TB, name string, weights map[string]any) {
	t.Helper()
	b, err := msgpack.AppendValue(nil, weights)
	if err != nil {
		t.Fatal(err)
	}
	n.writeRecord(t, name, b)
}

func (n *node) writeRecord(t testing.TB, name string, record []byte) {
	t.Helper()
	if err := n.c.Storage().Write(t.Context(), "groups", name, record, "group", "active"); err != nil {
		t.Fatal(err)
	}
}

// bySeed resolves a group with many seeds, and counts the seeds by the member at whose
// endpoint they arrive. Each must arrive where the table says.
func (n *node) bySeed(t testing.TB, group string, table cocaine.RoutingTable, members ...string) map[string]int {
	t.Helper()
	at := map[string]string{}
	for _, m := range members {
		r, err := n.c.Locator().Resolve(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		at[r.Endpoints[0]] = m
	}
	counts := map[string]int{}
	for i := range 1000 {
		seed := fmt.Sprint("user-", i)
		r, err := n.c.Locator().ResolveSeed(t.Context(), group, seed)
		if err != nil {
			t.Fatal(err)
		}
		m := at[r.Endpoints[0]]
		if want := table.Pick(group, seed); m != want {
			t.Fatalf("seed %s leads to %q at %v, the table says %s", seed, m, r.Endpoints, want)
		}
		counts[m]++
	}
	return counts
}

// accepted is how many requests an app on this node has accepted.
func (n *node) accepted(t testing.TB, app string) int {
	t.Helper()
	type report struct {
		Apps []struct {
			Name     string `codec:"name"`
			Requests struct {
				Accepted int `codec:"accepted"`
			} `codec:"requests"`
		} `codec:"apps"`
	}
	s, err := cocaine.Get[report](t.Context(), n.c.Service("admin"), "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Apps {
		if a.Name == app {
			return a.Requests.Accepted
		}
	}
	return 0
}

// TestRoutingGroupAcrossNodes: a group whose members are apps on two nodes, from the
// record to the workers.
func TestRoutingGroupAcrossNodes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := startNode(t, nil, nil)
	newApp("app_v1").deploy(t, a.c)
	b := startNode(t, []string{a.addr()}, nil)
	newApp("app_v2").deploy(t, b.c)
	eventually(t, "b resolves a's app", func() error { return echo(ctx, b.c, "app_v1", "x") })

	next, stop := iter.Pull2(b.c.Locator().Routing(ctx, "the proxy"))
	defer stop()
	tables := func() cocaine.RoutingTable {
		t.Helper()
		table, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("the routing stream has ended: %v", err)
		}
		return table
	}
	if table := tables(); len(table) != 0 {
		t.Errorf("there are groups: %v", slices.Collect(maps.Keys(table)))
	}
	if err := b.gone(ctx, "app"); err != nil {
		t.Error(err)
	}

	// Three of four seeds go to the other node.
	b.writeGroup(t, "app", map[string]any{"app_v1": 3, "app_v2": 1})
	if err := b.c.Locator().Refresh(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	table := tables()
	counts := b.bySeed(t, "app", table, "app_v1", "app_v2")
	if n := counts["app_v1"]; n < 650 || n > 850 || counts["app_v2"] != 1000-n {
		t.Errorf("weights 3 and 1: %v", counts)
	}
	if s := table.Shares("app"); s["app_v1"] < 0.65 || s["app_v1"] > 0.85 || s["app_v1"]+s["app_v2"] < 0.999 || len(s) != 2 {
		t.Errorf("weights 3 and 1: shares %v", s)
	}

	// So do calls by the group's name: each client is led somewhere once.
	before := a.accepted(t, "app_v1")
	const clients = 60
	for range clients {
		c := dial(t, b.addr())
		if err := echo(ctx, c, "app", "hello"); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	first, second := a.accepted(t, "app_v1")-before, b.accepted(t, "app_v2")
	if first+second != clients || first <= second || second == 0 { // 45 to 15, give or take four
		t.Errorf("%d calls: %d to app_v1, %d to app_v2", clients, first, second)
	}

	// A change of weights reaches subscribers and resolves alike; a draft does not.
	b.writeGroup(t, "app", map[string]any{"app_v1": 1, "app_v2": 9})
	if counts := b.bySeed(t, "app", table, "app_v1", "app_v2"); counts["app_v1"] < 650 {
		t.Errorf("a change that nobody was told of: %v", counts)
	}
	if err := b.c.Locator().Refresh(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	table = tables()
	if counts := b.bySeed(t, "app", table, "app_v1", "app_v2"); counts["app_v2"] < 850 {
		t.Errorf("weights 1 and 9: %v", counts)
	}

	// The name of an app may be that of a group: the group comes first.
	b.writeGroup(t, "app_v2", map[string]any{"app_v1": 1})
	if err := b.c.Locator().Refresh(ctx, "app_v2"); err != nil {
		t.Fatal(err)
	}
	if table = tables(); len(table) != 2 {
		t.Errorf("%d groups", len(table))
	}
	where, err := b.c.Locator().Resolve(ctx, "app_v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.resolves(ctx, "app_v2", where.Endpoints[0]); err != nil {
		t.Error(err)
	}

	// A group that was removed is forgotten once refreshed.
	for _, name := range []string{"app", "app_v2"} {
		if err := b.c.Storage().Remove(ctx, "groups", name); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.c.Locator().Refresh(ctx, "app", "app_v2", "never there"); err != nil {
		t.Fatal(err)
	}
	if table = tables(); len(table) != 0 {
		t.Errorf("%d groups", len(table))
	}
	if err := b.gone(ctx, "app"); err != nil {
		t.Error(err)
	}
}

// TestBadGroupsAtStart: groups that cannot be used are left out and told, and cost
// neither the start nor the good ones.
func TestBadGroupsAtStart(t *testing.T) {
	ctx, dir := t.Context(), directory(t)
	first := start(t, daemon.Options{Config: configuration(dir, nil)})
	n := &node{Daemon: first, c: dial(t, first.Addr().String())}
	n.writeGroup(t, "good", map[string]any{"storage": 1})
	n.writeGroup(t, "weightless", map[string]any{"storage": 0})
	n.writeGroup(t, "negative", map[string]any{"storage": -1})
	n.writeRecord(t, "nonsense", []byte("\xc1"))
	n.writeRecord(t, "text", []byte("\xa4text"))
	bad := []string{"weightless", "negative", "nonsense", "text"}
	for _, name := range bad { // while it runs a refresh says no, and leaves what there is
		if err := n.c.Locator().Refresh(ctx, name); err == nil {
			t.Errorf("refreshed %s", name)
		}
	}
	n.c.Close()
	stop(t, first)

	var log logtest.Buffer
	second := start(t, daemon.Options{Config: configuration(dir, nil), Log: slog.New(slog.NewTextHandler(&log, nil))})
	n = &node{Daemon: second, c: dial(t, second.Addr().String())}
	r, err := n.c.Locator().ResolveSeed(ctx, "good", "ann")
	if err != nil || r.Endpoints[0] != statusOf(t, n.c).Services["storage"] {
		t.Errorf("good leads to %v, %v", r, err)
	}
	for table, err := range n.c.Locator().Routing(ctx, "r") {
		if err != nil || len(table) != 1 || table["good"] == nil {
			t.Errorf("the table has %v, %v", slices.Collect(maps.Keys(table)), err)
		}
		break
	}
	for _, name := range bad {
		if !strings.Contains(log.String(), "level=WARN msg=\"leaving out a routing group\" group="+name) {
			t.Errorf("nothing is told of %s:\n%s", name, log.String())
		}
		if err := n.gone(ctx, name); err != nil {
			t.Error(err)
		}
	}
}
