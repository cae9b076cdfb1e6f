package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
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

// reads gives a command the -o flag.
func (a *app) reads(c *cobra.Command) *cobra.Command {
	c.Flags().StringVarP(&a.output, "output", "o", "table", "`format`: table or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if a.output != "table" && a.output != "json" {
			return usage(fmt.Errorf("cannot print as %q: the formats are table and json", a.output), cmd.CommandPath()+" -o json")
		}
		return run(cmd, args)
	}
	return c
}

// asJSON reports whether -o json was given.
func (a *app) asJSON() bool { return a.output == "json" }

// printJSON prints a document for machines.
func (a *app) printJSON(doc any) error {
	enc := json.NewEncoder(a.env.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

// table prints aligned columns.
func (a *app) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(a.env.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// isTerminal reports whether a stream is a terminal that takes colours and
// cursor movement.
func (a *app) isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && a.getenv("TERM") != "dumb"
}

// colours reports whether colours are welcome on a stream.
func (a *app) colours(w io.Writer) bool { return a.isTerminal(w) && a.getenv("NO_COLOR") == "" }

func (a *app) getenv(name string) string {
	for i := len(a.env.Host.Environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(a.env.Host.Environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// printLine prints a document as one line of JSON.
func (a *app) printLine(doc any) error {
	enc := json.NewEncoder(a.env.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}
