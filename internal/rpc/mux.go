package rpc

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/timing"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A Call is one invocation of a service's method. It is valid until the method
// returns.
type Call struct {
	Method  *idl.Message
	Args    []byte // the arguments, a msgpack array
	NArgs   int    // how many there are
	Headers []hpack.Header
	Trace   Trace
	Peer    net.Addr
	Arrived time.Time // when the call was read, or a little later; before the method began

	echo []byte
}

// Reader reads the arguments, the first one first.
func (c *Call) Reader() msgpack.Reader {
	r := msgpack.NewReader(c.Args)
	r.Array()
	return r
}

// Functions that serve a method. The result is the args array of the answer, nil
// for an empty one. An error is sent as an error message, coded by AsError.
type (
	// UnaryFunc serves a method that answers once.
	UnaryFunc func(ctx context.Context, c *Call) (result []byte, err error)
	// MuteFunc serves a method that has no answer. Its error is logged.
	MuteFunc func(ctx context.Context, c *Call) error
	// StreamFunc serves a method whose channel lives on. ctx ends when the client
	// goes away or revokes the channel. If it returns nil without having closed
	// its half, the stream is closed for it (close, or value []); an error is sent.
	StreamFunc func(ctx context.Context, c *Call, s *Stream) error
)

// Timed is an Acceptor that knows how long its channels live, as whoever binds it to a
// raw method cannot.
type Timed interface {
	// Timer is told of each channel when it ends.
	Timer() *timing.Timer
}

// MuxOptions configure a Mux.
type MuxOptions struct {
	// Authenticate, if not nil, is asked on the reader goroutine before each method,
	// with the headers of the call. Its error is the answer. It must not block. Raw
	// methods do not get the header "authorization" then.
	Authenticate func(headers []hpack.Header) error
	// Authorize, if not nil, is asked after that, where the method would run: in a
	// goroutine of its own if the method has one, else on the reader, where it must
	// not block. Its error is the answer.
	Authorize func(ctx context.Context, c *Call) error
	// Log receives panics and failures of mute methods. If nil, nothing is logged.
	Log *slog.Logger
	// Calls bounds the methods that answer once and run at once for all sessions
	// together. Beyond that each session has one call that waits, its reader waits
	// with it, and they get their turn in the order they came: a session that asks
	// much holds up itself. If zero, only SessionOptions.Calls is a bound.
	Calls int
	// Turns, if not nil, are taken by the readers of all sessions while they serve
	// methods that are not raw. All Muxes of a runtime share them.
	Turns *Turns
}

type methodKind int

const (
	unbound methodKind = iota
	inline
	unary
	mute
	stream
	raw
)

type method struct {
	kind   methodKind
	msg    *idl.Message
	unary  UnaryFunc
	mute   MuteFunc
	stream StreamFunc
	raw    Acceptor
	whole  CallAcceptor // raw, if it is one
	change bool         // goes on without its client

	timer *timing.Timer // of its channels, from the first frame to the end; nil of a raw method that is not Timed
}

// ended notes the end of a call: before its last message, so that a client that asks
// finds the calls that have been answered.
func (e *method) ended(c *Call) {
	if e.timer != nil {
		e.timer.Add(time.Since(c.Arrived))
	}
}

// spawned reports whether the method runs in a goroutine of its own.
func (e *method) spawned() bool { return e.kind == unary || e.kind == stream }

// A Mux is the Acceptor of a service: it finds the method of a channel's first
// frame, checks it against the protocol and runs the function bound to it. Bind
// all methods before the Mux is used; afterwards it is read only.
type Mux struct {
	proto   *idl.Protocol
	opts    MuxOptions
	log     *slog.Logger
	methods map[uint64]*method
	low     [lowMethods]*method // those of methods with small numbers, which are nearly all
	turns   *semaphore.Weighted // nil unless MuxOptions.Calls
	open    bool                // nobody is asked before a method runs
	answers []AnswerAcceptor    // of raw methods, those that are one

	complained atomic.Int64 // when complain logged last, in seconds
	silent     atomic.Int64 // how often it has not since
}

const lowMethods = 32

// NewMux makes a Mux for a protocol, with nothing bound but the control messages
// ping and revoke.
func NewMux(p *idl.Protocol, o MuxOptions) *Mux {
	m := &Mux{proto: p, opts: o, log: o.Log, methods: make(map[uint64]*method),
		open: o.Authenticate == nil && o.Authorize == nil}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if o.Calls > 0 {
		m.turns = semaphore.NewWeighted(int64(o.Calls))
	}
	for i := range p.Messages {
		e := &method{msg: &p.Messages[i], timer: new(timing.Timer)}
		m.methods[e.msg.ID] = e
		if e.msg.ID < lowMethods {
			m.low[e.msg.ID] = e
		}
	}
	return m
}

// Protocol is the protocol the Mux serves.
func (m *Mux) Protocol() *idl.Protocol { return m.proto }

// Inline binds a method that answers at once. It runs on the reader goroutine and
// must not block.
func (m *Mux) Inline(name string, f UnaryFunc) {
	e := m.bind(name, inline)
	e.unary = f
}

// Unary binds a method that may take its time. It runs in a goroutine of its own;
// SessionOptions.Calls bounds how many run at once.
func (m *Mux) Unary(name string, f UnaryFunc) {
	e := m.bind(name, unary)
	e.unary = f
}

// changeTime is how long a method that Change has bound may go on without its client.
const changeTime = 10 * time.Second

// Change binds a method as Unary does, one that changes something: it goes on for up
// to ten seconds when its client has gone. Clients are known that hang up as soon as
// they have sent, the original cocaine-tool among them.
func (m *Mux) Change(name string, f UnaryFunc) {
	e := m.bind(name, unary)
	e.unary, e.change = f, true
}

// Mute binds a method without an answer. It runs on the reader goroutine, in the
// order of the frames, and must not block.
func (m *Mux) Mute(name string, f MuteFunc) {
	e := m.bind(name, mute)
	e.mute = f
}

// Stream binds a method whose channel lives on. It runs in a goroutine of its own.
func (m *Mux) Stream(name string, f StreamFunc) {
	e := m.bind(name, stream)
	e.stream = f
}

// Raw binds a method to an Acceptor, which gets its first frame as it is. How long its
// channels live is known if it is Timed.
func (m *Mux) Raw(name string, a Acceptor) {
	e := m.bind(name, raw)
	e.raw = a
	e.whole, _ = a.(CallAcceptor)
	e.timer = nil
	if t, ok := a.(Timed); ok {
		e.timer = t.Timer()
	}
	if q, ok := a.(AnswerAcceptor); ok {
		m.answers = append(m.answers, q)
	}
}

// Timers are those of the methods, by name: how long their channels have lived, those
// of calls that were refused included. A name may come twice, as that of a method and
// of a control message.
func (m *Mux) Timers() iter.Seq2[string, *timing.Timer] {
	return func(yield func(string, *timing.Timer) bool) {
		for i := range m.proto.Messages {
			msg := &m.proto.Messages[i]
			if e := m.methods[msg.ID]; e.timer != nil && !yield(msg.Name, e.timer) {
				return
			}
		}
	}
}

// bind panics on a method the protocol does not have: a mistake of the program.
func (m *Mux) bind(name string, k methodKind) *method {
	msg := m.proto.Method(name)
	if msg == nil {
		panic(fmt.Sprintf("cannot bind %q: protocol %s has no such method", name, m.proto.Name))
	}
	e := m.methods[msg.ID]
	e.kind = k
	return e
}

// method finds a method by its number, nil if there is none.
func (m *Mux) method(id uint64) *method {
	if id < lowMethods {
		return m.low[id]
	}
	return m.methods[id]
}

// Accept dispatches the first frame of a channel. It implements Acceptor.
func (m *Mux) Accept(b *Batch, s *Session, ch uint64, f *Frame) Receiver {
	e := m.method(f.Type)
	if e != nil && e.kind == raw && m.open {
		return e.raw.Accept(b, s, ch, f)
	}
	if e != nil && e.kind == inline && s.Err() != nil {
		return nil // what came before the end of a peer that is gone: nobody takes the answer
	}
	if m.opts.Turns != nil {
		m.opts.Turns.take(b, s.done)
	}
	if e == nil || e.kind == unbound {
		return m.control(b, s, ch, f, e)
	}
	c := &Call{Method: e.msg, Args: f.Args, Headers: f.Headers, Peer: s.conn.RemoteAddr(), Arrived: b.Now()}
	if err := c.readFrame(); err != nil {
		s.noteViolation(ch, badArgs(e.msg.Name, err))
		return m.refuse(b, s, ch, c, badArgs(e.msg.Name, err))
	}
	if err := m.admit(e, c); err != nil {
		return m.refuse(b, s, ch, c, err)
	}
	switch e.kind {
	case raw:
		if m.opts.Authenticate != nil {
			f.Headers = withoutCredentials(f.Headers)
		}
		return e.raw.Accept(b, s, ch, f)
	case inline:
		m.inline(b, s, ch, e, c)
	case mute:
		if err := m.guardMute(e, c); err != nil {
			m.complain(c, err)
		}
		e.ended(c)
	case stream:
		if s.streams.Load() >= int64(s.opts.Streams) {
			return m.refuse(b, s, ch, c, Errorf(idl.CategoryDispatch, idl.DispatchNoDispatch, "%v", ErrTooManyChannels))
		}
		return m.spawn(b, s, ch, e, c)
	default:
		return m.spawn(b, s, ch, e, c)
	}
	return nil
}

// AcceptCall passes on a request to a raw method that takes it whole. It implements
// CallAcceptor.
func (m *Mux) AcceptCall(b *Batch, s *Session, ch uint64, first, write *Frame) bool {
	e := m.method(first.Type)
	if e == nil || e.whole == nil {
		return false
	}
	if m.open {
		return e.whole.AcceptCall(b, s, ch, first, write)
	}
	if m.opts.Authorize != nil || m.opts.Authenticate(first.Headers) != nil {
		return false // Accept says so
	}
	all := first.Headers
	first.Headers = withoutCredentials(all)
	taken := e.whole.AcceptCall(b, s, ch, first, write)
	if !taken {
		first.Headers = all // for Accept
	}
	return taken
}

// Unwanted passes on what the raw methods that answer by themselves have to know. It
// implements AnswerAcceptor.
func (m *Mux) Unwanted(b *Batch, s *Session, revoked []Revoked) {
	for _, a := range m.answers {
		a.Unwanted(b, s, revoked)
	}
}

// withoutCredentials leaves out what a caller was recognised by, for a message that
// goes on to somebody else, who could pass for the caller with it. All headers stay in
// the memory of the slice, those left out behind the others.
func withoutCredentials(hs []hpack.Header) []hpack.Header {
	n := len(hs)
	for i := n - 1; i >= 0; i-- {
		if h := hs[i]; h.Name == hpack.Authorization {
			n--
			copy(hs[i:n], hs[i+1:n+1])
			hs[n] = h
		}
	}
	return hs[:n]
}

// admit asks what can be asked on the reader before a method runs.
func (m *Mux) admit(e *method, c *Call) error {
	if m.open {
		return nil
	}
	if m.opts.Authenticate != nil {
		if err := m.opts.Authenticate(c.Headers); err != nil {
			return err
		}
	}
	if m.opts.Authorize != nil && !e.spawned() {
		return m.opts.Authorize(context.Background(), c)
	}
	return nil
}

// permit asks what is asked where a method runs that has a goroutine of its own.
func (m *Mux) permit(ctx context.Context, c *Call) error {
	if m.opts.Authorize == nil {
		return nil
	}
	return m.opts.Authorize(ctx, c)
}

// complain logs the failure of a call that has no answer, once a second: a client can
// make very many of them.
func (m *Mux) complain(c *Call, err error) {
	now := time.Now().Unix()
	if last := m.complained.Load(); last == now || !m.complained.CompareAndSwap(last, now) {
		m.silent.Add(1)
		return
	}
	m.log.Warn("cannot serve "+c.Method.Name, "peer", c.Peer, "cause", err, "unlogged", m.silent.Swap(0))
}

// readFrame reads what every method needs.
func (c *Call) readFrame() (err error) {
	r := msgpack.NewReader(c.Args)
	c.NArgs = r.Array()
	c.Trace, err = ParseTrace(c.Headers)
	c.echo = c.Trace.Append(nil)
	return err
}

// refuse answers a call that is not going to run. What the client may still send
// on the channel is swallowed.
func (m *Mux) refuse(b *Batch, s *Session, ch uint64, c *Call, err error) Receiver {
	m.method(c.Method.ID).ended(c)
	if msg := named(c.Method.Reply.Node, "error"); msg != nil {
		_ = s.Send(b, ch, msg.ID, AppendError(nil, AsError(err)), c.echo) // the session may be over: then nobody is left to tell
	} else {
		m.complain(c, err)
	}
	return Discard(c.Method.Next)
}

func (m *Mux) inline(b *Batch, s *Session, ch uint64, e *method, c *Call) {
	result, err := m.guardUnary(context.Background(), e, c)
	if err == nil && len(result) > s.opts.Limits.MaxFrame {
		err = tooLarge(e)
	}
	e.ended(c)
	if err != nil {
		_ = s.Send(b, ch, idl.Error, AppendError(nil, AsError(err)), c.echo)
		return
	}
	_ = s.Send(b, ch, idl.Value, result, c.echo)
}

// tooLarge is the answer to a call whose answer would not fit into a frame.
func tooLarge(e *method) error {
	return fmt.Errorf("cannot answer %s: %w", e.msg.Name, wire.ErrTooLarge)
}

// spawn runs a method in a goroutine of its own.
func (m *Mux) spawn(b *Batch, s *Session, ch uint64, e *method, c *Call) Receiver {
	large := max(0, len(c.Args)-spare)
	if !s.opts.Memory.take(large) {
		return m.refuse(b, s, ch, c, Errorf(idl.CategoryGeneric, idl.GenericUnavailable, "cannot serve %s: %v", e.msg.Name, ErrMemory))
	}
	c.Args = append([]byte(nil), c.Args...)
	c.Headers = append([]hpack.Header(nil), c.Headers...)
	ctx, cancel := context.WithCancelCause(context.Background())
	st := &Stream{s: s, id: ch, trace: c.Trace, echo: c.echo, wake: make(chan struct{}, 1),
		recv: open(e.msg.Next), send: open(e.msg.Reply.Node), cancel: cancel}
	if st.recv == nil {
		st.err = io.EOF
	}
	s.enter(e.kind, large)
	s.register(ch, served{st}) // before the goroutine can end and forget it
	waits := e.kind == unary && m.turns != nil && !m.turns.TryAcquire(1)
	if waits {
		s.Pause()
	}
	s.wg.Go(func() {
		defer s.leave(e.kind, st, large)
		defer m.abort(e, c, st) // does nothing unless the method ended its goroutine
		ctx := ctx
		if e.change {
			last, end := outlast(ctx, changeTime)
			defer end()
			ctx = last
		}
		if waits {
			err := m.turns.Acquire(ctx, 1)
			s.Resume()
			if err != nil {
				e.ended(c)
				st.finish(context.Cause(ctx))
				return
			}
		}
		m.serve(ctx, e, c, st)
	})
	return registered{}
}

// outlast returns a context that ends so long after ctx, with its cause. Whoever
// called it calls end, which returns when nothing of it is left.
func outlast(ctx context.Context, d time.Duration) (last context.Context, end func()) {
	last, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(ctx))
		case <-last.Done():
		}
	})
	return last, func() {
		cancel(nil)
		if !stop() {
			<-ended
		}
	}
}

// served receives for a channel whose method is running. It stays in the table
// until the method has ended, also when the client may send nothing more: the
// method still has to learn when the client goes away.
type served struct{ *Stream }

func (v served) Receive(b *Batch, f *Frame) bool {
	v.Stream.Receive(b, f)
	return false
}

// enter counts a method that is about to run. Methods that answer once are
// expected to end by themselves: the reader waits while too many of them run.
// Nothing may wait for streams, because it takes the reader to end them.
//
// large is how much memory its arguments take: the reader also waits while the calls
// of the session have more than it may buffer.
func (s *Session) enter(k methodKind, large int) {
	if large > 0 && over(s.large.Add(int64(large)), int64(large), s.opts.Buffer) {
		s.Pause()
	}
	if k == stream {
		s.streams.Add(1)
		return
	}
	if s.calls.Add(1) == int64(s.opts.Calls) {
		s.Pause()
	}
}

// over reports whether n is over the limit and was not before some was added.
func over(n, added int64, limit int) bool { return n > int64(limit) && n-added <= int64(limit) }

// leave takes leave of a method that has ended in whatever way.
func (s *Session) leave(k methodKind, st *Stream, large int) {
	s.opts.Memory.add(-large)
	if large > 0 && over(s.large.Add(-int64(large))+int64(large), int64(large), s.opts.Buffer) {
		s.Resume()
	}
	st.mu.Lock()
	st.discard(ErrClosed) // from here on a frame can not pause the session
	st.mu.Unlock()
	s.forget(st.id)
	st.cancel(nil)
	if k == stream {
		s.streams.Add(-1)
		return
	}
	if s.calls.Add(-1) == int64(s.opts.Calls)-1 {
		s.Resume()
	}
}

// abort answers in place of a method that ended its goroutine (runtime.Goexit).
func (m *Mux) abort(e *method, c *Call, st *Stream) {
	if !st.finished {
		e.ended(c)
		st.finish(Errorf(idl.CategoryDispatch, idl.DispatchUncaught, "method ended without an answer"))
	}
}

// serve runs the method and sees that the channel gets its end.
func (m *Mux) serve(ctx context.Context, e *method, c *Call, st *Stream) {
	if e.kind == stream {
		err := m.guardStream(ctx, e, c, st)
		e.ended(c)
		st.finish(err)
		return
	}
	result, err := m.once(ctx, e, c)
	if err == nil && len(result) > st.s.opts.Limits.MaxFrame {
		err = tooLarge(e)
	}
	if err != nil {
		e.ended(c)
		st.finish(err)
		return
	}
	st.s.opts.Memory.add(len(result))
	defer st.s.opts.Memory.add(-len(result))
	st.s.awaitTurn(ctx)
	e.ended(c)
	_ = st.sendNow(nil, idl.Value, result, st.echo) // fails only when the session is over or the channel was ended with an error
	st.finished = true
}

// once runs a method that answers once in its turn, which it gives back.
func (m *Mux) once(ctx context.Context, e *method, c *Call) (result []byte, err error) {
	if m.turns != nil {
		defer m.turns.Release(1)
	}
	return m.guardUnary(ctx, e, c)
}

// awaitTurn waits until an answer may be added to the output. Answers that wait take
// memory: nothing more is read that would ask for others.
func (s *Session) awaitTurn(ctx context.Context) {
	if s.Buffered() <= s.opts.Buffer {
		return
	}
	s.Pause()
	defer s.Resume()
	s.awaitRoom(ctx.Done())
}

// finish sends the last message of a served stream, unless it was sent already.
func (st *Stream) finish(err error) {
	st.finished = true
	st.mu.Lock()
	n := st.send
	st.mu.Unlock()
	if n == nil {
		return
	}
	if err != nil {
		if msg := named(n, "error"); msg != nil {
			_ = st.sendNow(nil, msg.ID, AppendError(nil, AsError(err)), st.echo)
		}
		return
	}
	for _, name := range []string{"close", "value"} {
		if msg := named(n, name); msg != nil {
			_ = st.sendNow(nil, msg.ID, nil, st.echo)
			return
		}
	}
}

// A panicking method costs its caller an error and nobody else anything.
func (m *Mux) recovered(e *method, err *error) {
	if p := recover(); p != nil {
		m.log.Error("panic in "+m.proto.Name+"."+e.msg.Name, "panic", p, "stack", string(debug.Stack()))
		*err = Errorf(idl.CategoryDispatch, idl.DispatchUncaught, "%s: internal error", e.msg.Name)
	}
}

func (m *Mux) guardUnary(ctx context.Context, e *method, c *Call) (result []byte, err error) {
	defer m.recovered(e, &err)
	if e.kind == unary {
		if err := m.permit(ctx, c); err != nil {
			return nil, err
		}
	}
	return e.unary(ctx, c)
}

func (m *Mux) guardStream(ctx context.Context, e *method, c *Call, st *Stream) (err error) {
	defer m.recovered(e, &err)
	if err := m.permit(ctx, c); err != nil {
		return err
	}
	return e.stream(ctx, c, st)
}

func (m *Mux) guardMute(e *method, c *Call) (err error) {
	defer m.recovered(e, &err)
	return e.mute(context.Background(), c)
}

// control serves the control messages, which live at the top of every root
// protocol (docs/PROTOCOL.md, Control messages).
func (m *Mux) control(b *Batch, s *Session, ch uint64, f *Frame, e *method) Receiver {
	if e == nil {
		s.Violation(b, ch, Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "%s has no method %d", m.proto.Name, f.Type))
		return nil
	}
	c := &Call{Method: e.msg, Args: f.Args, Headers: f.Headers, Peer: s.conn.RemoteAddr(), Arrived: b.Now()}
	err := c.readFrame()
	switch {
	case err != nil:
		err = badArgs(e.msg.Name, err)
	case f.Type == idl.Ping:
	case f.Type == idl.Revoke:
		err = s.Revoke(b, f.Args)
	default:
		err = Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "%s is not served", e.msg.Name)
	}
	if err != nil {
		s.noteViolation(ch, AsError(err))
		return m.refuse(b, s, ch, c, err)
	}
	e.ended(c)
	_ = s.Send(b, ch, idl.Value, nil, c.echo)
	return nil
}

// Discard returns a Receiver that swallows what the peer still sends on a channel
// in the given state, nil if it may send nothing.
func Discard(n *idl.Node) Receiver {
	if open(n) == nil {
		return nil
	}
	return &discard{n}
}

type discard struct{ n *idl.Node }

func (d *discard) Receive(_ *Batch, f *Frame) bool {
	m := d.n.Lookup(f.Type)
	if m == nil {
		return true
	}
	d.n = next(d.n, m)
	return d.n == nil
}

func (d *discard) Lost(*Batch, error) {}
