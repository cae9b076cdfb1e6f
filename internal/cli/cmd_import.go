package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/filestore"
)

func (a *app) cmdImport() *cobra.Command {
	var dryRun, force bool
	c := &cobra.Command{
		Use:     "import DIR",
		Short:   "Take over the records of the original's file storage",
		GroupID: "original",
		Long: `Takes the records that the original runtime kept in files - code, manifests,
profiles, runlists, routing groups, crashlogs and whatever else is there - into the
storage of a running runtime. DIR is the path that the original's configuration
gives the storage "core", usually in /var/lib/cocaine.

Every record is read back and compared. It does no harm to import again: what is
there already is left alone, and what differs too unless --force is given.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *cocaine.Client) error {
				return a.importFiles(ctx, c, args[0], dryRun, force)
			})
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, tell what would be done")
	c.Flags().BoolVar(&force, "force", false, "replace records that differ")
	return a.reads(c)
}

func (a *app) importFiles(ctx context.Context, c *cocaine.Client, dir string, dryRun, force bool) error {
	store, err := filestore.Open(dir)
	if err != nil {
		return explainImport(dir, err)
	}
	defer store.Close()
	listing, err := store.List(ctx)
	if err != nil {
		return explainImport(dir, err)
	}
	m := &importing{app: a, client: c, store: store, force: force, bad: make(map[string]bool), tagged: make(map[[2]string]map[string]bool),
		report: importReport{Dir: dir, DryRun: dryRun, Stale: listing.Stale, Objects: len(listing.Objects), Problems: []importProblem{}}}
	if err := m.run(ctx, listing); err != nil {
		return cannot(err, "import %s", dir)
	}
	if a.asJSON() {
		err = a.printJSON(&m.report)
	} else {
		err = a.screen.result(m.report.summary())
	}
	if err != nil {
		return err
	}
	return m.report.err()
}

func explainImport(dir string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return hinted(fmt.Errorf("cannot import %s: %w", dir, err),
		`DIR is the path of the storage "core" in the configuration of the original`)
}
