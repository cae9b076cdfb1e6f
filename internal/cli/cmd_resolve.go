package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
)

func (a *app) cmdResolve() *cobra.Command {
	return a.reads(&cobra.Command{
		Use:     "resolve SERVICE",
		Short:   "Show where a service is and what methods it has",
		GroupID: "run",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				r, err := c.Locator().Resolve(ctx, args[0])
				if errors.Is(err, cocaine.ErrServiceNotFound) {
					return hinted(fmt.Errorf("cannot resolve %s: %w", args[0], err), "cocaine ps shows the apps; cocaine doctor the services")
				}
				if err != nil {
					return fmt.Errorf("cannot resolve %s: %w", args[0], err)
				}
				return a.printResolution(args[0], r)
			})
		},
	})
}

func (a *app) printResolution(name string, r *cocaine.Resolution) error {
	if a.asJSON() {
		return a.printJSON(map[string]any{"name": name, "endpoints": r.Endpoints, "version": r.Version, "methods": r.Methods})
	}
	fmt.Fprintf(a.env.Stdout, "%s version %d at %s\n", name, r.Version, strings.Join(r.Endpoints, ", "))
	var rows [][]string
	for _, m := range r.Methods {
		rows = append(rows, []string{fmt.Sprint(m.ID), m.Name, strings.Join(m.Accepts, ", "), strings.Join(m.Replies, ", ")})
	}
	return a.table([]string{"ID", "METHOD", "CALLER SENDS", "SERVICE ANSWERS"}, rows)
}
