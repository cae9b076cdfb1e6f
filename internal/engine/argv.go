package engine

import (
	"slices"
	"strings"
)

// Workers are started with the flags of v0.12 (docs/PROTOCOL.md, Starting a worker).
// Those of v0.11 know all of them but --protocol. Most look for what they need and do
// not mind; some, those in Go among them, end when they see a flag that they do not
// know, and name it. Such an app's workers are started without.

// arguments are what a worker is started with. Called with mu held.
func (e *Engine) arguments(w *worker) []string {
	args := append(slices.Clone(e.o.Manifest.Args), "--app", e.o.App, "--endpoint", e.o.Endpoint, "--locator", e.o.Locator)
	w.bare = e.bare
	if !w.bare {
		args = append(args, "--protocol", "1")
	}
	return append(args, "--uuid", w.id)
}

// minded reports whether a worker that ended before it was ready did so because of
// --protocol; then the next one is started without. One that did not care for its
// absence either had another reason. Called with mu held.
func (e *Engine) minded(w *worker) bool {
	if w.bare {
		e.bare = false
		return false
	}
	if !slices.ContainsFunc(w.tail.lines(), mindsProtocol) {
		return false
	}
	e.bare = true
	e.log.Info("worker does not know --protocol, its successor is started without", "worker", w.id)
	return true
}

// mindsProtocol reports whether a line that a worker printed is about the flag. One
// that shows all arguments is not.
func mindsProtocol(line string) bool {
	return strings.Contains(line, "-protocol") && !strings.Contains(line, "-uuid")
}
