// Command cocaine is the app engine: the runtime, its tools and its command line
// in one binary. See `cocaine help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Process())
	stop()
	os.Exit(code)
}
