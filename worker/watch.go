package worker

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"
)

const (
	// maxReports is how many stuck handlers one look reports.
	maxReports = 10
	// maxStacks bounds the text in which the stacks of stuck handlers are searched.
	maxStacks = 8 << 20
	// maxStack bounds the one that is logged.
	maxStack = 16 << 10
)

// reportStuck logs, once each, the handlers that have been running for so long
// since their contexts ended.
func (r *run) reportStuck(grace time.Duration) {
	now := time.Now()
	var stacks []byte
	reports := 0
	for _, q := range r.crew.requests() {
		over, cause, stuck := q.stuck(now, grace)
		if !stuck {
			continue
		}
		if stacks == nil { // it stops the world
			stacks = allStacks()
		}
		r.log.LogAttrs(q, slog.LevelWarn, "handler is stuck: it ignores the end of its context", append(q.attrs(),
			slog.Duration("running", now.Sub(q.began)), slog.Duration("over", over), slog.Any("cause", cause),
			slog.String("stack", stackOf(stacks, q)))...)
		if reports++; reports == maxReports {
			return
		}
	}
}

// stuck says how long the handler has ignored the end of its context, and why that
// came. It reports true once.
func (r *request) stuck(now time.Time, grace time.Duration) (over time.Duration, cause error, stuck bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.running || r.life != nil && r.life.reported {
		return 0, nil, false
	}
	l := r.life
	switch {
	case l != nil && !l.deadline.IsZero() && now.After(l.deadline):
		over, cause = now.Sub(l.deadline), context.DeadlineExceeded
		if l.limited {
			cause = ErrTimeout
		}
	case r.cause != nil || r.run.base.Err() != nil:
		l = r.lived()
		if l.seenOver.IsZero() {
			l.seenOver = now
		}
		over, cause = now.Sub(l.seenOver), r.cause
		if cause == nil {
			cause = context.Cause(r.run.base)
		}
	default:
		return 0, nil, false
	}
	l.reported = over >= grace
	return over, cause, l.reported
}

// allStacks is what every goroutine does.
func allStacks() []byte {
	for size := 64 << 10; ; size *= 2 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size || size >= maxStacks {
			return b[:n]
		}
	}
}

// stackOf finds the goroutine that serves a request: serve is called with the
// request's address, which a stack shows, followed by a question mark when the
// compiler does not vouch for it.
func stackOf(stacks []byte, r *request) string {
	exact, likely := fmt.Appendf(nil, ").serve(%p)", r), fmt.Appendf(nil, ").serve(%p?)", r)
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(stack, exact) || bytes.Contains(stack, likely) {
			return string(stack[:min(len(stack), maxStack)])
		}
	}
	return "not found"
}
