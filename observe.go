package cocaine

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// An Observer hears of every call of a client, once, when it is over: for metrics,
// traces and logs. LogCalls makes one that logs; docs/OBSERVABILITY.md shows how to
// feed expvar, Prometheus and OpenTelemetry.
//
// It is given the context of the call, which may have ended. It runs on the goroutine
// that ended the call, many at once, and the caller waits for it: it should be quick.
// The CallInfo is its own to keep.
type Observer func(ctx context.Context, call *CallInfo)

// CallInfo is what there is to know of a call that is over.
//
// A call by Get, Exec, Invoke, Chunks or InvokeStream is over when that function is,
// all its attempts included; what the caller's loop took is in it. A Stream is
// over when its last message, or its error, has been received, or when the caller or
// the end of the context gives it up, whichever is first. One that is neither read to
// its end nor closed is not.
//
// What the client asks on its own is observed as well: a name is found by a call of
// resolve of the service "locator". Records of a LogHandler are not calls.
type CallInfo struct {
	Service string // its name
	Method  string // its name; "enqueue" for an app's event
	Event   string // of the app, "" for other methods

	Endpoint string        // that was called last, "" if there was no connection
	Start    time.Time     // when the caller called
	Duration time.Duration // until it was over

	// Attempts is how often the call was tried: 1 unless a RetryPolicy, or the loss of
	// a connection before anything was sent, had it repeated; 0 for a call that was
	// refused at once, because of its arguments for one.
	Attempts int
	// Sent and Received are bytes of arguments and chunks, without the frames around
	// them. What is received and not taken from the Stream does not count.
	Sent, Received int64
	// Trace is the span of the call, below that of its context. It is the zero Trace
	// if that carries none, and when nothing was sent.
	Trace Trace
	// Err is what the caller got, a *CallError; nil for an answer that came to its
	// end, or to that of the caller's interest: a loop that was left. If a function of
	// the caller's panicked, the body of a loop over the answer for one, it is that
	// *PanicError, and the outcome OutcomeCanceled.
	Err error
}

// Outcome says in a word how the call went.
func (c *CallInfo) Outcome() Outcome { return OutcomeOf(c.Err) }

// An observation is what becomes a CallInfo. Without an Observer there is none.
type observation struct {
	ctx            context.Context
	info           CallInfo // Sent and Received are not used
	sent, received atomic.Int64
}

// observe starts to observe a call, if anybody wants to hear of it.
func (s *Service) observe(ctx context.Context, method string, args, chunk []byte) *observation {
	if s.conn.client.opts.Observer == nil {
		return nil
	}
	w := &observation{ctx: ctx, info: CallInfo{Service: s.conn.name, Method: method, Start: time.Now()}}
	w.sent.Store(int64(len(args) + len(chunk)))
	if method == enqueueMethod {
		r := msgpack.NewReader(args)
		r.Array()
		w.info.Event = r.String() // "" of arguments that are not what enqueue takes
	}
	return w
}

// carries notes the headers of an attempt. A nil observation takes no notice.
func (w *observation) carries(l *link, hs []Header) {
	if w == nil {
		return
	}
	w.info.Endpoint = l.endpoint
	w.info.Trace, _ = rpc.ParseTrace(hs) // these are of this side's own making
}

// do makes a call and has f receive the answer, again as often as the policy says
// and the way it failed allows.
func (s *Service) do(ctx context.Context, o *opening, f func(*Stream) error) (err error) {
	if err := s.check(ctx, o.name); err != nil {
		return s.refused(ctx, o, err)
	}
	tries := s.attempts()
	tries.seen = s.observe(ctx, o.method, o.args, o.chunk)
	err = errLeft
	defer s.conclude(&tries, o.name, &err)
	return s.repeat(ctx, &tries, o, f)
}

// open starts a call whose stream goes on afterwards.
func (s *Service) open(ctx context.Context, o opening) (st *Stream, err error) {
	if err := s.check(ctx, o.name); err != nil {
		return nil, s.refused(ctx, &o, err)
	}
	tries := s.attempts()
	tries.seen = s.observe(ctx, o.method, o.args, o.chunk)
	err = errLeft
	defer s.conclude(&tries, o.name, &err)
	if err := s.begin(ctx, &tries, o.method, o.name, &o); err != nil {
		return nil, err
	}
	st, tries.handed = o.stream, true
	if tries.seen != nil {
		tries.seen.info.Attempts = tries.total()
	}
	st.counts = s.conn
	return st, nil
}

// refused notes a call that was not tried, and returns why.
func (s *Service) refused(ctx context.Context, o *opening, err error) error {
	if !s.made() || ctx == nil {
		return err
	}
	seen := s.observe(ctx, o.method, o.args, o.chunk)
	s.conn.over(seen, s.callError(seen, err))
	return err
}

// refusedEvent is refused for an event of an app, with the error of the call.
func (s *Service) refusedEvent(ctx context.Context, event string, err error) error {
	if _, ok := err.(*CallError); !ok {
		err = s.failed(event, err)
	}
	args := msgpack.AppendString(msgpack.AppendArray(nil, 1), event)
	return s.refused(ctx, &opening{method: enqueueMethod, args: args}, err)
}

// callError gives the error of a call as its caller gets it. What is not observed may
// stay as it is.
func (s *Service) callError(seen *observation, err error) error {
	if _, ok := err.(*CallError); err == nil || ok || seen == nil {
		return err
	}
	return s.failed(seen.info.Method, err)
}

// errLeft is the end of a call whose caller ended its goroutine meanwhile.
var errLeft = error(&kindError{errors.New("caller ended its goroutine"), context.Canceled})

// conclude is deferred by whoever makes a call, and notes its end: with the error that
// is about to be returned, or with the panic of a function of the caller's that the
// call ran, the body of a loop over the answer for one. The panic goes on. An end that
// another is to tell of is none of its business.
func (s *Service) conclude(tries *attempts, name string, err *error) {
	v := recover()
	switch {
	case v != nil:
		s.over(tries, s.failed(name, &PanicError{Value: v, Stack: debug.Stack()}))
		panic(v)
	case tries.handed:
	case *err == errLeft:
		s.over(tries, s.failed(name, errLeft))
	default:
		s.over(tries, *err)
	}
}

// over notes the end of a call and of all its attempts.
func (s *Service) over(tries *attempts, err error) {
	if tries.seen != nil {
		tries.seen.info.Attempts = tries.total()
	}
	s.conn.over(tries.seen, s.callError(tries.seen, err))
}

// over counts a call that has ended and tells the Observer.
func (c *connector) over(w *observation, err error) {
	if err == nil {
		c.ended[OutcomeOK].Add(1)
	} else {
		c.ended[OutcomeOf(err)].Add(1)
	}
	if w == nil {
		return
	}
	info := w.info
	info.Duration = time.Since(info.Start)
	if info.Attempts > 0 {
		info.Sent, info.Received = w.sent.Load(), w.received.Load()
	}
	info.Err = err
	c.client.opts.Observer(w.ctx, &info)
}

// over notes that the stream is over, if it stands for a call of its own, and
// returns why. The first time counts.
func (s *Stream) over(err error) error {
	if s.counts == nil || s.counted.Swap(true) {
		return err
	}
	s.counts.over(s.seen, err)
	return err
}

// givenUp notes that the stream was given up.
func (s *Stream) givenUp(cause error) {
	switch {
	case s.counts == nil || s.counted.Load():
	case s.method.mute():
		_ = s.over(nil)
	default:
		_ = s.over(s.failed(cause))
	}
}

// received counts what the caller took.
func (s *Stream) received(args []byte) {
	if s.seen != nil {
		s.seen.received.Add(int64(len(args)))
	}
}

// sent counts what the caller sent.
func (s *Stream) sent(args []byte) {
	if s.seen != nil {
		s.seen.sent.Add(int64(len(args)))
	}
}
