package cli

import "github.com/spf13/cobra"

// commands are the verbs, in the order in which a person meets them.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.cmdServer(), a.cmdDev(), a.cmdConfig(), a.cmdDoctor(), a.cmdVersion(),
		a.cmdUp(), a.cmdStart(), a.cmdStop(), a.cmdRemove(),
		a.cmdCall(), a.cmdResolve(), a.cmdGen(),
		a.cmdPs(), a.cmdInfo(), a.cmdLogs(), a.cmdCrashes(),
		a.cmdTool(), a.cmdImport(),
	}
}
