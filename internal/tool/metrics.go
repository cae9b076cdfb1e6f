package tool

import (
	"context"

	"github.com/spf13/cobra"
)

func (t *tool) metrics() *cobra.Command {
	var form, query, language string
	return t.command("metrics", "Show the metrics of a runtime", func(ctx context.Context, o *operation) error {
		var tree any
		if query != "" {
			var err error
			if tree, err = parseQuery(query, language); err != nil {
				return err
			}
		}
		doc, err := ask[any](ctx, o, "metrics", "fetch", form, tree)
		if err != nil {
			return cannot(err, "show the metrics")
		}
		return o.printJSON(doc)
	}, text(&form, "type", "", "plain", "`form`: plain (dotted names) or json (a tree)"), oneOf("type", "plain", "json"),
		text(&query, "query", "", "", "which metrics, such as 'contains(name(), queue) && type() == gauge'"),
		text(&language, "query-type", "", "mql", "`language` of the query: mql, or ast for its tree as JSON"), oneOf("query-type", "mql", "ast"))
}

func parseQuery(query, language string) (any, error) {
	if language == "ast" {
		tree, err := parseValue([]byte(query))
		if err != nil {
			return nil, invalidf("cannot read the query: %w", err)
		}
		return tree, nil
	}
	tree, err := compileMQL(query)
	if err != nil {
		return nil, invalidf("cannot read the query: %w", err)
	}
	return tree, nil
}
