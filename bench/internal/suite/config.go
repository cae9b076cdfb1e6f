//go:build linux

// Package suite runs the whole comparison: it builds and starts the targets,
// measures them in turn and collects the results.
//
// Targets are interleaved as finely as can be: at each cell of the matrix every
// target is measured once before any cell is measured again, and all of that is
// repeated in rounds. Servers and workers live through all rounds; each
// measurement has a client process of its own. What is idle does not disturb:
// the servers that are not being measured only wait.
//
// One goroutine does everything.
package suite

import (
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/result"
)

// Config of a run.
type Config struct {
	Self    string // the benchmark's own binary, for its other processes
	Root    string // of the main module, where cmd/cocaine is
	Cocaine string // a runtime to use instead of building one
	Attach  string // locator of a runtime that runs already, instead of starting one
	Isolate string // isolation the app's profile asks for; empty is the runtime's default

	Only     []string      // targets; empty is all
	Cells    []result.Cell // points of the echo matrix; Default has them all
	EchoOnly bool          // no methods, starts and memory
	Fast     bool
	Rounds   int
	WarmUp   time.Duration
	Duration time.Duration
	Starts   int // of the runtime, and cold starts of a worker
}

// Default is the full run, about four minutes, or the fast one, half of one.
func Default(fast bool) Config {
	c := Config{Cells: cells(), Rounds: 3, WarmUp: 200 * time.Millisecond, Duration: 900 * time.Millisecond, Starts: 9}
	if fast {
		c.Fast, c.Rounds, c.WarmUp, c.Duration, c.Starts = true, 1, 50*time.Millisecond, 250*time.Millisecond, 3
	}
	return c
}

// cells is the whole echo matrix.
func cells() []result.Cell {
	var all []result.Cell
	for _, bytes := range []int{128, 4096} {
		for _, connections := range []int{1, 4} {
			for _, inFlight := range []int{1, 16, 256, 1024} {
				all = append(all, result.Cell{Bytes: bytes, Connections: connections, InFlight: inFlight})
			}
		}
	}
	return all
}
