package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocaine/cocaine-go/internal/tool"
)

// toolName is the program that cocaine also is, by the name it is started under.
const toolName = "cocaine-tool"

func (a *app) cmdTool() *cobra.Command {
	return &cobra.Command{
		Use:     "tool COMMAND [OPTION...]",
		Short:   "The commands of the original's cocaine-tool",
		GroupID: "original",
		Long: `Runs a command of cocaine-tool, the command line of the original, with its options,
output and exit codes. cocaine started under the name cocaine-tool is the same.`,
		DisableFlagParsing: true, // they are the tool's
		RunE: func(cmd *cobra.Command, args []string) error {
			env := a.env
			env.Args = args
			if code := runTool(cmd.Context(), env, "cocaine tool"); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
}

// runTool runs a command line of the tool and returns its exit code.
func runTool(ctx context.Context, env Env, name string) int {
	a := &app{env: env}
	client, err := a.clientOptions()
	if err != nil {
		return int(report(env.Stderr, err))
	}
	return tool.Run(ctx, tool.Env{
		Name: name, Version: version(), Args: env.Args,
		Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr, Environ: env.Host.Environ,
		Client: client,
	})
}

// exitCode ends the command line with a code. Whoever returns it has said why.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
