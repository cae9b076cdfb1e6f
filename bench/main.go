//go:build linux

// Bench measures the runtime against a bare forwarder, NATS and gRPC-Go; README.md
// says what and how. Without a command it runs the whole comparison; the other
// commands are the processes that it starts, and `plot`, which draws old results.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// A command is one role the binary can play.
type command struct {
	name string
	help string
	run  func(args []string) error
}

func commands() []command {
	return []command{
		{"run", "run the whole comparison (the default)", runSuite},
		{"plot", "draw results: plot RESULTS.json OUT.svg", runPlot},
		{"client", "keep requests in flight and print what it measured", runClient},
		{"forwarder", "the bare forwarder", runForwarder},
		{"nats-server", "an embedded NATS server", runNATSServer},
		{"nats-worker", "a NATS responder in a queue group", runNATSWorker},
		{"grpc-server", "a gRPC echo server", runGRPCServer},
	}
}

func main() {
	name, args := "run", os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(os.Stderr, "bench: no command %q; there are:\n", name)
		for _, c := range all {
			fmt.Fprintf(os.Stderr, "  %-12s %s\n", c.name, c.help)
		}
		os.Exit(2)
	}
	if err := all[i].run(args); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// parse reads the flags of a command; a mistake ends the process with its usage.
func parse(name string, args []string, define func(*flag.FlagSet)) []string {
	fs := flag.NewFlagSet("bench "+name, flag.ExitOnError)
	define(fs)
	_ = fs.Parse(args) // ExitOnError: it does not return one
	return fs.Args()
}

// untilSignal runs f with a context that ends when the process is told to stop.
func untilSignal(f func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return f(ctx)
}
