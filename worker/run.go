package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/relay"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

const (
	// dialTimeout bounds connecting to the runtime, which listens before it starts
	// a worker.
	dialTimeout = 10 * time.Second
	// lastWords is how long handlers whose contexts have ended, and then the
	// runtime after the last frame, are waited for.
	lastWords = time.Second
	// flushPoll is how often the last bytes to be sent are looked at.
	flushPoll = 5 * time.Millisecond
	// controlChannel is the one that the worker opens with its handshake.
	controlChannel = 1
)

// Run connects to the runtime and serves requests until the worker is told to
// stop: by the runtime, by a signal, or by the end of ctx. Then it lets
// the requests under way finish and returns nil. It returns an error when the
// runtime is lost or does not answer.
//
// Without a runtime the worker serves its events by itself, see Options.Listen. If
// that was not wanted, the error is ErrNoEndpoint.
func (w *Worker) Run(ctx context.Context) error {
	switch {
	case w.mux.events == nil:
		return fmt.Errorf("cannot run worker: %w: %w", cocaine.ErrBadArgument, errNotMade)
	case ctx == nil:
		return fmt.Errorf("cannot run worker: %w: the context is nil", cocaine.ErrBadArgument)
	case w.opts.Endpoint == "" && w.alone == nil:
		return ErrNoEndpoint
	}
	if err := w.start(); err != nil {
		return err
	}
	defer w.closeClient()
	if len(w.opts.Signals) > 0 {
		var ignore context.CancelFunc
		ctx, ignore = signal.NotifyContext(ctx, w.opts.Signals...)
		defer ignore()
		context.AfterFunc(ctx, ignore) // the second signal ends the process
	}
	if w.alone != nil {
		if err := w.alone.open(ctx); err != nil {
			return err
		}
		defer w.alone.close()
	}
	if err := w.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it was told to stop
		}
		return err
	}
	conn, err := w.dial(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("cannot connect to runtime: %w", err), w.tidy(ctx, w.opts.Drain))
	}
	r := newRun(ctx, w, conn)
	defer r.close()
	return r.supervise(ctx)
}

func (w *Worker) dial(ctx context.Context) (net.Conn, error) {
	if w.alone != nil {
		return w.alone.connect(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dial := w.opts.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return dial(ctx, w.opts.network(), w.opts.Endpoint)
}

// A run is one connection to the runtime, from the handshake to the end. Its
// supervise method owns its life; the session's reader calls Accept and the
// receivers; the crew runs handlers.
type run struct {
	*Worker
	session *rpc.Session
	gate    *gate         // knows the requests
	crew    crew          // serves them
	intake  intake        // of the crew
	slots   chan struct{} // one token for each running handler; nil: any number

	base context.Context         // what the contexts of handlers are made of
	stop context.CancelCauseFunc // ends them all

	answered   chan struct{}    // has a token when the runtime answered a heartbeat
	terminated chan termination // what the runtime says when the worker is to stop
	ended      chan struct{}    // closed when the session's goroutines have ended
}

// A termination is the terminate message: why, as a code and as a text.
type termination struct {
	code   int64
	reason string
}

// bySelf is what the worker says when it was not the runtime that stopped it.
var bySelf = termination{code: 1, reason: "worker was told to stop"}

// newRun sends the handshake and the first heartbeat and starts the session.
func newRun(ctx context.Context, w *Worker, conn net.Conn) *run {
	r := &run{
		Worker:     w,
		gate:       newGate(),
		answered:   make(chan struct{}, 1),
		terminated: make(chan termination, 1),
		ended:      make(chan struct{}),
	}
	if n := w.opts.Concurrency; n > 0 {
		r.slots = make(chan struct{}, n)
	}
	r.base, r.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	r.session = rpc.NewSession(conn, rpc.SessionOptions{
		Acceptor: r,
		Limits:   wire.Limits{MaxFrame: w.opts.MaxFrame},
		Between:  r.intake.brief.serve,
		Log:      w.log,
	})
	r.crew.flush = r.session.Flush
	r.intake.crew = &r.crew
	r.intake.brief.succeed, r.intake.brief.crew = r.session.Relieve, &r.crew
	hello := msgpack.AppendString(msgpack.AppendArray(nil, 1), w.opts.UUID)
	rpc.Run(func(b *rpc.Batch) {
		// A connection that is lost already ends the session, and so the run.
		_, _ = r.session.Open(b, control{r}, idl.WorkerHandshake, hello, relay.RevokeHeaders())
		_ = r.session.Send(b, controlChannel, idl.WorkerHeartbeat, nil, nil)
	})
	go func() {
		defer close(r.ended)
		_ = r.session.Run(context.Background()) // supervise asks the session why it ended
	}()
	return r
}

// close ends the session and waits for it.
func (r *run) close() {
	r.stop(ErrStopping)
	r.session.Close()
	<-r.ended
	r.intake.brief.close()
	r.crew.close()
}

// supervise keeps the heart beating and watches for the end.
//
//	running ── terminate, ctx ──▶ draining ── all done, time up ──▶ farewell
//	   └────────────┴── disowned, lost ──▶ error (nil when draining: the end was near)
func (r *run) supervise(ctx context.Context) error {
	beat := time.NewTicker(r.opts.Heartbeat)
	defer beat.Stop()
	disown := time.NewTimer(r.opts.Disown)
	defer disown.Stop()
	watch := time.NewTicker(max(r.opts.Stuck/4, time.Millisecond))
	defer watch.Stop()
	why, draining := bySelf, false
	told := ctx.Done()
	var timeUp <-chan time.Time
	var since time.Time // of draining
	tidy := func() error {
		if !draining {
			return r.tidy(ctx, r.opts.Drain)
		}
		return r.tidy(ctx, r.opts.Drain-time.Since(since))
	}
	drain := func() {
		if draining {
			return
		}
		draining, since, told, timeUp = true, time.Now(), nil, time.After(r.opts.Drain)
		r.log.Info("stopping worker", "reason", why.reason, "requests", r.gate.inside())
		r.gate.close()
	}
	for {
		select {
		case <-beat.C:
			_ = r.session.Send(nil, controlChannel, idl.WorkerHeartbeat, nil, nil) // a lost session shows below
		case <-watch.C:
			r.reportStuck(r.opts.Stuck)
		case <-r.answered:
			disown.Reset(r.opts.Disown)
		case <-disown.C:
			r.abandon(ErrDisowned)
			return errors.Join(ErrDisowned, tidy())
		case <-told:
			drain()
		case why = <-r.terminated:
			drain()
		case <-r.session.Done():
			r.abandon(cocaine.ErrDisconnected)
			if draining {
				return tidy()
			}
			return errors.Join(r.lost(), tidy())
		case <-timeUp:
			r.log.Warn("requests have used up the time to stop", "requests", r.gate.inside())
			r.abandon(ErrStopping)
			return r.farewell(why, tidy())
		case <-r.drained(draining):
			return r.farewell(why, tidy())
		}
	}
}

// drained is ready when the last request is done.
func (r *run) drained(draining bool) <-chan struct{} {
	if !draining {
		return nil
	}
	return r.gate.empty
}

// abandon ends the contexts of the handlers and gives them a moment to return.
func (r *run) abandon(cause error) {
	r.gate.close()
	r.stop(cause)
	select {
	case <-r.gate.empty:
	case <-time.After(lastWords):
		r.log.Warn("handlers ignore the end of their contexts", "requests", r.gate.inside())
		r.reportStuck(0)
	}
}

// farewell answers the terminate message, or sends one, and lets the runtime close
// the connection: closing it first would drop what it has not read. It returns err.
func (r *run) farewell(why termination, err error) error {
	args := msgpack.AppendInt(msgpack.AppendArray(nil, 2), why.code)
	args = msgpack.AppendString(args, why.reason)
	_ = r.session.Send(nil, controlChannel, idl.WorkerTerminate, args, nil) // a lost session needs none
	r.flush()
	select {
	case <-r.session.Done():
	case <-time.After(lastWords):
	}
	return err
}

// flush waits until the kernel has taken the last answers: closing the connection
// drops what it has not.
func (r *run) flush() {
	limit := time.After(r.opts.Drain)
	for r.session.Buffered() > 0 {
		select {
		case <-time.After(flushPoll):
		case <-limit:
			r.log.Warn("runtime does not take the last answers", "bytes", r.session.Buffered())
			return
		case <-r.session.Done():
			return
		}
	}
}

// lost says why the connection ended that nobody wanted to end.
func (r *run) lost() error {
	err := r.session.Err()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot serve requests: %w: the runtime closed it", cocaine.ErrDisconnected)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // rpc.ErrDisconnected and the cause
		err = joined.Unwrap()[len(joined.Unwrap())-1]
	}
	return fmt.Errorf("cannot serve requests: %w: %w", cocaine.ErrDisconnected, err)
}

// control receives what the runtime says on the control channel.
type control struct{ r *run }

var _ rpc.Receiver = control{}

// Receive takes an answer to a heartbeat or the request to stop. It implements
// rpc.Receiver.
func (c control) Receive(_ *rpc.Batch, f *rpc.Frame) (done bool) {
	switch f.Type {
	case idl.WorkerHeartbeat:
		select {
		case c.r.answered <- struct{}{}:
		default:
		}
	case idl.WorkerTerminate:
		args := msgpack.NewReader(f.Args)
		args.Array()
		t := termination{code: args.Int(), reason: args.String()}
		if err := args.Err(); err != nil {
			c.r.log.Warn("cannot read terminate message", "cause", err) // it means the same without
			t = termination{code: bySelf.code, reason: "runtime asked to stop"}
		}
		select {
		case c.r.terminated <- t:
		default: // said before
		}
	}
	return false
}

// Lost implements rpc.Receiver. The session's Done says the same.
func (control) Lost(*rpc.Batch, error) {}
