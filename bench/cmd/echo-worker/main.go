// Echo-worker is the worker the benchmark deploys: it answers every call with
// what it was sent.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/cocaine/cocaine-go/bench/internal/echo"
)

func main() {
	var o echo.Options
	flag.StringVar(&o.Endpoint, "endpoint", "", "unix socket of the runtime")
	flag.StringVar(&o.UUID, "uuid", "", "identity given by the runtime")
	flag.String("app", "", "name of the app (not used)")
	flag.String("locator", "", "addresses of the locator (not used)")
	flag.Int("protocol", 1, "version of the worker protocol (only 1)")
	flag.Parse()
	if err := echo.Run(o); err != nil {
		fmt.Fprintln(os.Stderr, "echo-worker:", err)
		os.Exit(1)
	}
}
