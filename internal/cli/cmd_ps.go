package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

func (a *app) cmdPs() *cobra.Command {
	return a.reads(&cobra.Command{
		Use:     "ps",
		Aliases: []string{"status"},
		Short:   "Show the apps, how they are and what they are doing",
		GroupID: "see",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				s, err := status(ctx, c)
				if err != nil {
					return cannot(err, "list the apps")
				}
				if a.asJSON() {
					return a.printJSON(s)
				}
				return a.printApps(s)
			})
		},
	})
}

func (a *app) printApps(s *nodeStatus) error {
	if len(s.Apps) == 0 {
		a.screen.say("no apps; start one: cocaine up PATH")
		return a.printNodes(s.Nodes)
	}
	var rows [][]string
	for i := range s.Apps {
		rows = append(rows, appRow(&s.Apps[i]))
	}
	if err := a.table([]string{"APP", "RELEASE", "STATE", "BUSY/IDLE/MAX", "QUEUE", "REQ/S", "P99", "CRASHES", "UP", "WHY"}, rows); err != nil || len(s.Nodes) == 0 {
		return err
	}
	if err := a.screen.result("\n"); err != nil {
		return err
	}
	return a.printNodes(s.Nodes)
}

// printNodes prints the other nodes of a cluster, if this one is in any.
func (a *app) printNodes(nodes []peerStatus) error {
	if len(nodes) == 0 {
		return nil
	}
	var rows [][]string
	for _, n := range nodes {
		state := "linked"
		if !n.Linked {
			state = "not linked"
		}
		rows = append(rows, []string{dash(shortID(n.Node)), n.Locator, state, strconv.Itoa(len(n.Services)), n.Cause})
	}
	return a.table([]string{"NODE", "LOCATOR", "STATE", "SERVICES", "WHY"}, rows)
}

func appRow(s *appStatus) []string {
	if s.State == stopped {
		return []string{s.Name, "-", s.State, "-", "-", "-", "-", "-", "-"}
	}
	return []string{
		s.Name, dash(s.Release), s.condition(),
		fmt.Sprintf("%d/%d/%d", s.Pool.Busy, s.Pool.Idle, s.Pool.Max),
		strconv.Itoa(s.Queue.Depth), perSecond(s.Rate), latency(s.Timings.P99),
		strconv.FormatUint(s.Pool.Crashed, 10), age(s.Uptime), s.why(),
	}
}
