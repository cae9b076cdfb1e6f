package cli

import (
	"context"
	"errors"
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
an interrupt.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "."
			if len(args) == 1 {
				path = args[0]
			}
			plan, err := source.Detect(path, source.Options{Name: f.name})
			if err != nil {
				return explainSource(err)
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
	dir, err := os.MkdirTemp("", "cocaine-dev-")
	if err != nil {
		return fmt.Errorf("cannot make a directory for the state: %w", err)
	}
	defer os.RemoveAll(dir)
	conf, err := config.Load("", config.Host{UID: a.env.Host.UID}, map[string]string{
		"paths.state": dir, "paths.runtime": filepath.Join(dir, "run"), "paths.spool": filepath.Join(dir, "spool"),
		"network.port": strconv.Itoa(f.port),
	})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.env.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if f.verbose {
		log = slog.New(slog.NewTextHandler(a.env.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	err = a.serve(ctx, daemon.Options{Config: conf, Version: version(), Log: log}, func(d *daemon.Daemon) error {
		return a.develop(ctx, cancel, d, plan, &wg)
	})
	cancel()
	wg.Wait()
	return err
}

// develop ships the app and starts to follow its log and its source.
func (a *app) develop(ctx context.Context, cancel func(), d *daemon.Daemon, plan *source.Plan, wg *sync.WaitGroup) error {
	c, err := cocaine.New(cocaine.Options{Locators: []string{d.Addr().String()}})
	if err != nil {
		return err
	}
	watcher, err := source.Watch(plan)
	if err != nil {
		return errors.Join(explainSource(err), c.Close())
	}
	wg.Go(func() { a.follow(ctx, c, plan.Name) })
	digest, err := a.ship(ctx, c, plan, "")
	if err != nil {
		// The first build may fail: the watcher waits for its repair.
		if ctx.Err() != nil {
			return errors.Join(watcher.Close(), c.Close())
		}
		report(a.env.Stderr, err)
		fmt.Fprintln(a.env.Stderr, "waiting for a change")
	} else {
		a.invite(d, plan.Name)
	}
	wg.Go(func() {
		defer c.Close()
		defer watcher.Close()
		if err := a.rebuild(ctx, c, watcher, plan, digest); err != nil && ctx.Err() == nil {
			report(a.env.Stderr, fmt.Errorf("cannot watch the source any longer: %w", err))
			cancel()
		}
	})
	return nil
}

// invite says what to do next.
func (a *app) invite(d *daemon.Daemon, name string) {
	locator := ""
	if addr := d.Addr().String(); addr != cocaine.DefaultLocator {
		locator = " --locator " + addr
	}
	fmt.Fprintf(a.env.Stderr, "%s is up; call it from another terminal: cocaine call%s %s EVENT DATA\n", name, locator, name)
}

// follow prints the log of the app until ctx ends.
func (a *app) follow(ctx context.Context, c *cocaine.Client, name string) {
	p := printer{a: a, color: a.colours(a.env.Stdout)}
	options := map[string]any{"last": 0, "follow": true}
	for r, err := range cocaine.Chunks[logRecord](ctx, c.Service("admin"), "logs", []string{name}, options) {
		if err != nil {
			if ctx.Err() == nil {
				report(a.env.Stderr, fmt.Errorf("cannot follow the log: %w", err))
			}
			return
		}
		if p.print(&r) != nil {
			return
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
		fmt.Fprintf(a.env.Stderr, "changed: %s\n", changed(change.Paths))
		next, err := source.Detect(plan.Path, source.Options{Name: plan.Name})
		if err == nil {
			var built string
			if built, err = a.ship(ctx, c, next, digest); err == nil {
				digest = built
			}
		}
		if err != nil && ctx.Err() == nil {
			report(a.env.Stderr, explainSource(err))
			fmt.Fprintln(a.env.Stderr, "the old release goes on; waiting for a change")
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
