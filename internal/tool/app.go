package tool

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

func (t *tool) appGroup() *cobra.Command {
	return t.group("app", "Upload, start and stop apps",
		t.listRecords(manifests()), t.appView(), t.appUpload(), t.appImport(), t.appRemove(),
		t.appStart(), t.appStop("stop", "Stop an app"), t.appStop("pause", "Stop an app; the same as stop"), t.appRestart(), t.appCheck())
}

// appName is the option that names an app. The original takes a missing one for a
// bad value.
func (t *tool) appName(name *string) option {
	return func(c *cobra.Command, s *spec) {
		mustHave(name, "name", "n", "`name` of the app")(c, s)
		t.completeNames(c, manifests())
	}
}

func (t *tool) appView() *cobra.Command {
	var name string
	return t.command("view", "Show the manifest of an app", func(ctx context.Context, o *operation) error {
		content, err := o.record(ctx, manifests(), name)
		if err != nil {
			return err
		}
		return o.printJSON(content)
	}, t.appName(&name))
}

func (t *tool) appRemove() *cobra.Command {
	var name string
	return t.command("remove", "Remove the manifest and the code of an app", func(ctx context.Context, o *operation) error {
		return o.step(fmt.Sprintf("Removing %q", name), func() (string, error) {
			names, err := o.names(ctx, manifests())
			if err != nil {
				return "", err
			}
			if !slices.Contains(names, name) {
				return "", missing("remove", manifests(), name)
			}
			if err := o.drop(ctx, manifests(), name); err != nil {
				return "", err
			}
			return "", o.drop(ctx, code(), name)
		})
	}, t.appName(&name), long(`Removes the manifest and the code of an app from the storage. An app that runs goes
on, and its profile, runlists and routing groups stay as they are.`))
}

func (t *tool) appStart() *cobra.Command {
	var name, profile string
	return t.command("start", "Start an app with a profile", func(ctx context.Context, o *operation) error {
		if err := o.start(ctx, name, profile); err != nil {
			return err
		}
		return o.printf("Application `%s` has been started with profile `%s`\n", name, profile)
	}, t.appName(&name), mustHave(&profile, "profile", "r", "`name` of the profile"))
}

func (t *tool) appStop(use, short string) *cobra.Command {
	var name string
	return t.command(use, short, func(ctx context.Context, o *operation) error {
		if err := o.stop(ctx, name); err != nil {
			return err
		}
		return o.printf("Application `%s` has been stopped\n", name)
	}, t.appName(&name))
}

func (t *tool) appRestart() *cobra.Command {
	var name, profile string
	return t.command("restart", "Stop an app and start it again", func(ctx context.Context, o *operation) error {
		started, err := o.restart(ctx, name, profile)
		if err != nil {
			return err
		}
		return o.printf("Application `%s` has been restarted with profile `%s`\n", name, started)
	}, t.appName(&name), text(&profile, "profile", "r", "", "`name` of the profile (default: the one it runs with)"),
		long(`Stops an app and starts it again. It takes no requests meanwhile, and stays stopped
if it does not start: cocaine up replaces an app without either.`))
}

func (t *tool) appCheck() *cobra.Command {
	var name string
	return t.command("check", "Succeed if an app runs", func(ctx context.Context, o *operation) error {
		return o.check(ctx, name)
	}, t.appName(&name))
}

func (o *operation) start(ctx context.Context, name, profile string) error {
	if err := tell(ctx, o, "node", "start_app", name, profile); err != nil {
		return cannot(err, "start app %s", name)
	}
	return nil
}

func (o *operation) stop(ctx context.Context, name string) error {
	if err := tell(ctx, o, "node", "pause_app", name); err != nil {
		return cannot(err, "stop app %s", name)
	}
	return nil
}

// restart returns the profile that the app was started with. That the app did not
// run is no error if a profile is given.
func (o *operation) restart(ctx context.Context, name, profile string) (string, error) {
	if profile == "" {
		doc, err := o.appInfo(ctx, name, infoOverseer)
		if err != nil {
			return "", fmt.Errorf("cannot restart app %s: it does not run, and no profile is given: %w", name, err)
		}
		p, _ := doc["profile"].(map[string]any)
		if profile, _ = p["name"].(string); profile == "" {
			return "", fmt.Errorf("cannot restart app %s: it does not run, and no profile is given", name)
		}
	}
	if err := o.stop(ctx, name); err != nil {
		if _, ok := errors.AsType[*cocaine.Error](err); !ok {
			return "", err
		}
		o.log(info, "%v", err)
	}
	return profile, o.start(ctx, name, profile)
}

func (o *operation) check(ctx context.Context, name string) error {
	apps, err := ask[[]string](ctx, o, "node", "list")
	if err != nil {
		return cannot(err, "check app %s", name)
	}
	if !slices.Contains(apps, name) {
		return fmt.Errorf("app %s is not running", name)
	}
	doc, err := o.appInfo(ctx, name, infoOverseer)
	if _, ok := errors.AsType[*cocaine.Error](err); ok {
		return fmt.Errorf("app %s is stopped", name)
	}
	if err != nil {
		return cannot(err, "check app %s", name)
	}
	state, _ := doc["state"].(string)
	if state == "broken" || state == "stopped" {
		return fmt.Errorf("app %s is %s: %v", name, state, doc["cause"])
	}
	o.log(info, "%s", state)
	return nil
}
