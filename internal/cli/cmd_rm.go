package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

func (a *app) cmdRemove() *cobra.Command {
	return &cobra.Command{
		Use:               "rm APP",
		Short:             "Stop an app and remove its code, manifest and profile",
		GroupID:           "ship",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeApps(anyApp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				if err := cocaine.Exec(ctx, c.Service("admin"), "remove", args[0]); err != nil {
					return explainApp(err, "remove", args[0])
				}
				a.screen.say("removed %s", args[0])
				return nil
			})
		},
	}
}
