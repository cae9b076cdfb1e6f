package cli

import (
	"fmt"
	"sync"
	"time"
)

// checklist shows the steps of something that takes a while: on a terminal the
// step that runs is drawn live below those that are done; elsewhere there is a
// plain line for each when it is done. A brief one keeps only what failed. One
// goroutine uses it.
type checklist struct {
	s     *screen
	brief bool
	began time.Time

	since time.Time // of the running step
	quit  chan struct{}
	done  sync.WaitGroup

	mu   sync.Mutex
	text string // of the running step; empty between steps
}

func (a *app) checklist(brief bool) *checklist {
	return &checklist{s: a.screen, brief: brief, began: time.Now()}
}

// step ends the running step, if there is one, and begins the next.
func (c *checklist) step(text string) {
	c.succeed()
	c.note(text)
	c.since = time.Now()
	if c.s.live {
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

// finish ends the last step well; took is how long all of them took.
func (c *checklist) finish() (took time.Duration) {
	c.succeed()
	return time.Since(c.began)
}

func (c *checklist) succeed() {
	if c.brief {
		c.halt()
		return
	}
	c.end("✓", green)
}

// fail ends the last step badly.
func (c *checklist) fail() { c.end("✗", red) }

// drop forgets the last step: the person who interrupted it knows.
func (c *checklist) drop() { c.halt() }

func (c *checklist) end(mark string, color int) {
	if text := c.halt(); text != "" {
		c.s.say("%s %s", paint(c.s.color, color, mark), c.line(text, time.Since(c.since)))
	}
}

// halt ends the drawing of the running step and returns its text, empty if none
// runs.
func (c *checklist) halt() string {
	c.mu.Lock()
	text := c.text
	c.text = ""
	c.mu.Unlock()
	if text != "" && c.s.live {
		close(c.quit)
		c.done.Wait()
		c.s.redraw("")
	}
	return text
}

// line puts how long a step took into a column, where the screen is wide enough
// for one.
func (c *checklist) line(text string, took time.Duration) string {
	return fmt.Sprintf("%-*s %6s", min(42, max(0, c.s.width()-12)), text, rounded(took))
}

// spin redraws the running step until it ends.
func (c *checklist) spin() {
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	tick := time.NewTicker(80 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		c.mu.Lock()
		text := c.text
		c.mu.Unlock()
		c.s.redraw(fmt.Sprintf("%c %s", frames[i%len(frames)], c.line(text, time.Since(c.since).Truncate(100*time.Millisecond))))
		select {
		case <-tick.C:
		case <-c.quit:
			return
		}
	}
}

// rounded gives a duration two or three digits.
func rounded(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}
