package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/isolate"
)

// A Crash is the record of a worker that ended badly.
type Crash struct {
	App      string        `json:"app"`
	Release  string        `json:"release"`
	Worker   string        `json:"worker"`
	PID      int           `json:"pid,omitempty"`
	Time     time.Time     `json:"time"`
	Uptime   time.Duration `json:"uptime_ns"`
	Code     int           `json:"code"`   // the slave code of the original
	Reason   string        `json:"reason"` // the code in words
	Exit     string        `json:"exit"`   // how the process ended: "exit status 3", "killed by SIGKILL"
	Signal   string        `json:"signal,omitempty"`
	Status   int           `json:"status"`
	Inflight int           `json:"inflight"` // requests that were cut off
	Lines    []string      `json:"lines"`    // the last lines it printed
}

// Sentence says in one line what happened.
func (c *Crash) Sentence() string {
	s := fmt.Sprintf("worker %.8s %s", c.Worker, c.Reason)
	if c.Exit != "" {
		s += ": " + c.Exit
	}
	if n := len(c.Lines); n > 0 {
		s += fmt.Sprintf("; last line: %.200q", c.Lines[n-1])
	}
	return s
}

// report records a crash, on the worker's supervisor goroutine.
func (e *Engine) report(w *worker, exit isolate.Exit, spawnErr error) {
	e.mu.Lock()
	crashed := w.crash
	c := Crash{App: e.o.App, Release: e.o.Release, Worker: w.id, PID: w.pid, Time: w.died,
		Uptime: w.uptime, Code: int(w.reason), Reason: w.reason.sentence(), Inflight: w.inflight}
	e.mu.Unlock()
	if !crashed {
		return
	}
	c.Lines = w.tail.lines()
	if spawnErr != nil {
		c.Exit = spawnErr.Error()
	} else {
		c.Exit, c.Status = exit.String(), exit.Code
		if exit.Signal != 0 {
			c.Signal = isolate.SignalName(exit.Signal)
		}
	}
	e.mu.Lock()
	e.last = &c
	if !w.ready {
		e.unready = &c
		e.announce()
	}
	e.mu.Unlock()
	e.log.Warn("worker crashed", "worker", w.id, "reason", c.Reason, "exit", c.Exit, "requests", c.Inflight)
	if e.o.Crashed != nil {
		e.o.Crashed(c)
	}
}

// tail keeps the last lines of a worker's output.
type tail struct {
	mu   sync.Mutex
	ring []string
	next int
}

// maxTailLine bounds what is kept of one line.
const maxTailLine = 4 << 10

func newTail(limit int) *tail { return &tail{ring: make([]string, 0, min(max(limit, 0), 10000))} }

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cap(t.ring) == 0 {
		return
	}
	s := string(line[:min(len(line), maxTailLine)])
	if len(t.ring) < cap(t.ring) {
		t.ring = append(t.ring, s)
		return
	}
	t.ring[t.next] = s
	t.next = (t.next + 1) % len(t.ring)
}

// lines are the kept lines, oldest first.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(append([]string{}, t.ring[t.next:]...), t.ring[:t.next]...)
}
