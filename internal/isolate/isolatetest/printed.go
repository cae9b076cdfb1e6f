package isolatetest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Printed collects a worker's output and checks that its calls do not overlap.
type Printed struct {
	t    testing.TB
	busy atomic.Bool

	mu      sync.Mutex
	streams [2][]string // stdout, stderr
	sealed  bool
	changed chan struct{}
}

// NewPrinted returns an empty collector.
func NewPrinted(t testing.TB) *Printed { return &Printed{t: t, changed: make(chan struct{})} }

// Output is for isolate.Spawn.
func (p *Printed) Output(line []byte, stderr bool) {
	if p.busy.Swap(true) {
		p.t.Error("Output is called twice at a time")
	}
	defer p.busy.Store(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sealed {
		p.t.Errorf("Output is called after Done, with %q", line)
	}
	i := 0
	if stderr {
		i = 1
	}
	p.streams[i] = append(p.streams[i], string(line))
	close(p.changed)
	p.changed = make(chan struct{})
}

// Stdout returns the lines printed so far.
func (p *Printed) Stdout() []string { return p.stream(0) }

// Stderr returns the lines printed so far.
func (p *Printed) Stderr() []string { return p.stream(1) }

func (p *Printed) stream(i int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.streams[i])
}

// Seal makes later output an error.
func (p *Printed) Seal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sealed = true
}

// Await waits until a line was printed to stdout.
func (p *Printed) Await(line string) {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		seen, changed := slices.Contains(p.streams[0], line), p.changed
		p.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			p.t.Fatalf("worker did not print %q; stdout %q, stderr %q", line, p.Stdout(), p.Stderr())
		}
	}
}
