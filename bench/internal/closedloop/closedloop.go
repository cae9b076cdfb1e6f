// Package closedloop keeps a fixed number of requests in flight and measures
// each: whenever one is answered the next is sent. All targets are measured by
// its rules, whatever client library sends the requests.
//
// A closed loop cannot offer more than the target takes, so latency and
// throughput of one run hang together: requests/s = in flight / mean latency.
package closedloop

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/hist"
)

// DrainFor is how long the last requests may take after the end of a run.
const DrainFor = 10 * time.Second

// Options of a run.
type Options struct {
	Connections      int
	InFlight         int // over all connections; with fewer than Connections they take turns
	WarmUp, Duration time.Duration
}

// Result of a run.
type Result struct {
	Requests uint64        // answered within Duration
	Total    uint64        // answered at all, warm-up included
	Elapsed  time.Duration // what Requests is to be divided by
	Latency  hist.H        // of the requests answered within Duration
}

// Rate is requests per second.
func (r *Result) Rate() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// A Recorder says when a run is over and collects what it measured. Requests
// answered before the end of the warm-up or after the end are not counted.
type Recorder struct {
	base        time.Time
	from, until time.Duration
	result      Result
}

// NewRecorder starts the clock.
func NewRecorder(o Options) *Recorder {
	return &Recorder{
		base:   time.Now(),
		from:   o.WarmUp,
		until:  o.WarmUp + o.Duration,
		result: Result{Elapsed: o.Duration},
	}
}

// Now is the time since the start.
func (r *Recorder) Now() time.Duration { return time.Since(r.base) }

// Over reports whether no request is to be sent any more at the time now.
func (r *Recorder) Over(now time.Duration) bool { return now >= r.until }

// Left is how long answers may still be waited for.
func (r *Recorder) Left() time.Duration { return r.until + DrainFor - r.Now() }

// Record counts a request sent at start and answered now. One goroutine at a time.
func (r *Recorder) Record(start, now time.Duration) {
	r.result.Total++
	if now >= r.from && now < r.until {
		r.result.Requests++
		r.result.Latency.Record(now - start)
	}
}

// Result is what was recorded.
func (r *Recorder) Result() *Result { return &r.result }

// shards keep callbacks of several connections from waiting for one another.
const shards = 8

// A Loop drives a client library with callbacks.
type Loop struct {
	o       Options
	send    func(conn, slot int) error
	clock   *Recorder
	starts  []atomic.Int64
	shards  [shards]shard
	turn    atomic.Uint64
	open    atomic.Int64
	done    chan struct{}
	failure chan error
}

type shard struct {
	mu sync.Mutex
	r  *Recorder
	_  [40]byte // its own cache line
}

// New makes a loop. Send must start the request of a slot on a connection and
// not wait for its answer; whoever gets the answer calls Done.
func New(o Options, send func(conn, slot int) error) *Loop {
	return &Loop{
		o: o, send: send,
		starts:  make([]atomic.Int64, o.InFlight),
		done:    make(chan struct{}),
		failure: make(chan error, 1),
	}
}

// Run sends the first requests and waits until the last are answered.
func (l *Loop) Run() (*Result, error) {
	l.clock = NewRecorder(l.o)
	for i := range l.shards {
		r := *l.clock
		l.shards[i].r = &r
	}
	l.open.Store(int64(l.o.InFlight))
	for slot := range l.o.InFlight {
		l.starts[slot].Store(int64(l.clock.Now()))
		if err := l.send(slot%l.o.Connections, slot); err != nil {
			return nil, fmt.Errorf("cannot send a request: %w", err)
		}
	}
	timeout := time.NewTimer(l.clock.Left())
	defer timeout.Stop()
	select {
	case <-l.done:
		return l.collect(), nil
	case err := <-l.failure:
		return nil, err
	case <-timeout.C:
		return nil, fmt.Errorf("%d requests got no answer", l.open.Load())
	}
}

// Done takes the answer of a slot and sends its next request.
func (l *Loop) Done(slot int) {
	if slot < 0 || slot >= len(l.starts) {
		l.Fail(fmt.Errorf("an answer for request %d, which was not sent", slot))
		return
	}
	now := l.clock.Now()
	s := &l.shards[slot%shards]
	s.mu.Lock()
	s.r.Record(time.Duration(l.starts[slot].Load()), now)
	s.mu.Unlock()
	if l.clock.Over(now) {
		if l.open.Add(-1) == 0 {
			close(l.done)
		}
		return
	}
	l.starts[slot].Store(int64(now))
	if err := l.send(l.connection(slot), slot); err != nil {
		l.Fail(fmt.Errorf("cannot send a request: %w", err))
	}
}

// Fail ends the run with an error; only the first counts.
func (l *Loop) Fail(err error) {
	select {
	case l.failure <- err:
	default:
	}
}

func (l *Loop) connection(slot int) int {
	if l.o.InFlight >= l.o.Connections {
		return slot % l.o.Connections
	}
	return int(l.turn.Add(1) % uint64(l.o.Connections))
}

func (l *Loop) collect() *Result {
	total := l.clock.Result()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		total.add(s.r.Result())
		s.mu.Unlock()
	}
	return total
}

func (r *Result) add(o *Result) {
	r.Requests += o.Requests
	r.Total += o.Total
	r.Latency.Add(&o.Latency)
}

// RunBlocking drives a client library whose calls wait for the answer: one
// goroutine for each request in flight.
func RunBlocking(o Options, call func(conn int) error) (*Result, error) {
	clock := NewRecorder(o)
	recorders := make([]*Recorder, o.InFlight)
	errs := make([]error, o.InFlight)
	var turn atomic.Uint64
	var wg sync.WaitGroup
	for i := range o.InFlight {
		r := *clock
		recorders[i] = &r
		wg.Go(func() {
			conn := i % o.Connections
			start := r.Now()
			for !r.Over(start) {
				if o.InFlight < o.Connections {
					conn = int(turn.Add(1) % uint64(o.Connections))
				}
				if errs[i] = call(conn); errs[i] != nil {
					return
				}
				now := r.Now()
				r.Record(start, now)
				start = now
			}
		})
	}
	wg.Wait()
	return sum(clock, recorders, errs)
}

// RunPipelined keeps requests in flight with one goroutine for each connection, which
// work occupies: it asks next before each request, has n of them in flight at a time,
// and tells done of each answer, in the order of the requests.
func RunPipelined(o Options, work func(conn, n int, next func() bool, done func()) error) (*Result, error) {
	clock := NewRecorder(o)
	recorders := make([]*Recorder, o.Connections)
	errs := make([]error, o.Connections)
	var wg sync.WaitGroup
	for i := range o.Connections {
		n := o.InFlight / o.Connections
		if i < o.InFlight%o.Connections {
			n++
		}
		r := *clock
		recorders[i] = &r
		if n == 0 {
			continue
		}
		wg.Go(func() {
			starts := make([]time.Duration, n+1) // next is asked before there is room
			var asked, answered int
			next := func() bool {
				now := r.Now()
				starts[asked%len(starts)] = now
				asked++
				return !r.Over(now)
			}
			errs[i] = work(i, n, next, func() {
				r.Record(starts[answered%len(starts)], r.Now())
				answered++
			})
		})
	}
	wg.Wait()
	return sum(clock, recorders, errs)
}

// sum is what several goroutines have recorded, or what they failed with.
func sum(clock *Recorder, recorders []*Recorder, errs []error) (*Result, error) {
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	total := clock.Result()
	for _, r := range recorders {
		total.add(r.Result())
	}
	return total, nil
}
