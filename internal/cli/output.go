package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// durationFlag is a flag that takes 5s as well as 5 (seconds).
type durationFlag struct{ d time.Duration }

func (f *durationFlag) String() string {
	if f.d == 0 {
		return ""
	}
	return f.d.String()
}

func (f *durationFlag) Type() string { return "duration" }

func (f *durationFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		if d, err = time.ParseDuration(s + "s"); err != nil {
			return fmt.Errorf("%q is no duration: write 500ms, 5s or 2m", s)
		}
	}
	if d <= 0 {
		return fmt.Errorf("%q is not positive", s)
	}
	f.d = d
	return nil
}

// formats of what commands print.
var formats = []string{"table", "json"}

// reads gives a command the -o flag.
func (a *app) reads(c *cobra.Command) *cobra.Command {
	c.Flags().StringVarP(&a.output, "output", "o", "table", "`format`: table or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if a.output != "table" && a.output != "json" {
			return usage(fmt.Errorf("cannot print as %q: the formats are %s", a.output, strings.Join(formats, " and ")), cmd.CommandPath()+" -o json")
		}
		return run(cmd, args)
	}
	return c
}

// asJSON reports whether -o json was given.
func (a *app) asJSON() bool { return a.output == "json" }

// printJSON prints a document for machines.
func (a *app) printJSON(doc any) error { return a.encode(doc, "  ") }

// printLine prints a document as one line of JSON.
func (a *app) printLine(doc any) error { return a.encode(doc, "") }

func (a *app) encode(doc any, indent string) error {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetIndent("", indent)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return err
	}
	return a.screen.result(text.String())
}

// table prints aligned columns.
func (a *app) table(header []string, rows [][]string) error {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(w, printable(strings.Join(row, "\t")))
	}
	w.Flush() // a strings.Builder takes everything
	var out strings.Builder
	for line := range strings.Lines(text.String()) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return a.screen.result(out.String())
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// perSecond is the rate over the last minute.
func perSecond(r []float64) string {
	if len(r) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", r[0])
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

// size gives bytes in a unit for people.
func size(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d B", n)
	}
}
