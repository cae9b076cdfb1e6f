package tool

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// completing is how long a shell waits for names.
const completing = 250 * time.Millisecond

// completeNames completes --name with the names of records, if the runtime gives
// them soon enough.
func (t *tool) completeNames(c *cobra.Command, k kind) { t.completeOption(c, "name", k) }

func (t *tool) completeOption(c *cobra.Command, option string, k kind) {
	_ = c.RegisterFlagCompletionFunc(option, func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []string
		ctx, cancel := context.WithTimeout(cmd.Context(), completing)
		defer cancel()
		_ = t.run(ctx, unbounded, nil, func(ctx context.Context, o *operation) (err error) {
			names, err = o.names(ctx, k)
			return err
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}
