package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
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
	Time     int64    `codec:"time" json:"-"`
	When     string   `codec:"-" json:"time"`
	Uptime   int64    `codec:"uptime_ms" json:"uptime_ms"`
	Code     int      `codec:"code" json:"code"`
	Reason   string   `codec:"reason" json:"reason"`
	Exit     string   `codec:"exit" json:"exit"`
	Signal   string   `codec:"signal" json:"signal"`
	Status   int      `codec:"status" json:"status"`
	Inflight int      `codec:"inflight" json:"inflight"`
	Lines    []string `codec:"lines" json:"lines"`
}

func (a *app) cmdCrashes() *cobra.Command {
	var last int
	var full bool
	c := &cobra.Command{
		Use:     "crashes APP",
		Short:   "Show how workers of an app died: exit status, signal, last lines",
		GroupID: "see",
		Long: `Shows how workers of an app died, the latest first: when, how the process ended,
why the runtime calls it a crash, how many requests were cut off, and the last
line it printed; with --full all the lines that were kept.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeApps(anyApp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.crashes(ctx, c, args[0], last, full)
			})
		},
	}
	c.Flags().IntVarP(&last, "last", "n", 10, "how many at most")
	c.Flags().BoolVar(&full, "full", false, "show every kept line of output")
	return a.reads(c)
}

func (a *app) crashes(ctx context.Context, c *cocaine.Client, name string, last int, full bool) error {
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	list, err := cocaine.Get[[]crashRecord](ctx, c.Service("admin"), "crashes", name, last)
	if err != nil {
		return cannot(err, "list crashes of %s", name)
	}
	if len(list) == 0 {
		if err := mustKnow(ctx, c, "list crashes of", name); err != nil {
			return err
		}
	}
	for i := range list {
		list[i].When = time.UnixMicro(list[i].Time).UTC().Format(time.RFC3339Nano)
	}
	switch {
	case a.asJSON():
		return a.printJSON(append([]crashRecord{}, list...))
	case len(list) == 0:
		a.screen.say("no crash of %s is on record", name)
		return nil
	case full:
		return a.printFullCrashes(list)
	}
	return a.printCrashes(list)
}

// mustKnow fails if the runtime has never heard of an app.
func mustKnow(ctx context.Context, c *cocaine.Client, verb, name string) error {
	s, err := status(ctx, c)
	if err != nil {
		return cannot(err, "%s %s", verb, name)
	}
	if _, ok := s.app(name); !ok {
		return coded(NotFound, fmt.Errorf("cannot %s %s: there is no such app", verb, name), "cocaine ps lists the apps")
	}
	return nil
}

func (a *app) printCrashes(list []crashRecord) error {
	var rows [][]string
	for _, r := range list {
		rows = append(rows, []string{r.local(), shortID(r.Worker), r.Release, dash(r.Exit), r.Reason,
			strconv.Itoa(r.Inflight), rounded(time.Duration(r.Uptime) * time.Millisecond), lastLine(r.Lines)})
	}
	return a.table([]string{"TIME", "WORKER", "RELEASE", "EXIT", "WHY", "CUT", "LIVED", "LAST LINE"}, rows)
}

func (a *app) printFullCrashes(list []crashRecord) error {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s worker %s (pid %d, release %s, lived %s) %s: %s; %d requests cut off\n",
			r.local(), shortID(r.Worker), r.PID, r.Release, rounded(time.Duration(r.Uptime)*time.Millisecond), r.Reason, r.Exit, r.Inflight)
		for _, line := range r.Lines {
			fmt.Fprintf(&b, "    %s\n", printable(line))
		}
	}
	return a.screen.result(b.String())
}

// summary is how the process ended and the last it said.
func (r *crashRecord) summary() string {
	text := r.Exit
	if text == "" {
		text = r.Reason
	}
	if last := lastLine(r.Lines); last != "" {
		text += fmt.Sprintf(" (last line: %s)", last)
	}
	return text
}

func (r *crashRecord) local() string { return time.UnixMicro(r.Time).Format(time.DateTime) }

func lastLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return clip(lines[len(lines)-1], 60)
}
