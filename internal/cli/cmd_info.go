package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/engine"
)

func (a *app) cmdInfo() *cobra.Command {
	return a.reads(&cobra.Command{
		Use:     "info APP",
		Short:   "Show one app: its queue, pool, workers, manifest and profile",
		GroupID: "see",
		Long: `Shows one app. With -o json it prints the document of the node service (node.info
with all flags), whose keys are those of the original runtime.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.info(ctx, c, args[0])
			})
		},
	})
}

func (a *app) info(ctx context.Context, c *cocaine.Client, name string) error {
	if a.asJSON() {
		doc, err := cocaine.Get[map[string]any](ctx, c.Service("node"), "info", name, engine.InfoOverseer|engine.InfoManifest|engine.InfoProfile)
		if err != nil {
			return notRunning(name, err)
		}
		return a.printJSON(doc)
	}
	s, err := status(ctx, c)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.Apps, func(x appStatus) bool { return x.Name == name })
	if i < 0 {
		return &failure{err: fmt.Errorf("cannot show app %q: it is not running", name), hint: "cocaine ps", code: NotFound}
	}
	return a.printApp(&s.Apps[i])
}

// notRunning gives the error of an unknown app the right code: the original's
// node.info answers [12, 22] for it.
func notRunning(name string, err error) error {
	return &failure{err: fmt.Errorf("cannot show app %q: %w", name, err), hint: "cocaine ps", code: notFoundOr(err)}
}

func notFoundOr(err error) Code {
	if c := classify(err); c != Failed {
		return c
	}
	return NotFound
}

func (a *app) printApp(s *appStatus) error {
	p := func(key, format string, args ...any) {
		fmt.Fprintf(a.env.Stdout, "%-10s %s\n", key, fmt.Sprintf(format, args...))
	}
	p("app", "%s@%s", s.Name, dash(s.Release))
	p("state", "%s, up %s, published %v, profile %s", s.condition(), age(s.Uptime), s.Published, dash(s.Profile.Name))
	if why := s.why(); why != "" {
		p("why", "%s", why)
	}
	p("requests", "%d accepted, %d rejected, %d expired in the queue, %d timed out, %s a second",
		s.Requests.Accepted, s.Requests.Rejected, s.Requests.Expired, s.Requests.Timeouts, rate(s.Rate))
	p("queue", "%d of %d", s.Queue.Depth, s.Queue.Capacity)
	p("latency", "p50 %s, p90 %s, p99 %s", latency(s.Timings["50.00%"]), latency(s.Timings["90.00%"]), latency(s.Timings["99.00%"]))
	p("pool", "%d busy, %d idle, %d at most; %d started, %d crashed", s.Pool.Active, s.Pool.Idle, s.Pool.Capacity, s.Pool.Spawned, s.Pool.Crashed)
	if len(s.Pool.Slaves) == 0 {
		return nil
	}
	fmt.Fprintln(a.env.Stdout)
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(s.Pool.Slaves)) {
		w := s.Pool.Slaves[id]
		rows = append(rows, []string{id[:min(8, len(id))], strconv.Itoa(w.PID), w.State, strconv.Itoa(w.Load),
			strconv.FormatUint(w.Accepted, 10), age(w.Uptime)})
	}
	return a.table([]string{"WORKER", "PID", "STATE", "LOAD", "SERVED", "UP"}, rows)
}
