package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A Frame is what a Receiver gets: one message of its channel. Its contents
// belong to the session and are valid during the call only.
type Frame struct {
	Type    uint64
	Args    []byte         // the arguments, a msgpack array, verbatim
	Headers []hpack.Header // decoded; nil for a frame without headers
}

// A Receiver takes the frames of one channel whose receiving half is open.
type Receiver interface {
	// Receive handles one frame. done says that the peer may send nothing more
	// on the channel: its receiving half is closed.
	Receive(b *Batch, f *Frame) (done bool)
	// Lost says that no further frame will come, because the session ended or
	// the channel was revoked. The error is the cause.
	Lost(b *Batch, err error)
}

// An Acceptor takes the first frame of each channel that the peer opens.
type Acceptor interface {
	// Accept returns the Receiver of the channel's further frames, or nil if the
	// peer may send no more.
	Accept(b *Batch, s *Session, channel uint64, f *Frame) Receiver
}

// SessionOptions configure a session. The zero value is ready.
type SessionOptions struct {
	// Limits bound what the peer may send. Zero fields mean 64 MiB and depth 32.
	Limits wire.Limits
	// Acceptor takes the channels that the peer opens. Without one the peer may
	// open none, as suits a pure client.
	Acceptor Acceptor
	// Recognise tells from the first bytes of the peer which Dialect it speaks, nil
	// for that of this package. wire.ErrShort asks for more of them; any other error
	// ends the session. Nothing may be sent before the peer has. If nil, peers speak
	// that of this package.
	Recognise func(buf []byte) (Dialect, error)
	// Buffer is the number of bytes of output beyond which those who feed the
	// session have to wait. If zero, 4 MiB.
	Buffer int
	// Stall is how long the peer may take no byte before it is cut off. If zero,
	// 30 s.
	Stall time.Duration
	// Channels bounds the channels whose receiving half is open. If zero, 131072.
	Channels int
	// Calls bounds the methods of a Mux that answer once and run at once in
	// goroutines of one session; the reader waits while so many run. If zero, 256.
	Calls int
	// Streams bounds the methods of a Mux whose channel lives on; a call over it
	// is refused. If zero, 16384.
	Streams int
	// Between, if not nil, is called by the reader after it has handed on what it has
	// read, and before it writes what has been sent meanwhile. It may be slow, or not return
	// at all, if somebody calls Session.Relieve then; in that case it returns false.
	Between func() (still bool)
	// Memory, if not nil, bounds what the sessions that share it take together.
	Memory *Memory
	// Log receives what the session has to say. If nil, nothing is logged.
	Log *slog.Logger
	// Stats, if not nil, is shared by the sessions of a server.
	Stats *Stats
}

func (o SessionOptions) withDefaults() SessionOptions {
	if o.Limits.MaxFrame <= 0 {
		o.Limits.MaxFrame = 64 << 20
	}
	if o.Buffer <= 0 {
		o.Buffer = 4 << 20
	}
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	if o.Channels <= 0 {
		o.Channels = 1 << 17
	}
	if o.Calls <= 0 {
		o.Calls = 256
	}
	if o.Streams <= 0 {
		o.Streams = 1 << 14
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = new(Stats)
	}
	return o
}

// Stats count what happens on sessions. All fields may be read at any time.
type Stats struct {
	Sessions   atomic.Int64  // open now
	FramesIn   atomic.Uint64 // frames received
	LateFrames atomic.Uint64 // frames on recently closed channels, dropped
	Violations atomic.Uint64 // protocol mistakes answered with an error frame
	Malformed  atomic.Uint64 // sessions ended by broken framing
	Stalled    atomic.Uint64 // sessions ended because the peer stopped reading
	Refused    atomic.Uint64 // connections over ServerOptions.MaxSessions, or during Shutdown
}

// recent is how many closed channels a session remembers, to tell a late frame
// from a mistake.
const recent = 256

const (
	minReadBuffer = 4 << 10
	maxReadBuffer = 64 << 10
	// keptReadBuffer is up to which size a buffer that grew for a large frame is kept
	// while one frame begins in it before the other has ended.
	keptReadBuffer = 1 << 20
)

// cacheLine keeps fields that different goroutines write from sharing a line of
// the processors' caches.
type cacheLine [64]byte

// linger is how long a session whose output broke goes on reading.
const linger = time.Second

// Session is one connection. NewSession makes it, Run works it.
type Session struct {
	conn    net.Conn
	opts    SessionOptions
	whole   CallAcceptor   // opts.Acceptor if it is one, else nil
	answers AnswerAcceptor // likewise
	log     *slog.Logger
	done    chan struct{}
	wg      sync.WaitGroup // writer goroutine, Mux handlers

	_ cacheLine // what never changes is read by all; what follows is written by all

	// mu guards the fields below and those of out. It is a leaf: no callback and
	// no system call is made under it.
	mu     sync.Mutex
	out    output
	err    error          // why nothing can be sent any more
	table  channels       // those whose receiving half is open
	max    atomic.Uint64  // the highest channel id opened by either side; rises under mu or by the reader
	over   bool           // the session has ended: err is set, done closed
	last   *time.Timer    // ends a session whose output broke
	resume chan struct{}  // closed when pauses drops to 0; nil when nobody waits
	closed [recent]uint64 // closed[id%recent] == id: closed a short while ago

	leaveBy time.Time // when a session that ends slowly has to be gone

	dialect     Dialect     // of the peer, nil for the ordinary one; set by the reader before it hands on anything
	lastDialect LastDialect // dialect if it is one, else nil
	scratch     []byte

	blocked   atomic.Bool  // the reader waits for a session that it feeds
	gathering atomic.Bool  // somebody is going to flush what others send meanwhile
	pauses    atomic.Int32 // reasons for the reader to wait; raised freely, lowered under mu

	_ cacheLine // what follows is written by the reader alone, for every frame

	// Owned by the reader goroutine.
	scanner    wire.Scanner
	headers    hpack.Table
	hdrs       []hpack.Header
	frame      Frame
	chunk      Frame  // behind frame, in acceptWhole
	frames     uint64 // handled and not yet counted
	opened     uint64 // channels that the peer opened, not yet counted
	start      int    // of frame in buf
	recognised bool   // dialect is set
	cur        current
	// finished is what closed is, for channels that ended because of a frame.
	finished [recent]uint64
	buf      []byte
	r, w     int
	late     bool          // reading has a deadline
	relay    chan struct{} // closed by the last of several readers
	batch    Batch
	revoked  revocations

	_ cacheLine

	counts  atomic.Uint64 // channels that the peer opened, as of the last time that input ran dry
	calls   atomic.Int64  // methods of a Mux running now that answer once
	large   atomic.Int64  // what the arguments of calls under way take
	streams atomic.Int64  // the same for those whose channel lives on
	ended   chan struct{} // closed when Run is done
}

// NewSession wraps a connection. Nothing happens until Run is called, but frames
// may be sent. A connection that is a syscall.Conn is written to by its descriptor,
// not by Write: a wrapper that wants to see the output must not pass that on.
func NewSession(conn net.Conn, opts SessionOptions) *Session {
	o := opts.withDefaults()
	s := &Session{
		conn:    conn,
		opts:    o,
		log:     o.Log,
		done:    make(chan struct{}),
		ended:   make(chan struct{}),
		scanner: wire.NewScanner(o.Limits),
	}
	s.whole, _ = o.Acceptor.(CallAcceptor)
	s.answers, _ = o.Acceptor.(AnswerAcceptor)
	s.out.init(s)
	return s
}

// Run reads and dispatches until the session ends, because the peer closed it,
// it broke, Close was called or ctx ended. It returns when every goroutine of the
// session has ended, but for those that SessionOptions.Between still keeps after another
// has become the reader in their place. The error wraps ErrClosed or ErrDisconnected.
func (s *Session) Run(ctx context.Context) error {
	defer close(s.ended)
	s.opts.Stats.Sessions.Add(1)
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.fail(ErrClosed)
		close(cancelled)
	})
	s.read()
	if !stop() {
		<-cancelled
	}
	s.stopLinger()
	s.lose()
	s.batch.flush(s.done)
	s.farewell()
	s.opts.Memory.add(-s.counted())
	s.buf = nil
	s.wg.Wait()
	s.opts.Stats.Sessions.Add(-1)
	return s.Err()
}

// Wait waits until Run has returned.
func (s *Session) Wait() { <-s.ended }

// Close ends the session. Buffered output that the peer has not taken is lost.
// It does not wait for Run.
func (s *Session) Close() error {
	s.fail(ErrClosed)
	return nil
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session ended, nil while it lives. It may be set some time before
// Done is closed, when nothing can be sent any more.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// RemoteAddr is the peer's address.
func (s *Session) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// fail ends the session; the first cause wins.
func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.over = true
	s.seal(err)
	close(s.done)
	s.leaveBy = s.leaving()
	by := s.leaveBy
	s.mu.Unlock()
	s.hangUp(by)
}

// seal lets nothing more be sent. Called with mu held.
func (s *Session) seal(err error) {
	if s.err == nil {
		s.err = err
		s.out.abandon()
	}
}

// sever is fail for an output that broke. The peer is gone, but what it said
// before that is still to be read: answers, and messages that want none. The
// reader finds the end of the connection behind them and ends the session; should
// it find none, linger does.
func (s *Session) sever(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.seal(err)
		s.last = time.AfterFunc(linger, func() { s.fail(err) })
	}
}

func (s *Session) stopLinger() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil {
		s.last.Stop()
	}
}

// lose tells every open channel that the session is over. Nothing can be added
// to the table any more, because err is set.
func (s *Session) lose() {
	s.spill()
	s.mu.Lock()
	err := s.err
	open := s.table.takeAll() // handlers that end later still forget their channels
	s.mu.Unlock()
	cause := error(lostError(rootCause(err)))
	for _, r := range open {
		r.Lost(&s.batch, fmt.Errorf("%w: %w", cause, err))
	}
	s.tellGone()
}

// rootCause strips the session's own sentinel from an end-of-session error.
func rootCause(err error) error {
	if errors.Is(err, ErrClosed) || errors.Is(err, ErrStalled) {
		return context.Canceled
	}
	return err
}

// read reads until the session ends. There is one reader at a time; with
// SessionOptions.Between it may be one goroutine after another, none of which is the caller's,
// as it may never come back.
func (s *Session) read() {
	s.buf = make([]byte, minReadBuffer)
	if s.opts.Between == nil {
		s.readOn()
		return
	}
	s.relay = make(chan struct{})
	go func() {
		if s.readOn() {
			close(s.relay)
		}
	}()
	<-s.relay
}

// readOn is the reader's loop. It returns true when the session has ended, false when
// another goroutine has become the reader.
func (s *Session) readOn() (over bool) {
	for s.drainInput() {
		if s.opts.Between != nil && !s.opts.Between() {
			return false
		}
		if !s.settle() || !s.fill() {
			break
		}
	}
	return true
}

// Relieve has a new goroutine take the place of the reader, which is in
// SessionOptions.Between. It is called once at most before that returns false.
func (s *Session) Relieve() {
	go func() {
		if !s.settle() || !s.fill() || s.readOn() {
			close(s.relay)
		}
	}()
}

// settle does what must be done before the reader blocks, and waits while the
// session is paused or one that it feeds is full. It returns false if the session
// ended meanwhile.
func (s *Session) settle() bool {
	s.spill()
	if s.table.wasteful() {
		s.mu.Lock()
		s.table.shrink()
		s.mu.Unlock()
	}
	if len(s.batch.full) > 0 {
		s.blocked.Store(true)
		defer s.blocked.Store(false)
	}
	s.batch.flush(s.done)
	return s.awaitResume()
}

// Blocked reports whether the reader waits for a peer that is slow to read what it
// is sent on behalf of this one. Silence of this peer means nothing meanwhile.
func (s *Session) Blocked() bool { return s.blocked.Load() }

// drainInput dispatches every whole frame in the buffer. It returns false when the
// session cannot go on.
func (s *Session) drainInput() bool {
	defer func() {
		s.opts.Stats.FramesIn.Add(s.frames)
		s.frames = 0
		if s.opened > 0 {
			s.counts.Add(s.opened)
			s.opened = 0
		}
	}()
	if s.opts.Recognise != nil && !s.recognised && s.r < s.w {
		known, err := s.recognise()
		if err != nil {
			s.malformed(err)
			return false
		}
		if !known {
			return true
		}
	}
	if s.dialect != nil {
		return s.drainForeign()
	}
	for s.r < s.w {
		if s.pauses.Load() > 0 && !s.settle() {
			return false
		}
		f, n, err := s.scanner.Next(s.buf[s.r:s.w])
		if err != nil {
			if errors.Is(err, wire.ErrShort) {
				return true
			}
			s.malformed(err)
			return false
		}
		s.start = s.r
		s.r += n
		s.frames++
		if !s.lastTwo(f) && !s.dispatch(f) {
			return false
		}
		if len(s.batch.full) > 0 && !s.settle() {
			return false
		}
	}
	return true
}

// lastTwo dispatches a write together with the close behind it, if both are there
// and their channel can take them so.
func (s *Session) lastTwo(f wire.Frame) bool {
	if f.Type != idl.Write || len(f.Headers) > 1 {
		return false
	}
	end := closeBehind(s.buf[s.start:s.r], s.buf[s.r:s.w])
	if end == 0 || !s.dispatchLast(f) {
		return false
	}
	s.r += end
	s.frames++
	return true
}

// fill makes room and reads once. It blocks while there is nothing to read.
func (s *Session) fill() bool {
	if !s.makeRoom() {
		s.log.Warn("closing connection: no memory for a large frame", "peer", s.conn.RemoteAddr(), "bytes", len(s.buf))
		s.fail(fmt.Errorf("%w: %w", ErrDisconnected, ErrMemory))
		return false
	}
	s.hurry()
	if s.left() {
		return false
	}
	n, err := s.conn.Read(s.buf[s.w:])
	s.w += n
	if s.left() {
		return false
	}
	if err != nil {
		if s.late && errors.Is(err, os.ErrDeadlineExceeded) {
			s.log.Warn("closing connection: peer stopped in the middle of a large frame", "peer", s.conn.RemoteAddr(), "after", s.opts.Stall)
		}
		if n > 0 {
			s.drainInput()
			s.batch.flush(s.done)
		}
		if errors.Is(err, io.EOF) && s.w > s.r {
			err = io.ErrUnexpectedEOF
		}
		s.fail(fmt.Errorf("%w: %w", ErrDisconnected, err))
		return false
	}
	return true
}

// hurry gives a peer whose large frame is read by half the stall time to go on: it
// takes memory that is not its own.
func (s *Session) hurry() {
	switch large := len(s.buf) > maxReadBuffer && s.w > s.r; {
	case large:
		_ = s.conn.SetReadDeadline(time.Now().Add(s.opts.Stall)) // fails only on a closed connection
		s.late = true
	case s.late:
		_ = s.conn.SetReadDeadline(time.Time{}) // likewise
		s.late = false
	}
}

// counted is what the read buffer takes of Memory.
func (s *Session) counted() int { return max(0, len(s.buf)-maxReadBuffer) }

// makeRoom makes room for the next read. A read that filled the buffer asks for
// larger ones, up to maxReadBuffer; beyond that the buffer grows only as far as
// bytes of one frame have really arrived: a claimed length alone allocates nothing.
// It returns false if there is no memory left for that.
func (s *Session) makeRoom() bool {
	size := len(s.buf)
	switch full := s.w == size; {
	case full && size < maxReadBuffer:
		size = min(4*size, maxReadBuffer)
	case full && s.r == 0:
		more := min(size, 8<<20)
		if !s.opts.Memory.take(more) {
			return false
		}
		size += more
	case s.r == s.w && size > maxReadBuffer, size > keptReadBuffer && s.r > 0 && s.w-s.r <= maxReadBuffer/2:
		s.opts.Memory.add(-s.counted())
		size = maxReadBuffer
	case s.r == s.w:
		s.r, s.w = 0, 0
		return true
	case !full && s.r <= size/2:
		return true
	}
	to := s.buf
	if size != len(s.buf) {
		to = make([]byte, size)
	}
	s.w = copy(to, s.buf[s.r:s.w])
	s.r, s.buf = 0, to
	return true
}

// malformed ends the session after input that can not be resynchronised.
func (s *Session) malformed(err error) {
	s.opts.Stats.Malformed.Add(1)
	s.log.Warn("closing connection: malformed input", "peer", s.conn.RemoteAddr(), "cause", err)
	s.flush() // the answers to what came before it
	s.fail(fmt.Errorf("%w: %w", ErrDisconnected, err))
}

// dispatch hands one frame to its channel. It returns false when the session
// cannot go on.
func (s *Session) dispatch(f wire.Frame) bool {
	s.frame = Frame{Type: f.Type, Args: f.Args}
	if len(f.Headers) > 1 { // one byte is an empty array
		var err error
		s.hdrs, err = s.headers.Decode(s.hdrs[:0], f.Headers)
		if err != nil {
			s.malformed(err)
			return false
		}
		s.frame.Headers = s.hdrs
	}
	if f.Channel == s.cur.id && s.cur.r != nil {
		s.receive()
		return true
	}
	s.spill()
	if s.opts.Acceptor != nil && s.fresh(f.Channel) {
		s.accept(f.Channel)
		return true
	}
	s.mu.Lock()
	r := s.table.get(f.Channel)
	if r != nil {
		s.mu.Unlock()
		s.cur = current{f.Channel, r, true}
		s.receive()
		return true
	}
	late := (s.closed[f.Channel%recent] == f.Channel || s.finished[f.Channel%recent] == f.Channel) && f.Channel != 0
	s.mu.Unlock()
	s.finished[f.Channel%recent] = f.Channel // answer once, drop what follows
	switch {
	case late, s.opts.Acceptor == nil, f.Type == idl.Error:
		s.opts.Stats.LateFrames.Add(1)
	default:
		s.Violation(&s.batch, f.Channel, Errorf(idl.CategoryDispatch, idl.DispatchRevoked,
			"channel %d is not open", f.Channel))
	}
	return true
}

// fresh reports whether a channel is above all before, and takes its number.
func (s *Session) fresh(channel uint64) bool {
	for {
		top := s.max.Load()
		if channel <= top {
			return false
		}
		if s.max.CompareAndSwap(top, channel) {
			return true
		}
	}
}

func (s *Session) accept(channel uint64) {
	if s.table.len() >= s.opts.Channels {
		s.Violation(&s.batch, channel, Errorf(idl.CategoryDispatch, idl.DispatchNoDispatch, "%v", ErrTooManyChannels))
		s.finished[channel%recent] = channel
		return
	}
	s.opened++
	if s.whole != nil && s.dialect == nil && s.acceptWhole(channel) {
		return
	}
	switch r := s.opts.Acceptor.Accept(&s.batch, s, channel, &s.frame).(type) {
	case registered:
	case nil:
		s.finished[channel%recent] = channel
	default:
		s.cur = current{channel, r, false}
	}
}

// current is the channel that the reader handled last. The frames of a short
// request mostly come one behind the other, so most of them need no look into the
// table, and a channel that opens and closes within one read is never put there.
// It belongs to the reader goroutine. That somebody else forgets the channel
// meanwhile takes effect when the reader turns to another one.
type current struct {
	id    uint64
	r     Receiver // nil when there is none
	known bool     // it is in the table
}

// receive hands the frame to the current channel.
func (s *Session) receive() {
	if !s.cur.r.Receive(&s.batch, &s.frame) {
		return
	}
	id, known := s.cur.id, s.cur.known
	s.cur = current{}
	s.finished[id%recent] = id
	if known {
		s.forget(id)
	}
}

// spill puts the current channel into the table, where others see it.
func (s *Session) spill() {
	if s.cur.r != nil && !s.cur.known {
		s.mu.Lock()
		if s.closed[s.cur.id%recent] != s.cur.id { // nobody has forgotten it meanwhile
			s.put(s.cur.id, s.cur.r)
		}
		s.mu.Unlock()
	}
	s.cur = current{}
}

// registered is returned by an Acceptor of this package that has called register
// itself.
type registered struct{ Receiver }

// register opens the receiving half of a channel, or closes it for a nil Receiver.
func (s *Session) register(channel uint64, r Receiver) {
	s.mu.Lock()
	if r != nil {
		s.put(channel, r)
	} else {
		s.closed[channel%recent] = channel
	}
	s.mu.Unlock()
}

// forget closes the receiving half of a channel. Frames that still come are late.
func (s *Session) forget(channel uint64) {
	s.mu.Lock()
	s.drop(channel)
	s.closed[channel%recent] = channel
	s.mu.Unlock()
}

// put and drop change the table. Called with mu held.
func (s *Session) put(channel uint64, r Receiver) { s.table.put(channel, r) }

func (s *Session) drop(channel uint64) { s.table.drop(channel) }

// Forget closes the receiving half of a channel from this side: whatever the peer
// still sends on it is dropped and counted. The Receiver is not told.
func (s *Session) Forget(channel uint64) { s.forget(channel) }

// take removes a channel and returns its Receiver, nil if its receiving half is
// not open.
func (s *Session) take(channel uint64) Receiver {
	s.spill()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.table.get(channel)
	if r != nil {
		s.drop(channel)
		s.closed[channel%recent] = channel
	}
	return r
}

// Violation answers a mistake that left the framing intact with an error frame;
// the connection stays.
func (s *Session) Violation(b *Batch, channel uint64, e *Error) {
	s.noteViolation(channel, e)
	_ = s.Send(b, channel, idl.Error, AppendError(nil, e), nil) // the session may be over: then nobody is left to tell
}

func (s *Session) noteViolation(channel uint64, e *Error) {
	s.opts.Stats.Violations.Add(1)
	s.log.Debug("protocol violation", "peer", s.conn.RemoteAddr(), "channel", channel, "cause", e)
}

// Channels is the number of channels whose receiving half is open.
func (s *Session) Channels() int { return s.table.len() }

// Open opens a channel from this side with its first frame and registers the
// Receiver of what comes back. Ids rise in the order of the frames on the wire.
func (s *Session) Open(b *Batch, r Receiver, typ uint64, args, headers []byte) (uint64, error) {
	id, err := s.enqueueFirst(b, r, typ, args, headers)
	if b == nil && err == nil {
		s.flush()
	}
	return id, err
}

// enqueueFirst is Open without the write: with a nil batch the caller flushes.
func (s *Session) enqueueFirst(b *Batch, r Receiver, typ uint64, args, headers []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, err := s.number()
	if err != nil {
		return 0, err
	}
	if r != nil {
		s.put(id, r)
	}
	s.emit(id, typ, args, headers)
	s.out.touch(b)
	return id, nil
}

// enqueueCall is enqueueFirst for a call whose first frames leave together: nothing
// comes between them.
func (s *Session) enqueueCall(r Receiver, typ uint64, args, headers []byte, then []Outgoing) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, err := s.number()
	if err != nil {
		return 0, err
	}
	if r != nil {
		s.put(id, r)
	}
	s.emit(id, typ, args, headers)
	for i := range then {
		s.emit(id, then[i].Type, then[i].Args, nil)
	}
	return id, nil
}

// number takes the number of a channel to be opened from this side. Called with mu
// held.
func (s *Session) number() (uint64, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.table.atLeast(s.opts.Channels) || s.max.Load() == math.MaxUint64 {
		return 0, ErrTooManyChannels
	}
	return s.max.Add(1), nil
}

// Send appends a frame to the output. args is a whole msgpack array, nil for an
// empty one; headers likewise. With a nil batch the frame is written at once.
// The error is the one the session ended with.
func (s *Session) Send(b *Batch, channel, typ uint64, args, headers []byte) error {
	err := s.enqueue(b, channel, typ, args, headers)
	if b == nil && err == nil {
		s.flush()
	}
	return err
}

// enqueue is Send without the write: with a nil batch the caller flushes.
func (s *Session) enqueue(b *Batch, channel, typ uint64, args, headers []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.emit(channel, typ, args, headers)
	s.out.touch(b)
	return nil
}

// Pause makes the reader wait before the next frame until Resume has been called
// as often as Pause.
func (s *Session) Pause() {
	s.pauses.Add(1)
}

// Resume takes back one Pause.
func (s *Session) Resume() {
	s.mu.Lock()
	if s.pauses.Add(-1) == 0 && s.resume != nil {
		close(s.resume)
		s.resume = nil
	}
	s.mu.Unlock()
}

// awaitResume blocks the reader while the session is paused. It returns false if
// the session ended meanwhile.
func (s *Session) awaitResume() bool {
	for {
		s.mu.Lock()
		if s.over {
			s.mu.Unlock()
			return false
		}
		if s.pauses.Load() <= 0 {
			s.mu.Unlock()
			return true
		}
		if s.resume == nil {
			s.resume = make(chan struct{})
		}
		c := s.resume
		s.mu.Unlock()
		select {
		case <-c:
		case <-s.done:
		}
	}
}

// syscallConn is what a connection with a file descriptor offers.
type syscallConn interface {
	SyscallConn() (syscall.RawConn, error)
}
