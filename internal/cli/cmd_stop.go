package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

func (a *app) cmdStop() *cobra.Command {
	return &cobra.Command{
		Use:               "stop APP",
		Aliases:           []string{"pause"},
		Short:             "Stop an app; running requests are finished first",
		GroupID:           "ship",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeApps(runningApp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.stop(ctx, c, args[0])
			})
		},
	}
}

func (a *app) stop(ctx context.Context, c *cocaine.Client, name string) error {
	if err := c.Node().Pause(ctx, name); err != nil {
		if s, statusErr := status(ctx, c); statusErr == nil && classify(err) == NotFound {
			if _, ok := s.app(name); !ok {
				return coded(NotFound, fmt.Errorf("cannot stop %s: there is no such app", name), "cocaine ps lists the apps")
			}
		}
		return explainApp(err, "stop", name)
	}
	a.screen.say("stopped %s; start it again: cocaine start %s", name, name)
	return nil
}
