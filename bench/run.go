//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cocaine/cocaine-go/bench/internal/plot"
	"github.com/cocaine/cocaine-go/bench/internal/report"
	"github.com/cocaine/cocaine-go/bench/internal/result"
	"github.com/cocaine/cocaine-go/bench/internal/suite"
)

// runSuite measures everything, prints the tables and writes the results.
func runSuite(args []string) error {
	c := suite.Default(os.Getenv("BENCH_FAST") == "1")
	var only, out string
	var strict bool
	parse("run", args, func(fs *flag.FlagSet) {
		fs.StringVar(&c.Root, "root", "..", "directory of the main module, whose cmd/cocaine is built")
		fs.StringVar(&out, "out", "results", "directory for latest.json and latest.svg")
		fs.StringVar(&c.Cocaine, "cocaine", "", "runtime to measure instead of building one")
		fs.StringVar(&c.Attach, "attach", "", "locator `address` of a runtime that runs already, to be measured instead of starting one")
		fs.StringVar(&c.Isolate, "isolate", "", "isolation `type` for the app's profile (the original runtime: legacy_process)")
		fs.StringVar(&only, "targets", "", "comma-separated `names` of the targets to measure (default all)")
		fs.IntVar(&c.Rounds, "rounds", c.Rounds, "how often everything is measured")
		fs.DurationVar(&c.Duration, "duration", c.Duration, "time of one measurement")
		fs.DurationVar(&c.WarmUp, "warmup", c.WarmUp, "time before it that does not count")
		fs.Func("cells", "comma-separated points of the echo, `bytes/connections/in flight` (default the whole matrix)", func(text string) (err error) {
			c.Cells, err = parseCells(text)
			return err
		})
		fs.BoolVar(&c.EchoOnly, "echo-only", false, "leave out methods, starts and memory")
		fs.BoolVar(&strict, "strict", false, "fail when a target is missing")
	})
	if only != "" {
		c.Only = strings.Split(only, ",")
	}
	var err error
	if c.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("cannot find the benchmark's own binary: %w", err)
	}
	if c.Root, err = filepath.Abs(c.Root); err != nil {
		return fmt.Errorf("cannot find the main module: %w", err)
	}
	var results *result.Results
	failed := untilSignal(func(ctx context.Context) (err error) {
		results, err = suite.Run(ctx, c, os.Stderr)
		return err
	})
	if results == nil {
		return failed
	}
	if err := report.Print(os.Stdout, results); err != nil {
		return err
	}
	if err := save(results, out); err != nil {
		return err
	}
	if strict && failed == nil && len(results.Skipped) > 0 {
		failed = errors.New("a target is missing")
	}
	return failed
}

func parseCells(text string) ([]result.Cell, error) {
	var cells []result.Cell
	for _, s := range strings.Split(text, ",") {
		var c result.Cell
		if n, err := fmt.Sscanf(s, "%d/%d/%d", &c.Bytes, &c.Connections, &c.InFlight); err != nil || n != 3 || c.Bytes < 0 || c.Connections < 1 || c.InFlight < 1 {
			return nil, fmt.Errorf("%q is not like 128/1/256", s)
		}
		cells = append(cells, c)
	}
	return cells, nil
}

func save(r *result.Results, dir string) error {
	name := filepath.Join(dir, "latest.json")
	if err := r.Write(name); err != nil {
		return err
	}
	picture := filepath.Join(dir, "latest.svg")
	if err := draw(r, picture); err != nil {
		return err
	}
	fmt.Printf("\nwritten: %s, %s\n", name, picture)
	return nil
}

// runPlot draws results that were written earlier.
func runPlot(args []string) error {
	files := parse("plot", args, func(*flag.FlagSet) {})
	if len(files) != 2 {
		return errors.New("usage: bench plot RESULTS.json OUT.svg")
	}
	r, err := result.Read(files[0])
	if err != nil {
		return err
	}
	return draw(r, files[1])
}

func draw(r *result.Results, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot draw %s: %w", path, err)
	}
	if err := errors.Join(plot.SVG(f, r), f.Close()); err != nil {
		return fmt.Errorf("cannot draw %s: %w", path, err)
	}
	return nil
}
