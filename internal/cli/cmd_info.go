package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/engine"
)

func (a *app) cmdInfo() *cobra.Command {
	return a.reads(&cobra.Command{
		Use:     "info APP",
		Short:   "Show one app: its requests, queue, pool and workers",
		GroupID: "see",
		Long: `Shows one app. With -o json it prints the document of the node service (node.info
with all flags), manifest and profile included, whose keys are those of the
original runtime.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeApps(runningApp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.info(ctx, c, args[0])
			})
		},
	})
}

func (a *app) info(ctx context.Context, c *cocaine.Client, name string) error {
	s, err := status(ctx, c)
	if err != nil {
		return cannot(err, "show %s", name)
	}
	app, ok := s.app(name)
	switch {
	case !ok:
		if n, ok := s.elsewhere(name); ok {
			return coded(NotFound, fmt.Errorf("cannot show %s: it runs on another node", name), "cocaine info %s --locator %s", name, n.Locator)
		}
		return coded(NotFound, fmt.Errorf("cannot show %s: there is no such app", name), "cocaine ps")
	case app.State == stopped:
		return coded(NotFound, fmt.Errorf("cannot show %s: it is not running", name), "cocaine start %s", name)
	case !a.asJSON():
		return a.printApp(app)
	}
	doc, err := cocaine.Get[map[string]any](ctx, c.Service("node"), "info", name, engine.InfoOverseer|engine.InfoManifest|engine.InfoProfile|engine.InfoMore)
	if err != nil {
		return cannot(err, "show %s", name)
	}
	return a.printJSON(doc)
}

func (a *app) printApp(s *appStatus) error {
	var b strings.Builder
	p := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", key, printable(fmt.Sprintf(format, args...)))
	}
	p("app", "%s, release %s, profile %s", s.Name, dash(s.Release), dash(s.Profile.Name))
	published := "published"
	if !s.Published {
		published = "not published"
	}
	p("state", "%s, %s, up %s", s.condition(), published, age(s.Uptime))
	if why := s.why(); why != "" {
		p("why", "%s", why)
	}
	p("requests", "%d accepted, %d rejected, %d expired in the queue, %d timed out; %s a second",
		s.Requests.Accepted, s.Requests.Rejected, s.Requests.Expired, s.Requests.Timeouts, perSecond(s.Rate))
	p("queue", "%d of %d", s.Queue.Depth, s.Queue.Capacity)
	p("latency", "p50 %s, p90 %s, p99 %s", latency(s.Timings.P50), latency(s.Timings.P90), latency(s.Timings.P99))
	p("pool", "%d busy, %d idle, %d at most; %d started, %d crashed", s.Pool.Busy, s.Pool.Idle, s.Pool.Max, s.Pool.Started, s.Pool.Crashed)
	if err := a.screen.result(b.String()); err != nil || len(s.Pool.Workers) == 0 {
		return err
	}
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(s.Pool.Workers)) {
		w := s.Pool.Workers[id]
		rows = append(rows, []string{shortID(id), strconv.Itoa(w.PID), w.State, strconv.Itoa(w.Load),
			strconv.FormatUint(w.Served, 10), age(w.Uptime)})
	}
	if err := a.screen.result("\n"); err != nil {
		return err
	}
	return a.table([]string{"WORKER", "PID", "STATE", "LOAD", "SERVED", "UP"}, rows)
}

// shortID is enough of a worker's uuid for people to tell workers apart.
func shortID(id string) string { return id[:min(8, len(id))] }
