package tool

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func (t *tool) loggingGroup() *cobra.Command {
	return t.group("logging", "Edit the filters of the logging service",
		t.loggingLoggers(), t.loggingSet("set_filter", "Set a filter of a logger on this node"),
		t.loggingSet("set_cluster_filter", "Set a filter of a logger on all nodes"), t.loggingRemove(), t.loggingFilters())
}

func (t *tool) loggingLoggers() *cobra.Command {
	return t.command("list_loggers", "Show the names of the loggers", func(ctx context.Context, o *operation) error {
		names, err := ask[[]string](ctx, o, "logging", "list_loggers")
		if err != nil {
			return cannot(err, "list the loggers")
		}
		return o.printJSON(map[string]any{"loggers": list(names)})
	})
}

func (t *tool) loggingSet(method, short string) *cobra.Command {
	var name, definition string
	var seconds int
	return t.command(method, short, func(ctx context.Context, o *operation) error {
		filter, err := parseValue([]byte(definition))
		if err != nil {
			return invalidf("cannot read the filter: %w", err)
		}
		if l, ok := filter.([]any); !ok || len(l) == 0 {
			return invalidf("cannot use the filter %s: it is no array of at least one element", definition)
		}
		id, err := ask[any](ctx, o, "logging", method, name, filter, seconds)
		if err != nil {
			return cannot(err, "set a filter of logger %s", name)
		}
		return o.printJSON(id)
	}, required(&name, "name", "n", "`name` of the logger"), required(&definition, "filter_def", "", "`definition` of the filter: an array in JSON"),
		whole(&seconds, "ttl", "", 0, "how many `seconds` it lives"), given("ttl"))
}

func (t *tool) loggingRemove() *cobra.Command {
	var id int
	return t.command("remove_filter", "Remove a filter", func(ctx context.Context, o *operation) error {
		done, err := ask[any](ctx, o, "logging", "remove_filter", id)
		if err != nil {
			return cannot(err, "remove filter %d", id)
		}
		return o.printJSON(done)
	}, whole(&id, "filter-id", "i", 0, "`id` of the filter"), given("filter-id"))
}

// A filter is one as list_filters answers it.
type filter struct {
	Logger      string
	Definition  any
	ID          uint64
	Deadline    uint64 // in seconds since 1970
	Disposition int
}

func (t *tool) loggingFilters() *cobra.Command {
	return t.command("list_filters", "Show the filters by logger", func(ctx context.Context, o *operation) error {
		filters, err := ask[[]filter](ctx, o, "logging", "list_filters")
		if err != nil {
			return cannot(err, "list the filters")
		}
		doc := make(map[string][]any)
		for _, f := range filters {
			where := "unknown"
			if names := []string{"local", "clusterwide"}; f.Disposition >= 0 && f.Disposition < len(names) {
				where = names[f.Disposition]
			}
			doc[f.Logger] = append(doc[f.Logger], map[string]any{
				"id": f.ID, "filter_definition": f.Definition, "disposition": where,
				"deadline": time.Unix(int64(min(f.Deadline, 1<<32)), 0).Format(time.DateTime),
			})
		}
		return o.printJSON(doc)
	})
}
