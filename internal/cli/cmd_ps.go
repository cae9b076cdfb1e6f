package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

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
					return err
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
		fmt.Fprintln(a.env.Stderr, "no apps; start one: cocaine up PATH")
		return nil
	}
	var rows [][]string
	for _, x := range s.Apps {
		rows = append(rows, []string{
			x.Name, dash(x.Release), x.condition(),
			fmt.Sprintf("%d/%d/%d", x.Pool.Active, x.Pool.Idle, x.Pool.Capacity),
			strconv.Itoa(x.Queue.Depth), rate(x.Rate), latency(x.Timings["99.00%"]),
			strconv.FormatUint(x.Pool.Crashed, 10), age(x.Uptime), x.why(),
		})
	}
	return a.table([]string{"APP", "RELEASE", "STATE", "BUSY/IDLE/MAX", "QUEUE", "REQ/S", "P99", "CRASHES", "UP", "WHY"}, rows)
}

// condition is one word for how an app is.
func (s *appStatus) condition() string {
	if s.State == "running" && s.Health.State != "" && s.Health.State != "ok" {
		return s.Health.State
	}
	return s.State
}

// why says what went wrong last.
func (s *appStatus) why() string {
	switch {
	case s.Cause != "":
		return s.Cause
	case s.Health.LastCrash != "":
		return fmt.Sprintf("%s ago: %s", age(int64(time.Since(time.Unix(s.Health.LastCrashTime, 0)).Seconds())), s.Health.LastCrash)
	}
	return ""
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func rate(r []float64) string {
	if len(r) == 0 {
		return "-"
	}
	return strconv.FormatFloat(r[0], 'f', 1, 64)
}

func latency(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return rounded(time.Duration(ms * float64(time.Millisecond)))
}

// age gives seconds in the largest fitting unit.
func age(seconds int64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%ds", max(seconds, 0))
	case seconds < 120*60:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 48*3600:
		return fmt.Sprintf("%dh", seconds/3600)
	default:
		return fmt.Sprintf("%dd", seconds/86400)
	}
}
