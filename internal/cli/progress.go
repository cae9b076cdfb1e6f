package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// checklist shows the steps of something that takes a while: on a terminal a line
// a step, with a spinner while it runs; elsewhere a plain line when it is done.
type checklist struct {
	w     io.Writer
	live  bool
	color bool

	mu    sync.Mutex
	text  string // of the running step; empty between steps
	since time.Time
	quit  chan struct{}
	done  sync.WaitGroup
}

func (a *app) checklist() *checklist {
	return &checklist{w: a.env.Stderr, live: a.isTerminal(a.env.Stderr), color: a.colours(a.env.Stderr)}
}

// step ends the running step, if there is one, and begins the next.
func (c *checklist) step(text string) {
	c.end("✓", "32")
	c.mu.Lock()
	c.text, c.since = text, time.Now()
	c.mu.Unlock()
	if c.live {
		c.quit = make(chan struct{})
		c.done.Go(c.spin)
	}
}

// note changes the text of the running step.
func (c *checklist) note(text string) {
	c.mu.Lock()
	c.text = text
	c.mu.Unlock()
}

// finish ends the last step well.
func (c *checklist) finish() { c.end("✓", "32") }

// fail ends the last step badly.
func (c *checklist) fail() { c.end("✗", "31") }

func (c *checklist) end(mark, color string) {
	c.mu.Lock()
	text, took := c.text, time.Since(c.since)
	c.text = ""
	c.mu.Unlock()
	if text == "" {
		return
	}
	if c.live {
		close(c.quit)
		c.done.Wait()
		fmt.Fprint(c.w, "\r\x1b[K")
	}
	if c.color {
		mark = "\x1b[" + color + "m" + mark + "\x1b[0m"
	}
	fmt.Fprintf(c.w, "%s %-40s %s\n", mark, text, rounded(took))
}

// spin redraws the running step until it ends.
func (c *checklist) spin() {
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	tick := time.NewTicker(80 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		c.mu.Lock()
		text, took := c.text, time.Since(c.since)
		c.mu.Unlock()
		fmt.Fprintf(c.w, "\r\x1b[K%c %-40s %s", frames[i%len(frames)], text, took.Round(100*time.Millisecond))
		select {
		case <-tick.C:
		case <-c.quit:
			return
		}
	}
}

// rounded gives a duration three digits at most.
func rounded(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}
