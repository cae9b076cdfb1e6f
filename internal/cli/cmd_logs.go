package cli

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

type logFlags struct {
	follow bool
	last   int
	since  durationFlag
	level  string
}

func (a *app) cmdLogs() *cobra.Command {
	var f logFlags
	c := &cobra.Command{
		Use:     "logs [APP...]",
		Short:   "Show what apps print and log",
		GroupID: "see",
		Long: `Shows the log of some apps, or of all: what their workers print, what they log
through the logging service, and what the runtime has to say about them. With
-o json each record is a line of JSON.`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
			return a.completeApps(anyApp)(cmd, nil, s)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.logs(ctx, c, args, &f)
			})
		},
	}
	c.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on with new records, until an interrupt")
	c.Flags().IntVarP(&f.last, "last", "n", 100, "how many old records at most, -1 for all")
	c.Flags().Var(&f.since, "since", "no records older than this, such as 10m")
	c.Flags().StringVar(&f.level, "level", "debug", "least `severity`: debug, info, warning or error")
	_ = c.RegisterFlagCompletionFunc("level", cobra.FixedCompletions(severities, cobra.ShellCompDirectiveNoFileComp))
	return a.reads(c)
}

var severities = []string{"debug", "info", "warning", "error"}

// logRecord is a record as it travels; its JSON is what -o json prints.
type logRecord struct {
	Time     int64          `codec:"time" json:"-"`
	When     string         `codec:"-" json:"time"`
	Severity int            `codec:"severity" json:"-"`
	Level    string         `codec:"-" json:"level"`
	App      string         `codec:"app" json:"app"`
	Worker   string         `codec:"worker" json:"worker"`
	Source   string         `codec:"source" json:"source"`
	Message  string         `codec:"message" json:"message"`
	Pairs    [][]any        `codec:"attributes" json:"-"`
	Attrs    map[string]any `codec:"-" json:"attributes"`
}

func (a *app) logs(ctx context.Context, c *cocaine.Client, apps []string, f *logFlags) error {
	severity := slices.Index(severities, f.level)
	if severity < 0 {
		return usage(fmt.Errorf("cannot show level %q: the levels are %s", f.level, strings.Join(severities, ", ")), "cocaine logs --level warning")
	}
	options := map[string]any{"last": f.last, "follow": f.follow, "severity": severity}
	if f.since.d > 0 {
		options["since"] = time.Now().Add(-f.since.d).UnixMicro()
	}
	if err := a.haveLogs(ctx, c, apps); err != nil {
		return err
	}
	p := printer{a: a, names: len(apps) != 1}
	for r, err := range cocaine.Chunks[logRecord](ctx, c.Service("admin"), "logs", append([]string{}, apps...), options) {
		if errors.Is(err, context.Canceled) && f.follow {
			return nil // an interrupt is how following ends
		}
		if err != nil {
			return cannot(err, "read the log")
		}
		if err := p.print(&r); err != nil {
			return err
		}
	}
	return nil
}

// haveLogs fails for a name that is no app's and has never logged anything: it
// would be waited for in vain.
func (a *app) haveLogs(ctx context.Context, c *cocaine.Client, apps []string) error {
	for _, name := range apps {
		err := mustKnow(ctx, c, "show the log of", name)
		if err == nil {
			continue
		}
		_, none := cocaine.Get[cocaine.Raw](ctx, c.Service("admin"), "logs", []string{name}, map[string]any{"last": 1})
		if none != nil {
			return err
		}
	}
	return nil
}

// printer prints records, each worker in a colour of its own.
type printer struct {
	a     *app
	names bool // records of several apps are mixed
}

func (p *printer) print(r *logRecord) error {
	when := time.UnixMicro(r.Time)
	r.Level = severities[min(max(r.Severity, 0), len(severities)-1)]
	if p.a.asJSON() {
		r.When = when.UTC().Format(time.RFC3339Nano)
		r.Attrs = make(map[string]any, len(r.Pairs))
		for name, value := range r.attributes() {
			r.Attrs[name] = value
		}
		return p.a.printLine(r)
	}
	who := r.Source
	if r.Worker != "" {
		who = fmt.Sprintf("%.4s", r.Worker)
	}
	if p.names {
		who = r.App + "/" + who
	}
	message := r.Message
	for name, value := range r.attributes() {
		message += fmt.Sprintf(" %s=%v", name, value)
	}
	if isTerminal(p.a.env.Stdout) {
		message = printable(message)
	}
	return p.a.screen.result(fmt.Sprintf("%s %-7s %s | %s\n", when.Format("15:04:05.000"), r.Level, p.paint(who), message))
}

// paint gives a name its colour.
func (p *printer) paint(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return paint(p.a.screen.outColor, 31+int(h.Sum32()%6), name)
}

// attributes ranges over the names and values of a record.
func (r *logRecord) attributes() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, pair := range r.Pairs {
			if len(pair) == 2 && !yield(fmt.Sprint(pair[0]), pair[1]) {
				return
			}
		}
	}
}
