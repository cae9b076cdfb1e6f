// Package tool is cocaine-tool: the command line of the original, with its
// commands, options, output and exit codes, for people and scripts that know it.
//
// It is an editor of records in the storage service - code, manifests, profiles,
// runlists, routing groups, crashlogs, tokens - beside a few calls of the node
// service, the locator and others. Every command is
//
//	cocaine-tool [GROUP] COMMAND [--option VALUE]...
//
// and takes --host, --port, --timeout and -v. Records have the collections, tags
// and encodings of the original, so either tool reads what the other wrote.
// docs/CLI.md lists the commands, docs/COMPATIBILITY.md where they differ.
//
// A command runs on the goroutine that called Run; the goroutines it starts end
// before Run returns, except one that waits for an answer on standard input.
package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cocaine/cocaine-go"
)

// Env is everything a command touches besides the runtime and the files it is
// told of.
type Env struct {
	Name    string   // what the program is called in help: "cocaine-tool", "cocaine tool"
	Version string   // of the program
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Environ []string // as os.Environ gives it
	// Client are the options of the client that are not for the tool to say: how it
	// connects, and its token.
	Client cocaine.Options
	// Settings are the files that are read, later ones over earlier ones; those
	// that do not exist are skipped. If nil, those of SettingsFiles.
	Settings []string
}

// getenv returns a variable of the environment; the last one wins.
func (e *Env) getenv(name string) string {
	for i := len(e.Environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(e.Environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// Run runs one command line and returns the exit code, one of those of [Code].
func Run(ctx context.Context, env Env) int {
	t := newTool(env)
	root := t.root()
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return int(OK)
	case ctx.Err() != nil:
		return int(Interrupted) // who interrupts knows why
	}
	return int(t.report(err))
}

// tool is what the commands of one run share.
type tool struct {
	env     Env
	verbose int
	host    string
	port    string
	timeout float64 // seconds; 0 is no limit

	outTerminal, errTerminal bool
	color                    bool
}

func newTool(env Env) *tool {
	if env.Settings == nil {
		env.Settings = SettingsFiles(env.getenv("HOME"))
	}
	dumb := env.getenv("TERM") == "dumb"
	return &tool{
		env:         env,
		outTerminal: isTerminal(env.Stdout) && !dumb,
		errTerminal: isTerminal(env.Stderr) && !dumb,
		color:       env.getenv("NO_COLOR") == "",
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// root is the tree of commands.
func (t *tool) root() *cobra.Command {
	path := strings.Fields(t.env.Name)
	c := t.group(path[len(path)-1], "The command line of the original Cocaine",
		t.info(), t.locate(), t.routing(), t.cluster(), t.uuid(), t.metrics(), t.version(), t.call(),
		t.appGroup(), t.profileGroup(), t.runlistGroup(), t.groupGroup(), t.crashlogGroup(),
		t.tracingGroup(), t.timeoutsGroup(), t.unicornGroup(), t.loggingGroup(), t.vicodynGroup(),
		t.authGroup(), t.accessGroup(), t.keyringGroup(), t.proxyGroup(),
	)
	c.Long = `Edits the records of a Cocaine runtime and asks its services, with the commands
and options of the original's cocaine-tool. What this runtime is best driven with
are the commands of cocaine itself.`
	c.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: t.env.Name}
	c.SilenceUsage, c.SilenceErrors = true, true
	f := c.PersistentFlags()
	f.CountVarP(&t.verbose, "verbose", "v", "say more; up to five times")
	f.StringVar(&t.host, "host", "", "`name` of the locator's machine (default localhost)")
	f.StringVar(&t.port, "port", "", "`port` of the locator (default 10053)")
	f.Float64Var(&t.timeout, "timeout", 20, "`seconds` that the whole operation may take; 0 is no limit")
	c.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("cannot run %s: %v", cmd.CommandPath(), err)
	})
	return c
}

// group is a command that has others below it.
func (t *tool) group(name, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("cannot run %s: there is no command %q", cmd.CommandPath(), args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(commands...)
	return c
}

// An operation is one run of a command.
type operation struct {
	*tool
	args     []string
	client   *cocaine.Client
	settings *settings
}

// limit says how --timeout bounds a command.
type limit int

const (
	bounded   limit = iota // by --timeout
	patient                // by --timeout, but two minutes at least
	unbounded              // not at all: somebody types
)

// command makes a command of what it does. Its options are added to it by the
// last arguments.
func (t *tool) command(use, short string, run func(context.Context, *operation) error, options ...option) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	var s spec
	for _, o := range options {
		o(c, &s)
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) < s.minArgs || len(args) > s.maxArgs {
			return usagef("cannot run %s: want %s, have %d arguments", cmd.CommandPath(), cmd.UseLine(), len(args))
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		for _, check := range s.checks {
			if err := check(cmd); err != nil {
				return err
			}
		}
		return t.run(cmd.Context(), s.limit, args, run)
	}
	return c
}

// run connects, and runs an operation within its limit.
func (t *tool) run(ctx context.Context, l limit, args []string, f func(context.Context, *operation) error) error {
	bound := time.Duration(t.timeout * float64(time.Second))
	if l == patient && bound > 0 && bound < minPatience {
		bound = minPatience
		t.log(info, "the operation may take %v", bound)
	}
	if l != unbounded && bound > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, bound)
		defer cancel()
	}
	o, err := t.open(args)
	if err != nil {
		return err
	}
	defer o.client.Close()
	err = f(ctx, o)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return hinted(err, "give it more time: --timeout %v", 10*max(t.timeout, 1))
	}
	return err
}

// minPatience is how long an upload may take at least.
const minPatience = 2 * time.Minute

func (t *tool) version() *cobra.Command {
	return t.command("version", "Show the version", func(context.Context, *operation) error {
		return t.print(t.env.Version + "\n")
	})
}

// print writes a result.
func (t *tool) print(text string) error {
	_, err := io.WriteString(t.env.Stdout, text)
	return err
}

// printf writes a result.
func (t *tool) printf(format string, args ...any) error {
	return t.print(fmt.Sprintf(format, args...))
}
