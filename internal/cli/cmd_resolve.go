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
	var seed string
	var group bool
	c := &cobra.Command{
		Use:     "resolve SERVICE",
		Short:   "Show where a service or an app is and what methods it has",
		GroupID: "run",
		Long: `Shows where a service or an app is and what methods it has. A routing group stands
for one of its members: the same one for the same --seed, any one without. With
--group it shows the members of a routing group and the share of the seeds that each
gets.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeServices(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				if group {
					return a.showGroup(ctx, c, args[0], seed)
				}
				r, err := resolveSeed(ctx, c, args[0], seed)
				if errors.Is(err, cocaine.ErrServiceNotFound) {
					return explainAbsence(ctx, c, args[0], "resolve "+args[0])
				}
				if err != nil {
					return cannot(err, "resolve %s", args[0])
				}
				return a.printResolution(r)
			})
		},
	}
	c.Flags().StringVar(&seed, "seed", "", "`text` by which a routing group chooses its member")
	c.Flags().BoolVar(&group, "group", false, "show the members of a routing group")
	return a.reads(c)
}

// resolve asks the locator, and does not wait for ever for one that is none.
func resolve(ctx context.Context, c *cocaine.Client, name string) (*cocaine.Resolution, error) {
	return resolveSeed(ctx, c, name, "")
}

func resolveSeed(ctx context.Context, c *cocaine.Client, name, seed string) (*cocaine.Resolution, error) {
	ctx, cancel := context.WithTimeout(ctx, resolving)
	defer cancel()
	return c.Locator().ResolveSeed(ctx, name, seed)
}

// methodShape is a method as -o json prints it.
type methodShape struct {
	ID      uint64   `json:"id"`
	Name    string   `json:"name"`
	Accepts []string `json:"accepts"`
	Replies []string `json:"replies"`
}

func (a *app) printResolution(r *cocaine.Resolution) error {
	if a.asJSON() {
		methods := make([]methodShape, 0, len(r.Methods))
		for _, m := range r.Methods {
			methods = append(methods, methodShape{m.ID, m.Name, append([]string{}, m.Accepts...), append([]string{}, m.Replies...)})
		}
		return a.printJSON(struct {
			Name      string        `json:"name"`
			Endpoints []string      `json:"endpoints"`
			Version   int           `json:"version"`
			Methods   []methodShape `json:"methods"`
		}{r.Name, r.Endpoints, r.Version, methods})
	}
	head := fmt.Sprintf("%s, protocol version %d, at %s\n\n", r.Name, r.Version, strings.Join(r.Endpoints, ", "))
	if err := a.screen.result(head); err != nil {
		return err
	}
	var rows [][]string
	for _, m := range r.Methods {
		rows = append(rows, []string{fmt.Sprint(m.ID), m.Name, dash(strings.Join(m.Accepts, ", ")), dash(strings.Join(m.Replies, ", "))})
	}
	return a.table([]string{"ID", "METHOD", "CALLER SENDS", "SERVICE ANSWERS"}, rows)
}
