// Command cocaine is the app engine: the runtime, its tools and its command line
// in one binary. See `cocaine help`.
package main

import (
	"os"

	"github.com/cocaine/cocaine-go/internal/cli"
)

func main() { os.Exit(cli.Main()) }
