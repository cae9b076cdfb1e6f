// Get prints the names of all apps that the node service knows, twice: first
// however long the answer takes, then with a timeout.
//
//	$ go run ./examples/get
//	echo
//	hello
//	within 1s: echo hello
//
// COCAINE_LOCATOR says where the runtime is, if not on this machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go"
)

const timeout = time.Second

func run(ctx context.Context, out io.Writer) error {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		return err
	}
	defer client.Close()
	node := client.Service("node") // no connection yet

	apps, err := cocaine.Get[[]string](ctx, node, "list")
	if err != nil {
		return err
	}
	for _, app := range apps {
		fmt.Fprintln(out, app)
	}

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	apps, err = cocaine.Get[[]string](ctx, node, "list")
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("cannot list apps within %v: %w", timeout, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "within %v: %s\n", timeout, strings.Join(apps, " "))
	return nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
