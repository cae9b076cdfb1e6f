package cocainetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A Frame is one message as it was sent (docs/PROTOCOL.md, Frames).
type Frame struct {
	Time     time.Time // when it was written or read, virtual in a bubble of testing/synctest
	Conn     int       // which connection, in the order in which they were made, from 1
	From, To string    // "client", a service, "worker of APP", "runtime"
	Channel  uint64
	Type     uint64
	Name     string // of the message, "" if the protocol does not have it
	Args     cocaine.Raw
	Headers  cocaine.Headers
}

// String shows the frame on one line:
//
//	#2 client → storage: 1 read(0) ["apps", "hello"]
func (f Frame) String() string {
	style := wire.Style{Name: func(uint64, uint64) string { return f.Name }}
	w := wire.Frame{Channel: f.Channel, Type: f.Type, Args: f.Args}
	if len(f.Headers) > 0 {
		w.Headers = hpack.AppendLiterals(nil, f.Headers)
	}
	return fmt.Sprintf("#%d %s → %s: %s", f.Conn, f.From, f.To, style.AppendFrame(nil, w))
}

// Frames are those sent so far on all connections, in the order in which their
// senders wrote them or, of services and the runtime, their receivers read them: the
// latest some thousand.
func (r *Runtime) Frames() []Frame {
	r.recorder.mu.Lock()
	defer r.recorder.mu.Unlock()
	return append([]Frame(nil), r.recorder.frames...)
}

// Dump writes the frames, one a line.
func (r *Runtime) Dump(w io.Writer) error {
	_, err := io.WriteString(w, r.recorder.tail(maxFrames))
	return err
}

// WaitFrame waits for a frame that match reports true for, and returns it: one that
// was sent already, or the first that will be. Frames that are not kept any more are
// not found.
func (r *Runtime) WaitFrame(ctx context.Context, match func(Frame) bool) (Frame, error) {
	rec := r.recorder
	for seen := uint64(0); ; {
		rec.mu.Lock()
		fresh := rec.frames[max(0, len(rec.frames)-int(rec.total-seen)):]
		seen = rec.total
		grown := rec.grown
		rec.mu.Unlock()
		for _, f := range fresh {
			if match(f) {
				return f, nil
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("cannot wait for frame: %w", context.Cause(ctx))
		}
	}
}

// What is kept of frames: the latest maxFrames, as long as their arguments have no
// more than maxKept bytes.
const (
	maxFrames = 4096
	maxKept   = 32 << 20
)

// A recorder keeps frames.
type recorder struct {
	mu     sync.Mutex
	conns  int
	frames []Frame // never changed, only appended to and cut: readers keep what they have got
	bytes  int
	total  uint64        // frames ever
	grown  chan struct{} // closed when there is another
}

func newRecorder() *recorder { return &recorder{grown: make(chan struct{})} }

func (rec *recorder) add(f Frame) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.frames = append(rec.frames, f)
	rec.total++
	rec.bytes += len(f.Args)
	for len(rec.frames) > maxFrames || rec.bytes > maxKept && len(rec.frames) > 1 {
		rec.bytes -= len(rec.frames[0].Args)
		rec.frames = rec.frames[1:]
	}
	close(rec.grown)
	rec.grown = make(chan struct{})
}

// tail shows the latest frames.
func (rec *recorder) tail(n int) string {
	rec.mu.Lock()
	frames := rec.frames[max(0, len(rec.frames)-n):]
	rec.mu.Unlock()
	var b strings.Builder
	for _, f := range frames {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// tap records what passes a connection, seen from the end of who has dialed. The
// protocols are of the channels that the dialing side opens, and of those that the
// other side does.
func (rec *recorder) tap(c net.Conn, from, to string, opens [2]*idl.Protocol) net.Conn {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.conns++
	t := &tap{Conn: c, names: &names{opens: opens, channels: make(map[uint64]*[2]*idl.Node)}}
	t.out = listener{rec: rec, conn: rec.conns, from: from, to: to, scanner: wire.NewScanner(wire.Limits{}), names: t.names, side: 0}
	t.in = listener{rec: rec, conn: rec.conns, from: to, to: from, scanner: wire.NewScanner(wire.Limits{}), names: t.names, side: 1}
	return t
}

// A tap is a connection that is listened in on.
type tap struct {
	net.Conn
	names   *names
	out, in listener
}

// Write records before it writes: an answer must not be recorded before its call.
func (t *tap) Write(p []byte) (int, error) {
	t.out.hear(p)
	return t.Conn.Write(p)
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.in.hear(p[:n])
	return n, err
}

// A listener splits one direction of a connection into frames.
type listener struct {
	rec      *recorder
	conn     int
	from, to string
	names    *names
	side     int // who sends: 0 for the dialing side

	mu      sync.Mutex
	scanner wire.Scanner
	table   hpack.Table
	buf     []byte
	deaf    bool // what came was no frame: nobody knows where the next one begins
}

func (l *listener) hear(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf {
		return
	}
	l.buf = append(l.buf, p...)
	rest := l.buf
	for {
		f, n, err := l.scanner.Next(rest)
		if errors.Is(err, wire.ErrShort) {
			l.buf = append(l.buf[:0], rest...)
			return
		}
		if err == nil {
			err = l.frame(f)
		}
		if err != nil {
			l.deaf, l.buf = true, nil
			return
		}
		rest = rest[n:]
	}
}

func (l *listener) frame(f wire.Frame) error {
	hs, err := l.table.Decode(nil, f.Headers)
	if err != nil {
		return err
	}
	l.rec.add(Frame{
		Time: time.Now(), Conn: l.conn, From: l.from, To: l.to, Channel: f.Channel, Type: f.Type,
		Name: l.names.name(l.side, f.Channel, f.Type), Args: append(cocaine.Raw(nil), f.Args...), Headers: hs,
	})
	return nil
}

// names follows the channels of a connection, to know what their messages are
// called.
type names struct {
	opens [2]*idl.Protocol

	mu       sync.Mutex
	channels map[uint64]*[2]*idl.Node // what either side may send next
}

func (n *names) name(side int, channel, typ uint64) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	states := n.channels[channel]
	if states == nil {
		return n.open(side, channel, typ)
	}
	m := states[side].Lookup(typ)
	if m == nil {
		return ""
	}
	if m.Next != nil {
		states[side] = m.Next
	}
	n.close(channel, states)
	return m.Name
}

// open follows a channel from its first message on. Called with mu held.
func (n *names) open(side int, channel, typ uint64) string {
	if n.opens[side] == nil {
		return ""
	}
	m := n.opens[side].Message(typ)
	if m == nil {
		return ""
	}
	states := new([2]*idl.Node)
	states[side], states[1-side] = m.Next, m.Reply.Node
	n.channels[channel] = states
	n.close(channel, states)
	return m.Name
}

// close forgets a channel on which nothing more can be sent. Called with mu held.
func (n *names) close(channel uint64, states *[2]*idl.Node) {
	if states[0].IsTerminal() && states[1].IsTerminal() {
		delete(n.channels, channel)
	}
}
