package engine

import (
	"time"

	"github.com/cocaine/cocaine-go/internal/rpc"
)

// instant is a point of monotonic time, counted from the engine's start. Wall
// clock steps do not touch it.
type instant time.Duration

// A timer fires once at its instant. It lives inside its owner, so arming one
// allocates nothing. All timers are guarded by Engine.mu.
type timer struct {
	at    instant
	pos   int // 1 + index in the heap, or inLine; 0 when not armed
	owner expirer

	prev, next *timer // in the line
}

const inLine = -1

// An expirer is what a timer belongs to. expire is called with Engine.mu held.
type expirer interface{ expire(b *rpc.Batch, t *timer) }

// timers is a binary heap ordered by instant, and a line beside it of timers that
// were armed in that order: the deadlines of requests that all have the same time.
type timers struct {
	heap    []*timer
	first   *timer // of the line
	last    *timer
	next    instant       // when the loop is going to look
	wake    chan struct{} // tells it to look earlier
	waiting bool          // for the readers to catch up, see overslept
}

// When the runtime has not run for a while - it was stopped, or the machine was
// paused - everything seems to be late at once, while the frames that say otherwise
// have come and were not read. So timers that are late by more than slack wait for
// catchUp, once.
const (
	slack   = instant(time.Second)
	catchUp = 100 * time.Millisecond
)

// overslept reports whether the readers have to catch up before timers fire.
func (ts *timers) overslept(now instant) bool {
	t := ts.earliest()
	ts.waiting = !ts.waiting && t != nil && now-t.at > slack
	return ts.waiting
}

// earliest is the timer to fire next, nil if there is none.
func (ts *timers) earliest() *timer {
	if len(ts.heap) == 0 || ts.first != nil && ts.first.at < ts.heap[0].at {
		return ts.first
	}
	return ts.heap[0]
}

// arm sets a timer, moving it if it was armed already.
func (ts *timers) arm(t *timer, at instant) {
	if t.pos != 0 {
		ts.disarm(t)
	}
	t.at = at
	ts.heap = append(ts.heap, t)
	t.pos = len(ts.heap)
	ts.up(t.pos - 1)
	ts.call(at)
}

// armInLine is arm for timers that are set in the order of their instants. One that
// comes a little out of turn, as those of two readers may, fires with the one before
// it.
func (ts *timers) armInLine(t *timer, at instant) {
	if t.pos != 0 {
		ts.disarm(t)
	}
	t.at, t.pos, t.prev, t.next = at, inLine, ts.last, nil
	if ts.last == nil {
		ts.first = t
	} else {
		t.at = max(at, ts.last.at)
		ts.last.next = t
	}
	ts.last = t
	ts.call(t.at)
}

// call sees that the loop looks at an instant, if it would look later only.
func (ts *timers) call(at instant) {
	if at < ts.next {
		ts.next = at
		select {
		case ts.wake <- struct{}{}:
		default:
		}
	}
}

// disarm removes a timer; one that is not armed is left alone.
func (ts *timers) disarm(t *timer) {
	switch t.pos {
	case 0:
		return
	case inLine:
		ts.unline(t)
		return
	}
	i, last := t.pos-1, len(ts.heap)-1
	moved := ts.heap[last]
	ts.heap[last] = nil
	ts.heap = ts.heap[:last]
	t.pos = 0
	if i == last {
		return
	}
	ts.heap[i] = moved
	moved.pos = i + 1
	if !ts.up(i) {
		ts.down(i)
	}
}

func (ts *timers) unline(t *timer) {
	if t.prev == nil {
		ts.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		ts.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.pos, t.prev, t.next = 0, nil, nil
}

func (ts *timers) up(i int) bool {
	moved := false
	for i > 0 {
		parent := (i - 1) / 2
		if ts.heap[parent].at <= ts.heap[i].at {
			break
		}
		ts.swap(i, parent)
		i, moved = parent, true
	}
	return moved
}

func (ts *timers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(ts.heap) {
			return
		}
		if child+1 < len(ts.heap) && ts.heap[child+1].at < ts.heap[child].at {
			child++
		}
		if ts.heap[i].at <= ts.heap[child].at {
			return
		}
		ts.swap(i, child)
		i = child
	}
}

func (ts *timers) swap(i, j int) {
	ts.heap[i], ts.heap[j] = ts.heap[j], ts.heap[i]
	ts.heap[i].pos, ts.heap[j].pos = i+1, j+1
}

// due removes and returns the earliest timer if its instant has come.
func (ts *timers) due(now instant) *timer {
	t := ts.earliest()
	if t == nil || t.at > now {
		return nil
	}
	ts.disarm(t)
	return t
}

// runTimers is the engine's timer goroutine. It looks at the timers when the
// earliest one was due when it looked last; one that is armed later for an earlier
// instant wakes it, one that is disarmed does not. So the deadlines of requests
// that are answered in time do not concern it.
func (e *Engine) runTimers() {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		clock.Reset(e.fireTimers())
		select {
		case <-clock.C:
		case <-e.timers.wake:
		case <-e.ended:
			return
		}
	}
}

// fireTimers fires what is due and says how long to sleep.
func (e *Engine) fireTimers() (sleep time.Duration) {
	rpc.Run(func(b *rpc.Batch) {
		e.mu.Lock()
		defer e.mu.Unlock()
		now := e.now()
		if e.timers.overslept(now) {
			sleep = catchUp
			e.timers.next = now + instant(sleep)
			return
		}
		for t := e.timers.due(now); t != nil; t = e.timers.due(now) {
			t.owner.expire(b, t)
		}
		sleep = time.Hour
		if t := e.timers.earliest(); t != nil {
			sleep = time.Duration(t.at - now)
		}
		e.timers.next = now + instant(sleep)
	})
	return sleep
}

// now is the current instant.
func (e *Engine) now() instant { return instant(time.Since(e.epoch)) }

// at converts the time of a batch.
func (e *Engine) at(t time.Time) instant { return instant(t.Sub(e.epoch)) }
