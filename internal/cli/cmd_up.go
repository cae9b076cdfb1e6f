package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/source"
)

func (a *app) cmdUp() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:     "up [PATH]",
		Short:   "Build, upload and start an app; replace it without an outage if it runs",
		GroupID: "ship",
		Long: `Finds out what PATH is - a Go program, a directory with cocaine.toml or the
original's manifest.json, an executable, an archive -, builds and uploads it, and
starts it. An app that runs goes on until a worker of the new release is ready;
if none becomes ready, the old release stays. PATH is the working directory unless
given.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := detect(args, name)
			if err != nil {
				return err
			}
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.up(ctx, c, plan)
			})
		},
	}
	c.Flags().StringVar(&name, "name", "", "`name` of the app (default: from cocaine.toml, the module or the directory)")
	return c
}

// detect finds out what the PATH argument is.
func detect(args []string, name string) (*source.Plan, error) {
	path := "."
	if len(args) == 1 {
		path = args[0]
	}
	plan, err := source.Detect(path, source.Options{Name: name})
	if err != nil {
		return nil, explainSource(err)
	}
	return plan, nil
}

func (a *app) up(ctx context.Context, c *cocaine.Client, plan *source.Plan) error {
	// Ask first: nobody wants to build for a runtime that is not there.
	if err := c.Service("admin").Connect(ctx); err != nil {
		return cannot(err, "deploy %s", plan.Name)
	}
	s, err := a.ship(ctx, c, plan, "")
	if err != nil {
		return err
	}
	a.screen.say("%s is up after %s; call it: cocaine call %s EVENT DATA", s.release, s.took, plan.Name)
	return nil
}
