// Package cli is the command line. One file holds one verb: it parses, asks the
// runtime through the public client, and prints.
//
// What a command prints on standard output is its result and nothing else;
// progress, hints and timings go to standard error. Every command that reads takes
// -o json, whose shapes are documented in docs/CLI.md and are a contract. Errors
// are one line, `cannot <verb> <object>: <cause>`, followed by `hint: <command>`
// where there is one; exit codes are those of [Code].
//
// A command runs on the goroutine that called Run, and the goroutines it starts
// end before Run returns, except one that reads standard input: such a read cannot
// be interrupted.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/tlsconn"
)

// Env is everything a command touches outside its arguments.
type Env struct {
	Args   []string // without the program's name
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Host   config.Host // environment variables, user
}

// Process is the Env of this process.
func Process() Env {
	return Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Host: config.ThisHost()}
}

func (e *Env) getenv(name string) string {
	for i := len(e.Host.Environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(e.Host.Environ[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// app is what the commands of one run share.
type app struct {
	env     Env
	screen  *screen
	locator string // --locator
	token   string // --token
	tls     tlsconn.Client
	output  string // -o
	timeout durationFlag
}

// Main runs the command line of this process, until it is told to end, and returns
// the exit code. A process called cocaine-tool has the command line of the original.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	if filepath.Base(os.Args[0]) == toolName {
		return runTool(ctx, Process(), toolName)
	}
	return Run(ctx, Process())
}

// endSignals tell a command to end in order: an interrupt, SIGTERM, and the end of
// the terminal unless nohup or the like has the process outlive it.
func endSignals() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, env Env) int {
	a := &app{env: env, screen: newScreen(env)}
	root := a.root()
	if len(env.Args) > 0 && env.Args[0] == cobra.ShellCompRequestCmd {
		unquoteUsage(root)
	}
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return int(OK)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return int(Interrupted) // who interrupts knows why
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	return int(report(a.screen, err))
}

// root is the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cocaine",
		Short: "Runs your code as pools of supervised workers, called by name",
		Long: `Cocaine runs your code as pools of supervised worker processes that are found by
name and called over streaming RPC.

  cocaine dev examples/hello                   a runtime and your app, in the foreground
  cocaine call hello greet '{"name":"Ann"}'    call it, from another terminal`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.locator, "locator", "", "`address` of the runtime's locator (default $COCAINE_LOCATOR or 127.0.0.1:10053)")
	f.StringVar(&a.token, "token", "", "`token` that the runtime knows you by (default $COCAINE_TOKEN, which other users do not see)")
	f.StringVar(&a.tls.CA, "tls-ca", "", "`file` of the authorities that a runtime on another machine is known by, or system (default $COCAINE_TLS_CA)")
	f.StringVar(&a.tls.Name, "tls-name", "", "`name` in its certificate, if not that of the address (default $COCAINE_TLS_NAME)")
	f.StringVar(&a.tls.Cert, "tls-cert", "", "`file` of your own certificate")
	f.StringVar(&a.tls.Key, "tls-key", "", "`file` of its key")
	f.Var(&a.timeout, "timeout", "how long the command may take, such as 5s (default: no limit, 5s to connect)")
	for _, text := range []string{"locator", "token", "tls-name", "timeout"} { // no names of files
		_ = root.RegisterFlagCompletionFunc(text, cobra.NoFileCompletions)
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("cannot run %s: %w", cmd.CommandPath(), err), cmd.CommandPath()+" --help")
	})
	root.AddGroup(
		&cobra.Group{ID: "start", Title: "Start:"},
		&cobra.Group{ID: "ship", Title: "Ship:"},
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "see", Title: "See:"},
		&cobra.Group{ID: "original", Title: "Come from the original:"},
	)
	root.SetHelpCommandGroupID("start")
	root.SetCompletionCommandGroupID("start")
	root.AddCommand(a.commands()...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	wrapArgs(root)
	return root
}

// unquoteUsage takes the marks off the help of flags by which it says what their values
// are: shells show it as it is.
func unquoteUsage(c *cobra.Command) {
	for _, sub := range c.Commands() {
		unquoteUsage(sub)
	}
	plain := func(f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) }
	c.Flags().VisitAll(plain)
	c.PersistentFlags().VisitAll(plain)
}

// wrapArgs makes mistakes in the arguments usage errors.
func wrapArgs(c *cobra.Command) {
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
	if c.HasSubCommands() && !c.Runnable() { // cobra would take any arguments and print the help
		c.Args = cobra.NoArgs
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(fmt.Errorf("cannot run %s: %s", cmd.CommandPath(), wrongArgs(cmd, args, err)), cmd.CommandPath()+" --help")
			}
			return nil
		}
	}
}

// wrongArgs says what is wrong with arguments in terms of the usage line.
func wrongArgs(c *cobra.Command, args []string, err error) string {
	_, want, _ := strings.Cut(c.Use, " ")
	switch {
	case c.HasSubCommands() && len(args) > 0:
		c.SuggestionsMinimumDistance = 2
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			return fmt.Sprintf("unknown command %q; did you mean %q?", args[0], near[0])
		}
		return fmt.Sprintf("unknown command %q", args[0])
	case strings.HasPrefix(err.Error(), "unknown command"):
		return fmt.Sprintf("it takes no arguments, have %q", args[0])
	default:
		return fmt.Sprintf("want %s, have %d arguments", want, len(args))
	}
}
