package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is what the module was built as.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}

func (a *app) cmdVersion() *cobra.Command {
	return a.reads(&cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		GroupID: "start",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.asJSON() {
				return a.printJSON(map[string]any{"version": version(), "go": runtime.Version(),
					"os": runtime.GOOS, "arch": runtime.GOARCH, "protocols": []string{"v0.12"}})
			}
			fmt.Fprintf(a.env.Stdout, "cocaine %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	})
}
