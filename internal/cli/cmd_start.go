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
		Use:               "start APP",
		Short:             "Start an app that was uploaded before",
		GroupID:           "ship",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeApps(stoppedApp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.start(ctx, c, args[0], profile)
			})
		},
	}
	c.Flags().StringVar(&profile, "profile", "", "`name` of the profile (default: the app's own)")
	return c
}

func (a *app) start(ctx context.Context, c *cocaine.Client, name, profile string) error {
	if profile == "" {
		profile = name
	}
	if err := c.Node().Start(ctx, name, profile); err != nil {
		return explainStartApp(ctx, c, name, profile, err)
	}
	a.screen.say("started %s", name)
	return nil
}

// explainStartApp tells which of an app's records is missing: the runtime's error
// says "not found" of either.
func explainStartApp(ctx context.Context, c *cocaine.Client, name, profile string, err error) error {
	what := fmt.Sprintf("start %s", name)
	if !errors.Is(err, cocaine.ErrNotFound) {
		return explainApp(err, "start", name)
	}
	if missing(ctx, c, "manifests", name) {
		return coded(NotFound, fmt.Errorf("cannot %s: there is no such app", what), "cocaine up PATH uploads and starts an app; cocaine ps lists them")
	}
	if missing(ctx, c, "profiles", profile) {
		return coded(NotFound, fmt.Errorf("cannot %s: there is no profile %q", what, profile), "cocaine start %s takes the app's own profile", name)
	}
	return hinted(cannot(err, "%s", what), "cocaine up PATH uploads the app anew")
}

func missing(ctx context.Context, c *cocaine.Client, collection, key string) bool {
	_, err := c.Storage().Read(ctx, collection, key)
	return errors.Is(err, cocaine.ErrNotFound)
}

// explainApp adds a next step to a failed change of an app.
func explainApp(err error, verb, name string) error {
	failed := cannot(err, "%s %s", verb, name)
	if _, ok := errors.AsType[*cocaine.Error](err); !ok {
		return failed
	}
	switch classify(err) {
	case NotFound:
		return hinted(failed, "cocaine ps lists the apps")
	case Conflict:
		return hinted(failed, "cocaine info %s", name)
	}
	return hinted(failed, "cocaine logs %s", name)
}
