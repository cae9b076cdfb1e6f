// Package chrono is the service `chrono`: timers that clients wait for
// (docs/PROTOCOL.md, chrono).
//
// A timer is a channel. It carries the timer's number each time the timer is due, and
// before that once if its client wants to know the number from the start. A timer that
// is due once closes its channel then; one that is due again and again goes on until
// it is canceled, by whoever knows its number, or until its client goes away.
//
// A client that does not read misses what is due meanwhile; nothing piles up.
//
// Each timer is served by the goroutine of its channel; a Chrono has none of its own
// and is safe for concurrent use.
package chrono

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

const (
	// Shortest is the shortest period of a timer that is due again and again.
	Shortest = time.Millisecond
	// Longest is the longest time that a timer may take.
	Longest = 10 * 365 * 24 * time.Hour
)

// The causes of refusals. Match them with errors.Is.
var (
	// ErrDuration refuses a time that is negative, too long, or no number.
	ErrDuration = errors.New("bad time")
	// ErrTooMany refuses a timer over Options.MaxTimers.
	ErrTooMany = errors.New("too many timers")
	// ErrClosed ends the timers of a Chrono that is closed.
	ErrClosed = errors.New("chrono is closed")
)

// Options configure a Chrono.
type Options struct {
	// MaxTimers is how many timers one connection may have. If zero, 1000.
	MaxTimers int
	// Log is told of numbers that no timer has, at the level of debugging. If nil,
	// nothing is logged.
	Log *slog.Logger
}

// Chrono keeps timers.
type Chrono struct {
	o      Options
	closed chan struct{}

	mu     sync.Mutex
	timers map[int64]*timer // by number
	owners map[string]int   // how many timers a connection has, by its address
}

// timer is one that is running.
type timer struct {
	id     int64
	owner  string
	period time.Duration
	ticker *time.Ticker
	stream *rpc.Stream
	ended  chan struct{} // closed when it is canceled
}

// New makes a Chrono without timers.
func New(o Options) *Chrono {
	if o.MaxTimers <= 0 {
		o.MaxTimers = 1000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Chrono{o: o, closed: make(chan struct{}), timers: make(map[int64]*timer), owners: make(map[string]int)}
}

// Close ends all timers with an error; no more are accepted. It may be called more
// than once.
func (c *Chrono) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}

// Timers is how many timers are running.
func (c *Chrono) Timers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// add starts a timer under a number of its own.
func (c *Chrono) add(owner string, period time.Duration, st *rpc.Stream) (*timer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.owners[owner]; n >= c.o.MaxTimers {
		return nil, fmt.Errorf("%w: the connection has %d already", ErrTooMany, n)
	}
	t := &timer{owner: owner, period: period, stream: st, ended: make(chan struct{})}
	// As in the original: a number that is not easily guessed, because whoever knows it
	// can cancel the timer.
	for t.id == 0 || c.timers[t.id] != nil {
		t.id = int64(rand.Int32())
	}
	t.ticker = time.NewTicker(max(period, 1)) // a ticker takes no zero
	c.timers[t.id] = t
	c.owners[owner]++
	return t, nil
}

// remove forgets a timer and reports whether it was there.
func (c *Chrono) remove(t *timer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timers[t.id] != t {
		return false
	}
	delete(c.timers, t.id)
	if c.owners[t.owner]--; c.owners[t.owner] == 0 {
		delete(c.owners, t.owner)
	}
	t.ticker.Stop()
	return true
}

func (c *Chrono) find(id int64) *timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timers[id]
}

// cancel ends a timer: its channel is closed when cancel returns.
func (c *Chrono) cancel(ctx context.Context, id int64) {
	t := c.find(id)
	if t == nil || !c.remove(t) {
		c.o.Log.Debug("cannot cancel timer: there is none", "id", id)
		return
	}
	_ = t.stream.Send(ctx, idl.Close, nil) // its client may have gone
	close(t.ended)
}

// restart lets a timer begin anew.
func (c *Chrono) restart(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.timers[id]
	if t == nil {
		c.o.Log.Debug("cannot restart timer: there is none", "id", id)
		return
	}
	t.ticker.Reset(max(t.period, 1))
}

// run serves a timer until it has ended.
func (c *Chrono) run(ctx context.Context, t *timer, again, sendID bool) error {
	defer c.remove(t)
	number := msgpack.AppendInt(msgpack.AppendArray(nil, 1), t.id)
	if sendID {
		if err := t.stream.Send(ctx, idl.Write, number); err != nil {
			return err
		}
	}
	for {
		select {
		case <-t.ticker.C:
			if !again && !c.remove(t) {
				<-t.ended // canceled in this moment
				return nil
			}
			if err := t.stream.Send(ctx, idl.Write, number); err != nil || !again {
				return err
			}
		case <-t.ended:
			return nil
		case <-c.closed:
			return rpc.Errorf(idl.CategoryGeneric, idl.GenericCanceled, "timer %d: %v", t.id, ErrClosed)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
