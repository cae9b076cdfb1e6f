package worker

import (
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// An intake hands what the reader has found to the crew, many requests at once, and
// has the reader serve what is short. It belongs to the reader of a session.
type intake struct {
	crew  *crew
	brief brief
	tasks []task
	put   bool // the batch is going to call Finish
}

const (
	// maxIntake is how many requests wait for the end of a batch.
	maxIntake = 256
	// maxBrief is how many do that the reader is going to serve.
	maxBrief = 1024
)

// add has a task served, when the batch ends at the latest.
func (i *intake) add(b *rpc.Batch, t task) {
	i.tasks = append(i.tasks, t)
	i.wait(b, len(i.tasks) == maxIntake)
}

// addBrief is add for a call of a handler that is not going to take long.
func (i *intake) addBrief(b *rpc.Batch, c *call) {
	i.brief.calls = append(i.brief.calls, c)
	i.wait(b, len(i.brief.calls) == maxBrief)
}

func (i *intake) wait(b *rpc.Batch, full bool) {
	switch {
	case full:
		i.hand()
	case !i.put:
		i.put = true
		b.Finally(i)
	}
}

// Finish implements rpc.Finisher.
func (i *intake) Finish(*rpc.Batch) {
	i.put = false
	i.hand()
}

// hand gives the crew everything.
func (i *intake) hand() {
	for n, c := range i.brief.calls {
		i.tasks = append(i.tasks, c)
		i.brief.calls[n] = nil
	}
	i.brief.calls = i.brief.calls[:0]
	if len(i.tasks) > 0 {
		i.crew.add(i.tasks...)
		clear(i.tasks)
		i.tasks = i.tasks[:0]
	}
}
