package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/source"
)

type devFlags struct {
	name    string
	port    int
	verbose bool
}

func (a *app) cmdDev() *cobra.Command {
	var f devFlags
	c := &cobra.Command{
		Use:     "dev [PATH]",
		Short:   "Run a runtime and your app in the foreground, rebuilding on every change",
		GroupID: "start",
		Long: `Runs a runtime whose state is thrown away at the end, and the app at PATH in it.
When the source changes the app is built again and replaced without an outage; if
it does not build, the old one goes on. The log of the app is printed. End it with
an interrupt. PATH is the working directory unless given.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := detect(args, f.name)
			if err != nil {
				return err
			}
			return a.dev(cmd.Context(), plan, &f)
		},
	}
	c.Flags().StringVar(&f.name, "name", "", "`name` of the app (default: from cocaine.toml, the module or the directory)")
	c.Flags().IntVar(&f.port, "locator-port", 10053, "`port` of the locator, 0 for any")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print the log of the runtime too")
	return c
}

// dev runs a daemon on a temporary directory, and the app in it.
func (a *app) dev(ctx context.Context, plan *source.Plan, f *devFlags) error {
	dir, err := temporary()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	conf, err := config.Load("", config.Host{UID: a.env.Host.UID}, map[string]string{
		"paths.state": dir, "paths.runtime": filepath.Join(dir, "run"), "paths.spool": filepath.Join(dir, "spool"),
		"network.port": strconv.Itoa(f.port), "node.grace": devGrace,
	})
	if err != nil {
		return usage(err, "cocaine dev --help")
	}
	level := slog.LevelError
	if f.verbose {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(a.screen, &slog.HandlerOptions{Level: level}))
	return a.serve(ctx, daemon.Options{Config: conf, Version: version(), Log: log}, func(d *daemon.Daemon) error {
		err := a.develop(ctx, d, plan, f)
		a.screen.say("stopping")
		return err
	})
}

// devGrace is how long running requests may take to end: whoever ends dev waits
// for the prompt.
const devGrace = "3s"

// temporary makes the directory of the state. Sockets lie below it, whose paths
// must be short: where the usual place for temporary files is deep, it is not
// used.
func temporary() (string, error) {
	dir, err := os.MkdirTemp("", "cocaine-dev-")
	if err == nil && len(dir)+len("/run") > config.MaxRuntimePath {
		os.Remove(dir)
		dir, err = os.MkdirTemp("/tmp", "cocaine-dev-")
	}
	if err != nil {
		return "", fmt.Errorf("cannot make a directory for the state: %w", err)
	}
	return dir, nil
}

// develop ships the app and then again after every change, until ctx ends.
func (a *app) develop(ctx context.Context, d *daemon.Daemon, plan *source.Plan, f *devFlags) error {
	a.screen.say("ready: locator %s", d.Addr())
	o, err := a.clientOptions()
	if err != nil {
		return err
	}
	o.Dial = nil // it is this process
	o.Locators = []string{d.Addr().String()}
	c, err := cocaine.New(o)
	if err != nil {
		return err
	}
	defer c.Close()
	watcher, err := source.Watch(plan)
	if err != nil {
		return explainSource(err)
	}
	defer watcher.Close()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { a.follow(ctx, c, plan.Name, f.verbose) })

	digest := ""
	s, err := a.ship(ctx, c, plan, "")
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil: // the first build may fail: its repair is waited for
		report(a.screen, err)
		a.screen.say("waiting for a change")
	default:
		digest = s.digest
		a.invite(d, plan.Name)
	}
	if err := a.rebuild(ctx, c, watcher, plan, digest); ctx.Err() == nil {
		return fmt.Errorf("cannot watch the source any longer: %w", err)
	}
	return nil
}

// invite says what to do next.
func (a *app) invite(d *daemon.Daemon, name string) {
	locator := ""
	if addr := d.Addr().String(); addr != cocaine.DefaultLocator {
		locator = " --locator " + addr
	}
	a.screen.say("%s is up; call it from another terminal: cocaine call%s %s EVENT DATA", name, locator, name)
}

// follow prints the log of the app until ctx ends. What the runtime says about it
// is left out unless something is wrong: dev says that itself.
func (a *app) follow(ctx context.Context, c *cocaine.Client, name string, verbose bool) {
	p := printer{a: a}
	options := map[string]any{"last": 0, "follow": true}
	for r, err := range cocaine.Chunks[logRecord](ctx, c.Service("admin"), "logs", []string{name}, options) {
		if err != nil {
			if ctx.Err() == nil {
				report(a.screen, cannot(err, "follow the log of %s", name))
			}
			return
		}
		if r.Source == "runtime" && r.Severity < 2 && !verbose {
			continue
		}
		if p.print(&r) != nil {
			return // nobody reads it
		}
	}
}

// rebuild ships the app again after every change.
func (a *app) rebuild(ctx context.Context, c *cocaine.Client, w *source.Watcher, plan *source.Plan, digest string) error {
	for {
		change, err := w.Next(ctx)
		if err != nil {
			return err
		}
		a.screen.say("changed: %s", changed(change.Paths))
		next, err := source.Detect(plan.Path, source.Options{Name: plan.Name})
		var s *shipment
		if err == nil {
			s, err = a.ship(ctx, c, next, digest)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && digest == "":
			report(a.screen, explainSource(err))
			a.screen.say("waiting for a change")
		case err != nil:
			report(a.screen, explainSource(err))
			a.screen.say("the old release goes on; waiting for a change")
		case s.same:
			a.screen.say("the result is the same: nothing is replaced")
		default:
			digest = s.digest
			a.screen.say("%s is up after %s", s.release, s.took)
		}
	}
}

// changed lists a few paths.
func changed(paths []string) string {
	switch {
	case len(paths) == 0:
		return "many files"
	case len(paths) > 3:
		return fmt.Sprintf("%s and %d more", strings.Join(paths[:3], ", "), len(paths)-3)
	default:
		return strings.Join(paths, ", ")
	}
}
