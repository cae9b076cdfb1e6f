package tool

import (
	"context"

	"github.com/spf13/cobra"
)

func (t *tool) vicodynGroup() *cobra.Command {
	return t.group("vicodyn", "Show what the proxy of a virtual cluster knows",
		t.vicodynAsk("info", "Show the state of the proxy", ""),
		t.vicodynAsk("apps", "Show the apps of the cluster", "`name` of an app; all unless given"),
		t.vicodynAsk("peers", "Show the nodes of the cluster", "`uuid` of a node; all unless given"))
}

// vicodynAsk calls a method, with what --name says if there is such an option.
func (t *tool) vicodynAsk(method, short, nameHelp string) *cobra.Command {
	var name string
	options := []option{within(unbounded)}
	if nameHelp != "" {
		options = append(options, text(&name, "name", "n", "", nameHelp))
	}
	return t.command(method, short, func(ctx context.Context, o *operation) error {
		var args []any
		if name != "" {
			args = []any{name}
		}
		doc, err := ask[any](ctx, o, "vicodyn", method, args...)
		if err != nil {
			return cannot(err, "ask vicodyn for %s", method)
		}
		return o.printJSON(doc)
	}, options...)
}
