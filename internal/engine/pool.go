package engine

import (
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// rebalance brings the pool to its wanted size. It is called after everything
// that may change either. Called with mu held.
func (e *Engine) rebalance(b *rpc.Batch) {
	if e.mode == stopped || e.mode == draining && e.queue.n == 0 {
		return
	}
	e.giveUp(b)
	want := e.want()
	if e.target > 0 {
		e.shrinkTo(b, want)
	}
	if e.back.armed() {
		return
	}
	for e.staying < want && len(e.workers) < e.p.PoolLimit {
		e.spawn()
	}
}

// want is the wanted pool size: what control says, or one worker per
// grow-threshold queued requests, within pool-min and pool-limit. The automatic
// size only ever grows the pool; idle workers are retired by idle-timeout.
//
// Workers on their way out do not count, other than in the original: a request
// does not wait for one that takes its time to end, unless the pool is full.
func (e *Engine) want() int {
	switch {
	case e.target > 0:
		return min(e.target, e.p.PoolLimit)
	case e.p.QueueLimit == 0:
		// Those that are ready have no room while there is a queue.
		want, vacant := e.staying, (e.staying-e.active)*e.p.Concurrency
		if e.queue.n > vacant {
			want += (e.queue.n - vacant + e.p.Concurrency - 1) / e.p.Concurrency
		}
		return e.clamp(want)
	default:
		return e.clamp(e.queue.n / e.p.GrowThreshold)
	}
}

func (e *Engine) clamp(n int) int {
	low := max(e.floor, e.p.PoolMin)
	if e.queue.n > 0 {
		low = max(low, 1)
	}
	return min(max(n, low), e.p.PoolLimit)
}

// shrinkTo seals the least loaded workers down to the wanted size.
func (e *Engine) shrinkTo(b *rpc.Batch, want int) {
	for e.active > want {
		w := e.buckets.min()
		if w == nil {
			return
		}
		e.seal(b, w)
	}
}

// giveUpAfter is how many workers in a row may end before they are ready until
// requests are answered instead of kept waiting.
const giveUpAfter = 3

// giveUp answers the queue when workers can not be started: nobody should wait a
// day for a program that does not run. The engine keeps trying, with its back-off.
func (e *Engine) giveUp(b *rpc.Batch) {
	if e.failures < giveUpAfter || e.active > 0 || e.queue.n == 0 || !e.back.armed() {
		return
	}
	text := "no worker could be started"
	if e.last != nil {
		text += ": " + e.last.Sentence()
	}
	e.flushQueue(b, &rpc.Error{Category: idl.CategoryNode, Code: idl.NodeNoResources, Message: text})
}

// SetTarget sets the wanted pool size, 0 for automatic, and applies it.
func (e *Engine) SetTarget(n int) {
	rpc.Run(func(b *rpc.Batch) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.target = max(0, n)
		e.rebalance(b)
		e.checkIdle(e.now()) // nobody was retired while the size was set by hand
		e.announce()
	})
}

// backoff keeps an app whose workers die from starting new ones in a loop: 1, 2,
// 4 ... 32 s. It starts over once workers have lived for a while. Guarded by
// Engine.mu.
type backoff struct {
	owner *Engine
	timer timer
	delay time.Duration
	last  instant
	any   bool // a worker has failed before
}

const (
	firstDelay = time.Second
	lastDelay  = 32 * time.Second
)

func (k *backoff) armed() bool { return k.timer.pos != 0 }

func (k *backoff) disarm() { k.owner.timers.disarm(&k.timer) }

// failed notes the death of a worker and arms the timer. A failure counts as
// recent while less time has passed than the pause itself and its largest value:
// the original forgot the latter and started over after the longest pause.
func (k *backoff) failed(now instant) {
	if !k.armed() {
		if recent := k.any && now-k.last < instant(k.delay+lastDelay); recent {
			k.delay = min(2*k.delay, lastDelay)
		} else {
			k.delay = firstDelay
		}
		k.owner.timers.arm(&k.timer, now+instant(k.delay))
	}
	k.last, k.any = now, true
}

// expire ends the pause.
func (k *backoff) expire(b *rpc.Batch, _ *timer) { k.owner.rebalance(b) }

// idleCheck retires workers that have had nothing to do for idle-timeout. Its
// timer is set to the earliest moment one could be due, and looks again then, so
// that serving a request never moves a timer. Guarded by Engine.mu.
type idleCheck struct {
	owner *Engine
	timer timer
}

// checkIdle arms the idle timer if there may be something to retire. Called with
// mu held.
func (e *Engine) checkIdle(now instant) {
	if e.idle.timer.pos == 0 && e.p.IdleTimeout > 0 && e.target == 0 && e.staying > e.p.PoolMin {
		e.timers.arm(&e.idle.timer, now+instant(e.p.IdleTimeout))
	}
}

// expire retires what is due and arms the timer for the rest. Whoever becomes idle
// later arms it too.
func (c *idleCheck) expire(b *rpc.Batch, _ *timer) {
	e := c.owner
	if e.target > 0 || e.mode != serving {
		return
	}
	now, next, retired := e.now(), instant(-1), false
	for _, w := range e.workers {
		if w.state != active || w.load > 0 {
			continue
		}
		switch due := w.idle + instant(e.p.IdleTimeout); {
		case due > now:
			if next < 0 || due < next {
				next = due
			}
		case e.staying > e.p.PoolMin:
			e.log.Debug("retiring idle worker", "worker", w.id)
			e.seal(b, w)
			retired = true
		}
	}
	if retired {
		e.floor = min(e.floor, e.staying)
	}
	if next >= 0 && e.staying > e.p.PoolMin {
		e.timers.arm(&c.timer, next)
	}
}
