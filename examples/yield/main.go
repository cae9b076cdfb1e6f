// Yield asks services without waiting for each answer in turn: a call is started
// as a future, other work goes on, and waiting for the future is where control is
// given up until the answer is there.
//
//	$ go run ./examples/yield
//	node 5d2c7a10-0000-4000-8000-000000000001 runs echo, hello
//
// The same function serves as the handler of an event. A handler may wait as long
// as it likes: nobody else does with it.
//
//	$ cocaine dev examples/yield
//	$ cocaine call yield report
//	{"apps":["echo","hello"],"node":"5d2c7a10-0000-4000-8000-000000000001"}
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// Report is what is known of a node.
type Report struct {
	Apps []string `json:"apps"`
	Node string   `json:"node"`
}

// report makes two calls at once and yields to each where its answer is needed. An
// error shows where the future is waited for; then the other call is of no use any
// more. (For no more than this, cocaine.Gather2 is shorter.)
func report(ctx context.Context, client *cocaine.Client) (Report, error) {
	apps := cocaine.Go(ctx, client.Node().List)
	node := cocaine.Go(ctx, client.Locator().UUID)
	defer node.Cancel()

	var r Report
	var err error
	if r.Apps, err = apps.Wait(ctx); err != nil {
		return Report{}, err
	}
	if r.Node, err = node.Wait(ctx); err != nil {
		return Report{}, err
	}
	return r, nil
}

// script prints the report.
func script(ctx context.Context, client *cocaine.Client, out io.Writer) error {
	r, err := report(ctx, client)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "node %s runs %s\n", r.Node, strings.Join(r.Apps, ", "))
	return err
}

// run is a worker where a runtime started it, else a script.
func run(ctx context.Context, out io.Writer) error {
	w, err := worker.New(worker.Options{Listen: worker.ListenNone})
	if err != nil {
		return err
	}
	client, err := w.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	worker.Handle(w, "report", func(ctx context.Context, _ any) (Report, error) { return report(ctx, client) })
	if err := w.Run(ctx); !errors.Is(err, worker.ErrNoEndpoint) {
		return err
	}
	return script(ctx, client, out)
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
