package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

// crashRecord is one crash; its JSON is what -o json prints.
type crashRecord struct {
	App      string   `codec:"app" json:"app"`
	Release  string   `codec:"release" json:"release"`
	Worker   string   `codec:"worker" json:"worker"`
	PID      int      `codec:"pid" json:"pid"`
	Time     int64    `codec:"time" json:"time_us"`
	Uptime   int64    `codec:"uptime_ms" json:"uptime_ms"`
	Code     int      `codec:"code" json:"code"`
	Reason   string   `codec:"reason" json:"reason"`
	Exit     string   `codec:"exit" json:"exit"`
	Signal   string   `codec:"signal" json:"signal,omitempty"`
	Status   int      `codec:"status" json:"status"`
	Inflight int      `codec:"inflight" json:"inflight"`
	Lines    []string `codec:"lines" json:"lines"`
}

func (a *app) cmdCrashes() *cobra.Command {
	var last int
	var full bool
	c := &cobra.Command{
		Use:               "crashes APP",
		Short:             "Show how workers of an app died: exit status, signal, last lines",
		GroupID:           "see",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				list, err := cocaine.Get[[]crashRecord](ctx, c.Service("admin"), "crashes", args[0], last)
				if err != nil {
					return fmt.Errorf("cannot list crashes of %s: %w", args[0], err)
				}
				if a.asJSON() {
					return a.printJSON(list)
				}
				return a.printCrashes(args[0], list, full)
			})
		},
	}
	c.Flags().IntVarP(&last, "last", "n", 10, "how many at most")
	c.Flags().BoolVar(&full, "output-lines", false, "show every kept line of output")
	return a.reads(c)
}

func (a *app) printCrashes(name string, list []crashRecord, full bool) error {
	if len(list) == 0 {
		fmt.Fprintf(a.env.Stderr, "no crash of %s is on record\n", name)
		return nil
	}
	if !full {
		var rows [][]string
		for _, r := range list {
			rows = append(rows, []string{time.UnixMicro(r.Time).Format("2006-01-02 15:04:05"), r.Worker[:min(8, len(r.Worker))],
				r.Release, r.Exit, r.Reason, strconv.Itoa(r.Inflight), rounded(time.Duration(r.Uptime) * time.Millisecond), lastLine(r.Lines)})
		}
		return a.table([]string{"TIME", "WORKER", "RELEASE", "EXIT", "WHY", "REQUESTS CUT", "LIVED", "LAST LINE"}, rows)
	}
	for _, r := range list {
		fmt.Fprintf(a.env.Stdout, "%s worker %.8s (pid %d, release %s) %s: %s, %d requests cut\n",
			time.UnixMicro(r.Time).Format("2006-01-02 15:04:05"), r.Worker, r.PID, r.Release, r.Reason, r.Exit, r.Inflight)
		for _, line := range r.Lines {
			fmt.Fprintf(a.env.Stdout, "    %s\n", line)
		}
	}
	return nil
}

func lastLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return fmt.Sprintf("%.60s", lines[len(lines)-1])
}
