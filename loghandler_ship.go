package cocaine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

const (
	// logPatience is how long records wait for a connection before they go to the
	// fallback.
	logPatience = time.Second
	// firstLogRetry and lastLogRetry are the delays between attempts to connect,
	// which double. A connection that lasted for less than lastLogRetry counts as a
	// failed attempt.
	firstLogRetry = 100 * time.Millisecond
	lastLogRetry  = 30 * time.Second
	// logBurst is how many bytes of records go out as one piece.
	logBurst = 64 << 10
	// logQuestion bounds asking for the verbosity.
	logQuestion = 5 * time.Second
)

// A logShipper carries records to the service. Its goroutine, which belongs to the
// client as well, owns the fields below the line; see LogHandler for its states.
type logShipper struct {
	client    *Client
	service   *Service
	opts      LogHandlerOptions
	queue     logQueue
	verbosity atomic.Int64
	fallback  slog.Handler // safe for concurrent use

	ctx     context.Context // ends the goroutine, without a flush
	cancel  context.CancelFunc
	once    sync.Once
	closing chan struct{} // closed by close
	done    chan struct{} // closed when the goroutine has ended
	err     error         // of the flush; set before done is closed

	// ---
	waiting  []logEntry  // taken from the queue and not yet sent
	attempt  *attempt    // under way
	link     *link       // the connection
	since    time.Time   // when link was made
	failures int         // attempts in a row that came to nothing
	away     bool        // records go to the fallback
	patience *time.Timer // runs while records wait for a connection
	retry    *time.Timer // runs until the next attempt
	refresh  *time.Timer // runs until the verbosity is asked for
	asking   sync.WaitGroup
	answers  chan Severity // has room for the one answer that is waited for
	asked    bool          // an answer is waited for
}

func startLogShipper(c *Client, o LogHandlerOptions) *logShipper {
	s := &logShipper{
		client: c, service: c.Service(o.Service), opts: o,
		queue:    logQueue{limit: o.Queue, wake: make(chan struct{}, 1)},
		fallback: slog.NewTextHandler(o.Fallback, &slog.HandlerOptions{Level: slog.Level(-1 << 30)}),
		closing:  make(chan struct{}), done: make(chan struct{}), answers: make(chan Severity, 1),
		patience: idleTimer(), retry: idleTimer(), refresh: idleTimer(),
	}
	s.ctx, s.cancel = context.WithCancel(c.ctx)
	if !c.spawn(s.run) {
		s.end()
	}
	return s
}

func idleTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// take queues a record. Without the goroutine it goes to the fallback.
func (s *logShipper) take(e *logEntry) {
	if !s.queue.push(e) {
		s.fallBack(e)
	}
}

func (s *logShipper) close(ctx context.Context) error {
	s.once.Do(func() { close(s.closing) })
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		s.cancel()
		<-s.done
		return fmt.Errorf("cannot flush log: %w", context.Cause(ctx))
	}
}

// run is the goroutine.
func (s *logShipper) run() {
	defer s.end()
	for {
		select {
		case <-s.queue.wake:
		case <-s.attempted():
			s.settle()
		case <-s.lost():
			s.lose()
		case <-s.patience.C:
			s.goAway(errors.New("it does not answer"))
		case <-s.retry.C:
			s.connect()
		case <-s.refresh.C:
			s.ask()
		case v := <-s.answers:
			s.learn(v)
		case <-s.closing:
			s.flush()
			return
		case <-s.ctx.Done():
			return
		}
		s.deliver()
	}
}

// end gives what is left to the fallback.
func (s *logShipper) end() {
	s.queue.close()
	s.spill()
	s.cancel()
	s.asking.Wait()
	close(s.done)
}

// attempted is ready when the attempt to connect is over.
func (s *logShipper) attempted() <-chan struct{} {
	if s.attempt == nil {
		return nil
	}
	return s.attempt.done
}

// lost is ready when the connection is over.
func (s *logShipper) lost() <-chan struct{} {
	if s.link == nil {
		return nil
	}
	return s.link.session.Done()
}

// connect starts an attempt. It reports false when the client is closed.
func (s *logShipper) connect() bool {
	s.retry.Stop()
	a, err := s.service.conn.join()
	if err != nil {
		return false
	}
	s.attempt = a
	if !s.away {
		s.patience.Reset(logPatience)
	}
	return true
}

// settle takes the result of an attempt.
func (s *logShipper) settle() {
	a := s.attempt
	s.attempt = nil
	err := a.err
	if err == nil && a.link.methods["emit"] == nil {
		err = ErrNoMethod
	}
	if err != nil {
		s.goAway(err)
		s.retryLater()
		return
	}
	s.link, s.since = a.link, time.Now()
	s.patience.Stop()
	if s.away {
		s.away = false
		s.note(slog.LevelInfo, "logging service is back")
	}
	s.ask()
}

// lose takes note of the end of the connection.
func (s *logShipper) lose() {
	s.link = nil
	if time.Since(s.since) >= lastLogRetry {
		s.failures = 0
		s.connect()
		return
	}
	s.patience.Reset(logPatience)
	s.retryLater()
}

// retryLater starts the timer of the next attempt, which is cut by a random part so
// that programs do not come back in step.
func (s *logShipper) retryLater() {
	delay := min(firstLogRetry<<min(s.failures, 16), lastLogRetry)
	s.failures++
	s.retry.Reset(delay/2 + rand.N(delay/2))
}

// goAway has records go to the fallback from now on.
func (s *logShipper) goAway(cause error) {
	s.patience.Stop()
	if s.away {
		return
	}
	s.away = true
	s.note(slog.LevelWarn, "logging service is away: log records go here", slog.String("cause", cause.Error()))
}

// note tells the readers of the fallback what is going on.
func (s *logShipper) note(level slog.Level, message string, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("service", s.opts.Service)}, attrs...)
	s.fallBack(&logEntry{time: time.Now(), level: level, message: message, attrs: attrs})
}

// deliver does with the records what the state says.
func (s *logShipper) deliver() {
	switch {
	case s.link != nil:
		s.send()
	case s.away:
		s.spill()
	case s.attempt == nil && s.failures == 0 && s.client.ctx.Err() == nil && !s.queue.empty():
		s.connect()
	}
}

// send sends everything, unless the connection is lost meanwhile.
func (s *logShipper) send() {
	for {
		if len(s.waiting) == 0 {
			if s.waiting = s.queue.pop(); len(s.waiting) == 0 {
				return
			}
		}
		if s.link.session.AwaitRoom(s.ctx) != nil || !s.sendBurst() {
			return
		}
	}
}

// sendBurst sends the first of the waiting records in one piece. It reports false
// when the session is over.
func (s *logShipper) sendBurst() (ok bool) {
	m := s.link.methods["emit"]
	identity, err := s.service.authorize(s.ctx, nil)
	if err != nil {
		s.note(slog.LevelWarn, "log records carry no token", slog.String("cause", err.Error()))
	}
	var b []byte
	rpc.Run(func(batch *rpc.Batch) {
		for size := 0; len(s.waiting) > 0 && size < logBurst; size += len(b) {
			e := &s.waiting[0]
			b = e.appendEmit(b[:0], s.opts.Source)
			if _, err := s.link.session.Open(batch, rpc.Discard(m.recv), m.id, b, e.headers(identity)); err != nil {
				return
			}
			s.waiting = s.waiting[1:]
		}
		ok = true
	})
	return ok
}

// headers are those of emit. A verbose trace lifts the service's threshold.
func (e *logEntry) headers(identity []Header) []byte {
	if e.trace.ID != 0 && e.trace.Verbose {
		identity = slices.Concat(identity, e.trace.Headers(), []Header{{Name: hpack.TraceBit, Value: "1"}})
	}
	if len(identity) == 0 {
		return nil
	}
	return hpack.AppendLiterals(nil, identity)
}

// spill gives everything to the fallback.
func (s *logShipper) spill() {
	for i := range s.waiting {
		s.fallBack(&s.waiting[i])
	}
	s.waiting = nil
	entries := s.queue.pop()
	for i := range entries {
		s.fallBack(&entries[i])
	}
}

func (s *logShipper) fallBack(e *logEntry) {
	r := slog.NewRecord(e.time, e.level, e.message, 0)
	r.AddAttrs(e.attrs...)
	if e.trace.ID != 0 && !e.traced {
		r.AddAttrs(traceAttr(e.trace))
	}
	_ = s.fallback.Handle(s.ctx, r) // there is nobody left to tell
}

// ask starts to ask for the verbosity, unless that is under way.
func (s *logShipper) ask() {
	if s.asked || s.link == nil {
		return
	}
	s.asked = true
	s.asking.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, logQuestion)
		defer cancel()
		v, err := Logging{s.service}.Verbosity(ctx)
		if err != nil {
			v = -1
		}
		s.answers <- v
	})
}

// learn takes the answer to ask, which is negative if there was none: then what was
// known stays.
func (s *logShipper) learn(v Severity) {
	s.asked = false
	if v >= 0 {
		s.verbosity.Store(int64(v))
	}
	s.refresh.Reset(s.opts.Refresh)
}

// flush sends what is left. A connection that is being made is waited for.
func (s *logShipper) flush() {
	s.queue.close()
	for s.link == nil && !s.away && (len(s.waiting) > 0 || !s.queue.empty()) {
		if s.attempt == nil && !s.connect() {
			return
		}
		select {
		case <-s.attempted():
			s.settle()
		case <-s.patience.C:
			s.goAway(errors.New("it does not answer"))
		case <-s.ctx.Done():
			return
		}
	}
	s.deliver()
	if s.link != nil {
		s.err = s.confirm()
	}
}

// confirm waits until the service has read what was sent: it reads in order, so an
// answer to what comes last says so.
func (s *logShipper) confirm() error {
	if len(s.waiting) > 0 {
		return fmt.Errorf("cannot flush log: %w", ErrDisconnected)
	}
	s.link.session.Drain(s.ctx)
	if s.link.methods["verbosity"] == nil {
		return nil
	}
	if _, err := (Logging{s.service}).Verbosity(s.ctx); err != nil {
		return fmt.Errorf("cannot flush log: %w", err)
	}
	if !s.link.alive() { // it was another connection that answered
		return fmt.Errorf("cannot flush log: %w", ErrDisconnected)
	}
	return nil
}
