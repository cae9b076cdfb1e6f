package tool

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

// A node is the value of a path of the coordination service at one version.
type node struct {
	Value   any
	Version int64
}

func (n node) exists() bool { return n.Version >= 0 }

// document is what view prints of a node.
func (n node) document() any { return map[string]any{"version": n.Version, "value": n.Value} }

func (o *operation) get(ctx context.Context, path string) (node, error) {
	return ask[node](ctx, o, "unicorn", "get", path)
}

// children lists the names below a path; one that is not there has none.
func (o *operation) children(ctx context.Context, path string) ([]string, error) {
	type children struct {
		Version int64
		Names   []string
	}
	c, err := ask[children](ctx, o, "unicorn", "children_subscribe", path)
	if errors.Is(err, cocaine.ErrNoNode) {
		return nil, nil
	}
	return c.Names, err
}

func (o *operation) create(ctx context.Context, path string, value any) error {
	return tell(ctx, o, "unicorn", "create", path, value)
}

// put replaces the value of a node of that version.
func (o *operation) put(ctx context.Context, path string, value any, version int64) error {
	type answer struct {
		Done    bool
		Current node
	}
	a, err := ask[answer](ctx, o, "unicorn", "put", path, value, version)
	if err == nil && !a.Done {
		err = errors.New("somebody else has changed it meanwhile")
	}
	return err
}

// delete removes a node, whatever its version.
func (o *operation) delete(ctx context.Context, path string) error {
	return tell(ctx, o, "unicorn", "remove", path, -1)
}

// change makes a node if there is none, or replaces its value with what f makes of
// it. Somebody else's change in between is an error.
func (o *operation) change(ctx context.Context, path string, f func(old any) any) (any, error) {
	n, err := o.get(ctx, path)
	if err != nil {
		return nil, err
	}
	value := f(n.Value)
	if !n.exists() {
		return value, o.create(ctx, path, value)
	}
	return value, o.put(ctx, path, value, n.Version)
}

func (t *tool) unicornGroup() *cobra.Command {
	return t.group("unicorn", "Edit nodes of the coordination service", t.unicornEdit())
}

func (t *tool) unicornEdit() *cobra.Command {
	var path string
	return t.command("edit", "Edit a node with $VISUAL or $EDITOR", func(ctx context.Context, o *operation) error {
		n, err := o.get(ctx, path)
		if err != nil {
			return cannot(err, "edit %s", path)
		}
		if !n.exists() {
			n.Value = map[string]any{}
		}
		return o.editValue(ctx, path, n.Value, func(ctx context.Context, value any) error {
			if n.exists() {
				err = o.put(ctx, path, value, n.Version)
			} else {
				err = o.create(ctx, path, value)
			}
			if err != nil {
				return cannot(err, "write %s", path)
			}
			return nil
		})
	}, required(&path, "path", "", "`path` of the node"), within(unbounded))
}

// viewNodes prints one node below a path, or all of them.
func (o *operation) viewNodes(ctx context.Context, path, name string) error {
	if name != "" {
		n, err := o.get(ctx, path+"/"+name)
		if err != nil {
			return cannot(err, "view %s/%s", path, name)
		}
		return o.printJSON(n.document())
	}
	names, err := o.children(ctx, path)
	if err != nil {
		return cannot(err, "view %s", path)
	}
	doc := make(map[string]any, len(names))
	for _, name := range names {
		n, err := o.get(ctx, path+"/"+name)
		if err != nil {
			return cannot(err, "view %s/%s", path, name)
		}
		doc[name] = n.document()
	}
	return o.printJSON(doc)
}

func (o *operation) dropNode(ctx context.Context, path, name string) error {
	if err := o.delete(ctx, path+"/"+name); err != nil {
		if errors.Is(err, cocaine.ErrNoNode) {
			return fmt.Errorf("cannot remove %s/%s: there is no such node", path, name)
		}
		return cannot(err, "remove %s/%s", path, name)
	}
	return nil
}
