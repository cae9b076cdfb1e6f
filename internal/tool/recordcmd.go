package tool

import (
	"context"

	"github.com/spf13/cobra"
)

// The commands that all kinds of records have.

func (t *tool) listRecords(k kind) *cobra.Command {
	return t.command("list", "Show the names of the "+k.noun+"s", func(ctx context.Context, o *operation) error {
		names, err := o.names(ctx, k)
		if err != nil {
			return err
		}
		return o.printJSON(names)
	})
}

func (t *tool) viewRecord(k kind) *cobra.Command {
	var name string
	return t.command("view", "Show a "+k.noun, func(ctx context.Context, o *operation) error {
		content, err := o.record(ctx, k, name)
		if err != nil {
			return err
		}
		return o.printJSON(content)
	}, t.nameOf(k, &name))
}

// nameOf is the option that names a record.
func (t *tool) nameOf(k kind, name *string) option {
	return func(c *cobra.Command, s *spec) {
		required(name, "name", "n", "`name` of the "+k.noun)(c, s)
		t.completeNames(c, k)
	}
}

func (t *tool) removeRecord(k kind) *cobra.Command {
	var name string
	return t.command("remove", "Remove a "+k.noun, func(ctx context.Context, o *operation) error {
		return o.drop(ctx, k, name)
	}, t.nameOf(k, &name))
}

func (t *tool) copyRecord(k kind) *cobra.Command {
	var name, copyname string
	return t.command("copy", "Copy a "+k.noun, func(ctx context.Context, o *operation) error {
		return o.copyTo(ctx, k, name, copyname)
	}, t.nameOf(k, &name), required(&copyname, "copyname", "c", "`name` of the copy"))
}

func (t *tool) renameRecord(k kind) *cobra.Command {
	var name, copyname string
	return t.command("rename", "Rename a "+k.noun, func(ctx context.Context, o *operation) error {
		if err := o.copyTo(ctx, k, name, copyname); err != nil {
			return err
		}
		return o.drop(ctx, k, name)
	}, t.nameOf(k, &name), required(&copyname, "copyname", "c", "the new `name`"))
}

// editRecord has a record edited. check looks at the result, if it is not nil.
func (t *tool) editRecord(k kind, check func(map[string]any) error) *cobra.Command {
	var name string
	return t.command("edit", "Edit a "+k.noun+" with $VISUAL or $EDITOR", func(ctx context.Context, o *operation) error {
		content, err := o.record(ctx, k, name)
		if err != nil {
			return err
		}
		return o.editMap(ctx, k.noun+" "+name, content, check, func(ctx context.Context, changed map[string]any) error {
			if err := o.unchanged(ctx, k, name, content); err != nil {
				return err
			}
			return o.step("Uploading "+k.noun+" "+name, func() (string, error) {
				return "", o.store(ctx, k, name, changed)
			})
		})
	}, t.nameOf(k, &name), within(unbounded))
}
