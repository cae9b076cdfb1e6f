package tool

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

func (t *tool) runlistGroup() *cobra.Command {
	k := runlists()
	return t.group("runlist", "Edit runlists: what apps a node starts by itself",
		t.listRecords(k), t.viewRecord(k), t.editRecord(k, nil), t.runlistUpload(), t.runlistCreate(), t.removeRecord(k),
		t.copyRecord(k), t.renameRecord(k), t.runlistAdd(), t.runlistRemove())
}

func (t *tool) runlistUpload() *cobra.Command {
	var name, given string
	return t.command("upload", "Write a runlist", func(ctx context.Context, o *operation) error {
		content, err := readContent("the runlist", given)
		if err != nil {
			return err
		}
		return o.uploadRunlist(ctx, name, content)
	}, t.nameOf(runlists(), &name), required(&given, "runlist", "", "`file` with the runlist, or the runlist itself as JSON"))
}

func (t *tool) runlistCreate() *cobra.Command {
	var name string
	return t.command("create", "Write an empty runlist", func(ctx context.Context, o *operation) error {
		return o.uploadRunlist(ctx, name, map[string]any{})
	}, t.nameOf(runlists(), &name))
}

func (o *operation) uploadRunlist(ctx context.Context, name string, content map[string]any) error {
	return o.step("Uploading runlist "+name, func() (string, error) {
		return "", o.store(ctx, runlists(), name, content)
	})
}

func (t *tool) runlistAdd() *cobra.Command {
	var name, app, profile string
	var force bool
	return t.command("add-app", "Add an app to a runlist", func(ctx context.Context, o *operation) error {
		list, status, err := o.runlistToChange(ctx, name, force)
		if err != nil {
			return err
		}
		list[app] = profile
		if err := o.store(ctx, runlists(), name, list); err != nil {
			return err
		}
		return o.printJSON(map[string]any{
			"runlist": name, "status": status, "added": map[string]any{"app": app, "profile": profile},
		})
	}, t.nameOf(runlists(), &name), required(&app, "app", "", "`name` of the app"), required(&profile, "profile", "", "`name` of the profile"),
		toggle(&force, "force", "f", "create the runlist if there is none"))
}

// runlistToChange reads a runlist, or begins one if there is none and create says
// so.
func (o *operation) runlistToChange(ctx context.Context, name string, create bool) (list map[string]any, status string, err error) {
	if create {
		names, err := o.names(ctx, runlists())
		if err != nil {
			return nil, "", err
		}
		if !slices.Contains(names, name) {
			return map[string]any{}, "created", nil
		}
	}
	list, err = o.record(ctx, runlists(), name)
	return list, "modified", err
}

func (t *tool) runlistRemove() *cobra.Command {
	var name, app string
	return t.command("remove-app", "Remove an app from a runlist", func(ctx context.Context, o *operation) error {
		list, _, err := o.runlistToChange(ctx, name, false)
		if err != nil {
			return err
		}
		status := "successfully removed"
		if _, ok := list[app]; ok {
			delete(list, app)
			err = o.store(ctx, runlists(), name, list)
		} else {
			status = fmt.Sprintf("the application named %s is not in runlist", app)
		}
		if err != nil {
			return err
		}
		return o.printJSON(map[string]any{"runlist": name, "app": app, "status": status})
	}, t.nameOf(runlists(), &name), required(&app, "app", "", "`name` of the app"))
}
