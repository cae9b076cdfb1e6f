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
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// versionShape is what version -o json prints.
type versionShape struct {
	Version   string   `json:"version"`
	Go        string   `json:"go"`
	OS        string   `json:"os"`
	Arch      string   `json:"arch"`
	Protocols []string `json:"protocols"`
}

func (a *app) cmdVersion() *cobra.Command {
	return a.reads(&cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		GroupID: "start",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionShape{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, []string{"v0.12", "v0.11"}}
			if a.asJSON() {
				return a.printJSON(v)
			}
			return a.screen.result(fmt.Sprintf("cocaine %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch))
		},
	})
}
