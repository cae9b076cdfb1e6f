package tool

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

func (t *tool) groupGroup() *cobra.Command {
	k := groups()
	return t.group("group", "Edit routing groups: names that stand for several apps",
		t.listRecords(k), t.viewRecord(k), t.groupCreate(), t.removeRecord(k), t.copyRecord(k), t.renameRecord(k),
		t.groupRefresh(), t.groupPush(), t.groupPop(), t.editRecord(k, checkGroup))
}

// groupHelp is what the original did not say of any change.
const groupHelp = `A change has no effect until the locator of each node is told: group refresh.`

func (t *tool) groupCreate() *cobra.Command {
	var name, given string
	return t.command("create", "Write a routing group", func(ctx context.Context, o *operation) error {
		content, err := readContent("the routing group", given)
		if err != nil {
			return err
		}
		return o.storeGroup(ctx, name, content)
	}, t.nameOf(groups(), &name), required(&given, "content", "c", "`file` with weights by app, or the weights themselves as JSON"),
		long(groupHelp))
}

func (t *tool) groupPush() *cobra.Command {
	var name, app string
	var weight int
	return t.command("push", "Add an app to a routing group, or change its weight", func(ctx context.Context, o *operation) error {
		content, err := o.record(ctx, groups(), name)
		if err != nil {
			return err
		}
		content[app] = int64(weight)
		return o.storeGroup(ctx, name, content)
	}, t.nameOf(groups(), &name), required(&app, "app", "", "`name` of the app"),
		whole(&weight, "weight", "w", 0, "`weight` of the app"), given("weight"), long(groupHelp))
}

func (t *tool) groupPop() *cobra.Command {
	var name, app string
	return t.command("pop", "Remove an app from a routing group", func(ctx context.Context, o *operation) error {
		content, err := o.record(ctx, groups(), name)
		if err != nil {
			return err
		}
		delete(content, app)
		return o.storeGroup(ctx, name, content)
	}, t.nameOf(groups(), &name), required(&app, "app", "", "`name` of the app"), long(groupHelp))
}

func (t *tool) groupRefresh() *cobra.Command {
	var name string
	return t.command("refresh", "Have the locator read routing groups anew", func(ctx context.Context, o *operation) error {
		names := []string{name}
		if name == "" {
			var err error
			if names, err = o.names(ctx, groups()); err != nil {
				return err
			}
		}
		// The locator has no secrets: nobody has to show a ticket to it.
		if err := o.client.Locator().Refresh(ctx, names...); err != nil {
			return cannot(err, "refresh the routing groups")
		}
		return nil
	}, text(&name, "name", "n", "", "`name` of the routing group; all unless given"))
}

func (o *operation) storeGroup(ctx context.Context, name string, content map[string]any) error {
	if err := checkGroup(content); err != nil {
		return &failure{err: fmt.Errorf("cannot write routing group %s: %w", name, err), code: Invalid}
	}
	if err := o.store(ctx, groups(), name, content); err != nil {
		return err
	}
	o.log(info, "it takes effect after: %s group refresh -n %s", o.env.Name, name)
	return nil
}

// checkGroup accepts what a locator can route by.
func checkGroup(content map[string]any) error {
	total := int64(0)
	for _, app := range slices.Sorted(maps.Keys(content)) {
		weight, ok := content[app].(int64)
		if !ok || weight < 0 || weight > maxWeight {
			return invalidf("the weight of %s must be a whole number from 0 to %d, have %v", app, int64(maxWeight), content[app])
		}
		total += weight
	}
	if total == 0 {
		return invalidf("no app has a weight above zero")
	}
	return nil
}

const maxWeight = 1<<32 - 1
