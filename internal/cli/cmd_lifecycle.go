package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

func (a *app) cmdStart() *cobra.Command {
	var profile string
	c := &cobra.Command{
		Use:     "start APP",
		Short:   "Start an app that was uploaded before",
		GroupID: "ship",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				if profile == "" {
					profile = args[0]
				}
				if err := cocaine.Exec(ctx, c.Service("node"), "start_app", args[0], profile); err != nil {
					return explainApp("start", args[0], err)
				}
				fmt.Fprintf(a.env.Stderr, "started %s\n", args[0])
				return nil
			})
		},
	}
	c.Flags().StringVar(&profile, "profile", "", "`name` of the profile (default: the app's own)")
	return c
}

func (a *app) cmdStop() *cobra.Command {
	return &cobra.Command{
		Use:     "stop APP",
		Aliases: []string{"pause"},
		Short:   "Stop an app; running requests are finished first",
		GroupID: "ship",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				if err := cocaine.Exec(ctx, c.Service("node"), "pause_app", args[0]); err != nil {
					return explainApp("stop", args[0], err)
				}
				fmt.Fprintf(a.env.Stderr, "stopped %s; start it again: cocaine start %s\n", args[0], args[0])
				return nil
			})
		},
	}
}

func (a *app) cmdRemove() *cobra.Command {
	return &cobra.Command{
		Use:     "rm APP",
		Short:   "Stop an app and remove its code, manifest and profile",
		GroupID: "ship",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				if err := cocaine.Exec(ctx, c.Service("admin"), "remove", args[0]); err != nil {
					return explainApp("remove", args[0], err)
				}
				fmt.Fprintf(a.env.Stderr, "removed %s\n", args[0])
				return nil
			})
		},
	}
}

// explainApp adds a next step to a failed change of an app.
func explainApp(verb, name string, err error) error {
	err = fmt.Errorf("cannot %s %s: %w", verb, name, err)
	if _, ok := errors.AsType[*cocaine.Error](err); !ok {
		return err
	}
	switch classifyRemote(err) {
	case NotFound:
		if verb == "start" {
			return hinted(err, "upload it first: cocaine up PATH")
		}
		return hinted(err, "cocaine ps shows what runs")
	case Conflict:
		return hinted(err, "cocaine info %s", name)
	}
	return hinted(err, "cocaine logs %s", name)
}
