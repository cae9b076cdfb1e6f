package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// FuzzSessions runs its input as a program: each byte is an operation on one of
// two sessions that are connected, a caller and a service, or on the connection
// between them. Whatever the program does, every channel ends exactly once,
// nothing hangs, and no goroutine is left: the bubble sees to the last two.
func FuzzSessions(f *testing.F) {
	f.Add([]byte{opCall, opSend, opSend, opCloseHalf, opSettle})
	f.Add([]byte{opOpen, 4, opOpen, 5, opOpen, 0, opRevoke, 1, opSettle, opDrop, 0})
	f.Add([]byte{opCall, opStopReading, 1, opSend, opSend, opSend, opSend, opSend, opSend, opSleep, 200, opSend, opStartReading, 1})
	f.Add([]byte{opCall, opCall, opCall, opCall, opCall, opCall, opFail, 3, opForget, 2, opSettle, opLate, 2, opGarbage, 3, 0x94, 1, 0})
	f.Add([]byte{opOpen, 1, opOpen, 1, opOpen, 9, opPause, 1, opOpen, 1, opResume, 1, opBatch, 9, opSettle, opDrop, 3, opBatch, 9})
	f.Add([]byte{opCall, opStopReading, 0, opStopReading, 1, opBatch, 200, opBatch, 200, opBatch, 200, opSleep, 255, opSleep, 255})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 300 {
			return
		}
		synctest.Test(t, func(t *testing.T) { newWorld(t).run(program) })
	})
}

// The operations of a program. Those below opSettle take one more byte.
const (
	opOpen = iota
	opRevoke
	opDrop
	opStopReading
	opStartReading
	opSleep
	opFail
	opForget
	opLate
	opGarbage // and as many bytes as that says, up to 16
	opPause
	opResume
	opBatch
	opSettle
	opCall
	opSend
	opCloseHalf
	opClose
	opCount
)

// world is a caller a and a service b, each on a connection that the program can
// disturb.
type world struct {
	t         *testing.T
	a, b      *rpc.Session
	connA     *valveConn
	connB     *valveConn
	service   *recorder // of b's raw method
	streams   []*rpc.Stream
	receivers []*tracked
	sent      map[uint64]int // numbered messages sent on each stream
	turn      byte           // counts the operations on streams: each takes the next one
	readers   sync.WaitGroup
	pauses    [2]int
	disturbed bool // the connection was cut or polluted, or somebody did not read
}

func newWorld(t *testing.T) *world {
	near, far := faultnet.Pipe(faultnet.PipeOptions{Buffer: 1 << 10})
	w := &world{t: t, connA: newValveConn(near), connB: newValveConn(far), service: &recorder{}, sent: make(map[uint64]int)}
	m := kindMux(rpc.MuxOptions{})
	m.Raw("raw", w.service)
	o := rpc.SessionOptions{Buffer: 2 << 10, Stall: 2 * time.Second, Channels: 24, Calls: 2, Streams: 6,
		Limits: wire.Limits{MaxFrame: 8 << 10}}
	w.a = rpc.Start(w.connA, o)
	o.Acceptor = m
	w.b = rpc.Start(w.connB, o)
	return w
}

func (w *world) run(program []byte) {
	for len(program) > 0 {
		op := program[0] % opCount
		program = program[1:]
		var arg byte
		if op < opSettle && len(program) > 0 {
			arg, program = program[0], program[1:]
		}
		if op == opGarbage {
			n := min(int(arg%16), len(program))
			w.pollute(program[:n])
			program = program[n:]
			continue
		}
		w.step(op, arg)
	}
	w.finish()
}

func (w *world) step(op, arg byte) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	session, conn := w.a, w.connA
	if arg%2 == 1 {
		session, conn = w.b, w.connB
	}
	switch op {
	case opOpen:
		w.open(nil, uint64(arg%12))
	case opRevoke:
		_, _ = w.a.Open(nil, nil, idl.Revoke, args(uint64(arg%16), []any{42, 1}), nil)
		w.disturbed = true // of the streams' order
	case opDrop:
		w.drop(conn, arg)
	case opStopReading:
		conn.stop()
		w.disturbed = true
	case opStartReading:
		conn.start()
	case opSleep:
		time.Sleep(time.Duration(arg) * 20 * time.Millisecond)
	case opFail:
		if st := w.stream(arg); st != nil {
			_ = st.Fail(errors.New("given up"))
			w.disturbed = true
		}
	case opForget:
		if len(w.receivers) > 0 {
			w.receivers[int(arg)%len(w.receivers)].forget(w.a)
		}
	case opLate:
		_ = w.a.Send(nil, uint64(arg%16), uint64(arg%3), nil, nil)
		w.disturbed = true
	case opPause:
		session.Pause()
		w.pauses[arg%2]++
		w.disturbed = true // its peer may take it for stalled
	case opResume:
		if w.pauses[arg%2] > 0 {
			w.pauses[arg%2]--
			session.Resume()
		}
	case opBatch:
		rpc.Run(func(b *rpc.Batch) {
			for i := range int(arg % 32) {
				w.open(b, uint64(i%6))
			}
		})
	case opSettle:
		synctest.Wait()
	case opCall:
		w.call(ctx)
	case opSend:
		if st := w.next(); st != nil {
			if st.Send(ctx, idl.Write, args(uint64(w.sent[st.ID()]), make([]byte, 300))) == nil {
				w.sent[st.ID()]++
			}
		}
	case opCloseHalf:
		if st := w.next(); st != nil {
			_ = st.Send(ctx, idl.Close, nil)
		}
	case opClose:
		_ = session.Close()
		w.disturbed = true
	}
}

// args encodes values that AppendValue takes.
func args(values ...any) []byte {
	b := msgpack.AppendArray(nil, len(values))
	for _, v := range values {
		b, _ = msgpack.AppendValue(b, v)
	}
	return b
}

// next takes the streams in turn, two operations each.
func (w *world) next() *rpc.Stream {
	w.turn++
	return w.stream(w.turn / 2)
}

func (w *world) stream(i byte) *rpc.Stream {
	if len(w.streams) == 0 {
		return nil
	}
	return w.streams[int(i)%len(w.streams)]
}

// open opens a channel with a Receiver that keeps account of its end.
func (w *world) open(b *rpc.Batch, typ uint64) {
	r := &tracked{answers: typ == kindListen || typ == kindTalk || typ == kindRaw || typ == kindUnbound}
	r.mu.Lock()
	defer r.mu.Unlock()
	id, err := w.a.Open(b, r, typ, args("x"), nil)
	if err != nil {
		return
	}
	r.channel = id
	w.receivers = append(w.receivers, r)
}

// call opens a stream and reads it to its end.
func (w *world) call(ctx context.Context) {
	st, err := w.a.Call(ctx, kindTalk, nil, talking)
	if err != nil {
		return
	}
	w.streams = append(w.streams, st)
	w.readers.Go(func() {
		next := uint64(0)
		for {
			m, err := st.Recv(context.Background())
			if err != nil {
				return
			}
			if len(m.Args) == 1 {
				continue // the echo of what opLate has sent
			}
			r := msgpack.NewReader(m.Args)
			r.Array()
			if got := r.Uint(); got != next {
				w.t.Errorf("channel %d: message %d came instead of %d", st.ID(), got, next)
				return
			}
			next++
		}
	})
}

// pollute puts bytes among those that the caller sends.
func (w *world) pollute(b []byte) {
	w.disturbed = true
	_ = w.connA.SetWriteDeadline(time.Now().Add(time.Millisecond))
	_, _ = w.connA.Write(b)
	_ = w.connA.SetWriteDeadline(time.Time{})
}

func (w *world) drop(conn *valveConn, arg byte) {
	w.disturbed = true
	switch pipe := conn.Conn.(*faultnet.PipeConn); arg / 2 % 3 {
	case 0:
		_ = pipe.Close()
	case 1:
		_ = pipe.Reset()
	case 2:
		_ = pipe.CloseWrite()
	}
}

// finish lets everything come to rest, looks whether what was not disturbed still
// works, and ends both sessions.
func (w *world) finish() {
	w.connA.start()
	w.connB.start()
	for i, s := range []*rpc.Session{w.a, w.b} {
		for range w.pauses[i] {
			s.Resume()
		}
	}
	for _, st := range w.streams {
		_ = st.Close()
	}
	if !w.disturbed {
		w.check()
	}
	_ = w.a.Close()
	w.a.Wait()
	_ = w.connB.Close()
	w.b.Wait()
	w.readers.Wait()
	for _, r := range w.receivers {
		if err := r.verdict(); err != nil {
			w.t.Error(err)
		}
	}
	for channel, n := range w.service.ends {
		if n != 1 {
			w.t.Errorf("channel %d of the service ended %d times", channel, n)
		}
	}
	if n := w.a.Channels() + w.b.Channels(); n != 0 {
		w.t.Errorf("%d channels are left", n)
	}
}

// check makes a call over an undisturbed connection.
func (w *world) check() {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	synctest.Wait()
	if w.a.Channels() >= 24 {
		return // no channel is left for it
	}
	st, err := w.a.Call(ctx, idl.Ping, nil, rpc.CallOptions{})
	if err != nil {
		w.t.Errorf("nothing was disturbed, and a call fails: %v; sessions ended with %v, %v", err, w.a.Err(), w.b.Err())
		return
	}
	// The service refuses it when its own channels are used up.
	if _, err := st.Recv(ctx); err != nil && !errors.Is(err, &rpc.Error{Category: idl.CategoryDispatch, Code: idl.DispatchNoDispatch}) {
		w.t.Errorf("nothing was disturbed, and a call gets no answer: %v; sessions ended with %v, %v", err, w.a.Err(), w.b.Err())
	}
}

// tracked is a Receiver that keeps account of how its channel ended.
type tracked struct {
	answers bool // by a stream, not by one value

	mu       sync.Mutex
	channel  uint64
	forgot   bool
	ends     int
	afterEnd int
}

func (r *tracked) Receive(_ *rpc.Batch, f *rpc.Frame) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends > 0 {
		r.afterEnd++
	}
	if r.answers && f.Type == idl.Write {
		return false
	}
	r.ends++
	return true
}

func (r *tracked) Lost(*rpc.Batch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends++
}

func (r *tracked) forget(s *rpc.Session) {
	r.mu.Lock()
	r.forgot = true
	channel := r.channel
	r.mu.Unlock()
	s.Forget(channel)
}

func (r *tracked) verdict() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.afterEnd > 0 {
		return fmt.Errorf("channel %d got %d frames after its end", r.channel, r.afterEnd)
	}
	if r.ends > 1 || r.ends == 0 && !r.forgot {
		return fmt.Errorf("channel %d ended %d times", r.channel, r.ends)
	}
	return nil
}

// valveConn is a connection whose owner can stop reading.
type valveConn struct {
	net.Conn
	mu     sync.Mutex
	open   chan struct{} // closed while reading is allowed
	closed chan struct{}
	once   sync.Once
}

func newValveConn(c net.Conn) *valveConn {
	v := &valveConn{Conn: c, open: make(chan struct{}), closed: make(chan struct{})}
	close(v.open)
	return v
}

func (v *valveConn) stop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.open:
		v.open = make(chan struct{})
	default:
	}
}

func (v *valveConn) start() {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.open:
	default:
		close(v.open)
	}
}

func (v *valveConn) Read(p []byte) (int, error) {
	v.mu.Lock()
	open := v.open
	v.mu.Unlock()
	select {
	case <-open:
	case <-v.closed:
	}
	return v.Conn.Read(p)
}

func (v *valveConn) Close() error {
	v.once.Do(func() { close(v.closed) })
	return v.Conn.Close()
}

// FuzzInput gives its input to a service with methods of every kind. Whatever it
// is, the service writes whole frames, ends each channel once, and leaves nothing
// behind.
func FuzzInput(f *testing.F) {
	for typ := range uint64(12) {
		f.Add(append(frame(1, typ, "x"), append(frame(1, idl.Write, "y"), frame(1, idl.Close)...)...), byte(typ))
	}
	f.Add(frame(1, idl.Ping), byte(0))
	f.Add(append(frame(4, kindTalk), frame(5, idl.Revoke, 4, []any{1, 2})...), byte(1))
	f.Add([]byte("\x94\x01\x00\x91\xa1x\x92\x93\xc3\xa1n\xa1v\x53"), byte(2))
	f.Add([]byte("\x95\x01\x01\x91\xa1x\x90\xc0\x93\x02\x04\x90\xc1"), byte(1))
	f.Fuzz(func(t *testing.T, input []byte, piece byte) {
		if len(input) > 8<<10 {
			return
		}
		synctest.Test(t, func(t *testing.T) { feed(t, input, int(piece)) })
	})
}

func feed(t *testing.T, input []byte, piece int) {
	service := &recorder{}
	m := kindMux(rpc.MuxOptions{})
	m.Raw("raw", service)
	var script faultnet.Script
	if piece > 0 {
		script.Read = []faultnet.Fault{faultnet.Pieces(piece)}
	}
	p := rpctest.New(t, rpctest.Options{Buffer: 1 << 20, Faults: script, Session: rpc.SessionOptions{Acceptor: m,
		Channels: 16, Calls: 3, Streams: 4, Limits: wire.Limits{MaxFrame: 4 << 10}}})
	if _, err := p.Conn().Write(input); err != nil {
		t.Skip() // the session closed it already
	}
	synctest.Wait()
	_ = p.Conn().(*faultnet.PipeConn).CloseWrite()
	p.Session().Wait()
	output := new(bytes.Buffer)
	if _, err := output.ReadFrom(p.Conn()); err != nil {
		t.Errorf("cannot read the output: %v", err)
	}
	checkOutput(t, input, output.Bytes())
	for channel, n := range service.ends {
		if n != 1 {
			t.Errorf("channel %d ended %d times", channel, n)
		}
	}
}

// checkOutput looks whether output is a possible answer to input.
func checkOutput(t *testing.T, input, output []byte) {
	methods := make(map[uint64]uint64) // by channel: the type of its first frame
	highest := uint64(0)
	for s := wire.NewScanner(wire.Limits{MaxFrame: 4 << 10}); ; {
		f, n, err := s.Next(input)
		if err != nil {
			break
		}
		input = input[n:]
		if f.Channel > highest {
			highest = f.Channel
			methods[f.Channel] = f.Type
		}
	}
	over := make(map[uint64]bool)
	for s := wire.NewScanner(wire.Limits{}); len(output) > 0; {
		f, n, err := s.Next(output)
		if errors.Is(err, wire.ErrShort) {
			break // the connection was closed in the middle
		}
		if err != nil {
			t.Fatalf("the output is malformed: %v", err)
		}
		output = output[n:]
		typ, known := methods[f.Channel]
		if !known && f.Type != idl.Error {
			t.Fatalf("%v on a channel that was never opened", f)
		}
		if e, err := rpc.DecodeError(f.Args); err == nil && f.Type == idl.Error && e.Code == idl.DispatchRevoked && e.Category == idl.CategoryDispatch {
			continue // an answer to a frame that came long after the end
		}
		if over[f.Channel] && known {
			t.Fatalf("%v after the end of its channel (method %d)", f, typ)
		}
		streams := typ == kindListen || typ == kindTalk
		over[f.Channel] = !streams || f.Type != idl.Write
	}
}
