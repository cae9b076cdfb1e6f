package worker

import (
	"sync/atomic"
	"time"
)

// A pace tells whether the handlers of an event are brief, from how long they took
// lately: so brief that to bring a call to another goroutine would cost as much. It
// may be used by any number of goroutines. An event begins as one that is not.
//
// It keeps a score, which sinks with each handler that was brief and rises faster with
// each that was not, so that a few do no harm: a garbage collection or another program
// may have come between.
type pace struct{ score atomic.Int32 }

const (
	// sampled is how many calls there are to one whose time is taken: a power of two.
	sampled = 16
	// brevity is what a brief handler takes at most.
	brevity = 5 * time.Microsecond

	// lowest and highest bound the score; up to trusted the event is brief.
	lowest, trusted, highest = -8, -4, 256
	// slower is what a sample adds that was not brief, tardy what a call adds that was
	// taken to be brief and held up others. Every such call counts.
	slower, tardy = 4, 8
)

// brief reports whether handlers of the event may be taken to be.
func (p *pace) brief() bool { return p.score.Load() <= trusted }

// samples reports whether the time of the call on a channel is to be taken.
func samples(channel uint64) bool { return channel&(sampled-1) == 0 }

// note takes down a sample.
func (p *pace) note(took time.Duration) {
	if took <= brevity {
		p.add(-1)
	} else {
		p.add(slower)
	}
}

// late takes down that a handler which was taken to be brief was not.
func (p *pace) late() { p.add(tardy) }

// add changes the score. Changes that meet may lose one another, which does not matter.
func (p *pace) add(n int32) {
	before := p.score.Load()
	if after := min(max(before+n, lowest), highest); after != before {
		p.score.Store(after)
	}
}
