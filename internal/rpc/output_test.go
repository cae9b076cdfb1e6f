package rpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// ignore is a Receiver that takes everything.
type ignore struct{}

func (ignore) Receive(*rpc.Batch, *rpc.Frame) bool { return false }
func (ignore) Lost(*rpc.Batch, error)              {}

// relay passes every frame of every channel on to a fixed session.
type relay struct{ to *rpc.Session }

func (r relay) Accept(b *rpc.Batch, _ *rpc.Session, _ uint64, f *rpc.Frame) rpc.Receiver {
	_ = r.to.Send(b, 1, f.Type, f.Args, nil)
	return r
}

func (r relay) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	_ = r.to.Send(b, 1, f.Type, f.Args, nil)
	return false
}

func (r relay) Lost(*rpc.Batch, error) {}

// numbered is a frame that carries a number and some ballast.
func numbered(i, ballast int) []byte { return frame(1, idl.Write, i, make([]byte, ballast)) }

// Everything that one read brought in leaves in one write per peer.
func TestBatchLeavesInOneWrite(t *testing.T) {
	const frames = 50
	out, outPeer := sockets(t, "unix")
	in, inPeer := sockets(t, "tcp")
	gatedOut, gatedIn := newGatedConn(out), newGatedConn(in)
	to := run(t, gatedOut, rpc.SessionOptions{})
	back := &recorder{hook: func(b *rpc.Batch, s *rpc.Session, _ uint64, f *rpc.Frame) {
		_ = to.Send(b, 1, f.Type, f.Args, nil)
		_ = s.Send(b, 1, f.Type, f.Args, nil)
	}}
	run(t, gatedIn, rpc.SessionOptions{Acceptor: back})
	p := rpctest.Play(t, inPeer)
	var input []byte
	for i := range frames {
		input = append(input, numbered(i, 10)...)
	}
	p.Write(input)
	for _, q := range []*rpctest.Peer{p, rpctest.Play(t, outPeer)} {
		for i := range frames {
			q.Want(1, idl.Write, i, make([]byte, 10))
		}
	}
	if a, b := gatedOut.writes.Load(), gatedIn.writes.Load(); a != 1 || b != 1 {
		t.Errorf("%d frames left in %d and %d writes, want 1 and 1", frames, a, b)
	}
}

// Run flushes what it has appended with one write, also when it panics: what
// others append meanwhile relies on it.
func TestRunFlushes(t *testing.T) {
	client, server := sockets(t, "tcp")
	gated := newGatedConn(client)
	s := run(t, gated, rpc.SessionOptions{})
	p := rpctest.Play(t, server)
	rpc.Run(func(b *rpc.Batch) {
		for i := range 10 {
			_ = s.Send(b, 1, 0, p.Args(i), nil)
		}
	})
	func() {
		defer func() { _ = recover() }()
		rpc.Run(func(b *rpc.Batch) {
			_ = s.Send(b, 1, 0, p.Args(10), nil)
			panic("oh")
		})
	}()
	rpc.Run(func(b *rpc.Batch) { _ = s.Send(b, 1, 0, p.Args(11), nil) })
	for i := range 12 {
		p.Want(1, 0, i)
	}
	if n := gated.writes.Load(); n != 3 {
		t.Errorf("%d writes, want 3", n)
	}
}

// A flush that many feed ends: a reader must not become the writer for others.
func TestFlushEnds(t *testing.T) {
	client, server := sockets(t, "tcp")
	gated := newGatedConn(client)
	s := run(t, gated, rpc.SessionOptions{})
	var reader sync.WaitGroup
	defer reader.Wait()
	reader.Go(func() { _, _ = io.Copy(io.Discard, server) })
	defer server.Close()
	var feeding atomic.Bool
	feeding.Store(true)
	feed := func() {
		if feeding.Load() { // somebody else appends while the write is under way
			_ = s.Send(nil, 1, 0, nil, nil)
		}
	}
	gated.onWrite.Store(&feed)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Send(nil, 1, 0, nil, nil)
	}()
	select {
	case <-done:
	case <-time.After(rpctest.Patience):
		t.Error("one Send writes for ever what others append")
	}
	feeding.Store(false)
	<-done
}

// A peer that stops reading makes its feeders wait; when it reads again they go
// on, and nothing is lost.
func TestFeedersWaitForFullPeer(t *testing.T) {
	const buffer, frames, ballast = 64 << 10, 2000, 1000
	synctest.Test(t, func(t *testing.T) {
		slow := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Buffer: buffer}, Buffer: 4 << 10})
		from := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: relay{slow.Session()}}, Buffer: 4 << 10})
		var sent atomic.Int64
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range frames {
				if _, err := from.Conn().Write(numbered(i, ballast)); err != nil {
					t.Error(err)
					return
				}
				sent.Add(1)
			}
		})
		synctest.Wait()
		n, held := sent.Load(), slow.Session().Buffered()
		if n == frames || held > buffer+2*ballast {
			t.Errorf("nobody reads: %d frames were accepted and %d bytes buffered, the limit is %d", n, held, buffer)
		}
		time.Sleep(20 * time.Second) // less than the stall time
		for i := range frames {
			slow.Want(1, idl.Write, i, make([]byte, ballast))
		}
		slow.WantIdle()
		writer.Wait()
		if held := slow.Session().Buffered(); held != 0 {
			t.Errorf("%d bytes are still buffered", held)
		}
	})
}

// The same over sockets, with the kernel's buffers in between.
func TestFeedersWaitOverSockets(t *testing.T) {
	const frames, ballast = 100, 100 << 10
	out, outPeer := sockets(t, "unix")
	in, inPeer := sockets(t, "tcp")
	to := run(t, out, rpc.SessionOptions{Buffer: 1 << 20})
	run(t, in, rpc.SessionOptions{Acceptor: relay{to}})
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		for i := range frames {
			if _, err := inPeer.Write(numbered(i, ballast)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer inPeer.Close()
	p := rpctest.Play(t, outPeer)
	for to.Buffered() <= 1<<20 { // until the feeder has to wait
		runtime.Gosched()
	}
	for i := range frames {
		p.Want(1, idl.Write, i, make([]byte, ballast))
	}
	writer.Wait()
}

// A peer that takes nothing for Stall is cut off, and its feeders go on.
func TestStalledPeerIsCutOff(t *testing.T) {
	const stall = 7 * time.Second
	synctest.Test(t, func(t *testing.T) {
		stats := new(rpc.Stats)
		stuck := rpctest.New(t, rpctest.Options{Buffer: 4 << 10,
			Session: rpc.SessionOptions{Buffer: 16 << 10, Stall: stall, Stats: stats}})
		from := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{
			Acceptor: tee{relay{stuck.Session()}, kindMux(rpc.MuxOptions{})}}})
		lost := make(chan error, 1)
		if _, err := stuck.Session().Open(nil, lostFunc(func(err error) { lost <- err }), 0, nil, nil); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range 100 {
				from.Write(numbered(i, 1000))
			}
			from.Send(2, idl.Ping)
		})
		time.Sleep(stall - time.Second)
		if stuck.Session().Err() != nil {
			t.Error("cut off too early")
		}
		from.Want(2, idl.Value) // behind the frames for the stuck peer
		if waited := time.Since(start); waited < stall || waited > 2*stall {
			t.Errorf("the feeder waited %v, want %v or up to twice that", waited, stall)
		}
		writer.Wait()
		stuck.Session().Wait()
		if err := stuck.Session().Err(); !errors.Is(err, rpc.ErrStalled) || !errors.Is(err, rpc.ErrDisconnected) {
			t.Errorf("Err() = %v, want ErrStalled", err)
		}
		if err := <-lost; !errors.Is(err, rpc.ErrStalled) || rpc.LostError(err).Code != 125 {
			t.Errorf("its channel was lost by %v", err)
		}
		if n := stats.Stalled.Load(); n != 1 {
			t.Errorf("Stalled = %d, want 1", n)
		}
	})
}

// tee sends channel 1 one way and the others the other.
type tee struct{ one, others rpc.Acceptor }

func (a tee) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	if channel == 1 {
		return a.one.Accept(b, s, channel, f)
	}
	return a.others.Accept(b, s, channel, f)
}

type lostFunc func(err error)

func (f lostFunc) Receive(*rpc.Batch, *rpc.Frame) bool { return false }
func (f lostFunc) Lost(_ *rpc.Batch, err error)        { f(err) }

// The peer is watched as well when it stalls right after a writer has done its
// work.
func TestStallAfterRecovery(t *testing.T) {
	const stall = 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		near, far := faultnet.Pipe(faultnet.PipeOptions{Buffer: 1 << 10})
		conn := &slowToForget{Conn: far, gate: make(chan struct{})}
		s := run(t, conn, rpc.SessionOptions{Stall: stall})
		p := rpctest.Play(t, near)
		_ = s.Send(nil, 1, 0, p.Args(make([]byte, 1<<10)), nil)
		p.Recv()
		synctest.Wait() // the writer has written, and takes its deadline back
		_ = s.Send(nil, 1, 0, p.Args(make([]byte, 10<<10)), nil)
		synctest.Wait()
		close(conn.gate)
		time.Sleep(3 * stall)
		if err := s.Err(); !errors.Is(err, rpc.ErrStalled) {
			t.Errorf("Err() = %v after %v without reading, want ErrStalled", err, 3*stall)
		}
	})
}

// slowToForget is a connection on which taking a deadline back takes long.
type slowToForget struct {
	net.Conn
	gate chan struct{}
}

func (c *slowToForget) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		<-c.gate
	}
	return c.Conn.SetWriteDeadline(t)
}

// A peer that reads slowly, but does read, is not cut off.
func TestSlowPeerIsNotCutOff(t *testing.T) {
	const stall, total = 5 * time.Second, 200 << 10
	synctest.Test(t, func(t *testing.T) {
		p := rpctest.New(t, rpctest.Options{Buffer: 1 << 10, Session: rpc.SessionOptions{Stall: stall}})
		for range 20 {
			if err := p.Session().Send(nil, 1, 0, p.Args(make([]byte, total/20)), nil); err != nil {
				t.Fatal(err)
			}
		}
		got, b := 0, make([]byte, 1<<10)
		for got < total {
			time.Sleep(stall - time.Second)
			n, err := p.Conn().Read(b)
			if err != nil {
				t.Fatalf("cut off after %d bytes: %v", got, err)
			}
			got += n
		}
	})
}

// A full session concerns those who feed it and nobody else.
func TestSlowSessionStopsOnlyItsFeeders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := rpctest.New(t, rpctest.Options{Buffer: 1 << 10, Session: rpc.SessionOptions{Buffer: 4 << 10}})
		quick := rpctest.New(t, rpctest.Options{})
		feeder := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: tee{relay{stuck.Session()}, kindMux(rpc.MuxOptions{})}}})
		other := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: relay{quick.Session()}}})
		feeder.Write(slices.Concat(numbered(0, 5000), numbered(1, 5000), frame(2, kindMute), frame(3, 77)))
		synctest.Wait()
		for i := range 100 {
			other.Write(numbered(i, 1000))
			quick.Want(1, idl.Write, i, make([]byte, 1000))
		}
		feeder.WantIdle() // it has not come to its last frame
		if !feeder.Session().Blocked() || other.Session().Blocked() || stuck.Session().Blocked() {
			t.Error("Blocked does not tell the feeder of a full session from others")
		}
		_ = stuck.Session().Close()
		feeder.WantError(3, idl.CategoryDispatch, idl.DispatchUnbound)
		synctest.Wait()
		if feeder.Session().Blocked() {
			t.Error("the feeder is blocked by a session that has ended")
		}
	})
}

// Send never blocks, whatever is buffered; AwaitRoom does.
func TestAwaitRoom(t *testing.T) {
	const buffer = 256 << 10
	synctest.Test(t, func(t *testing.T) {
		p := rpctest.New(t, rpctest.Options{Buffer: 1 << 10, Session: rpc.SessionOptions{Buffer: buffer}})
		s := p.Session()
		chunk := p.Args(make([]byte, 1000))
		fill := func() {
			for s.Buffered() <= 2*buffer {
				if err := s.Send(nil, 1, 0, chunk, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.AwaitRoom(t.Context()); err != nil {
			t.Errorf("AwaitRoom of an empty session = %v", err)
		}
		fill()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.AwaitRoom(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("AwaitRoom = %v, want the context's end", err)
		}
		if _, err := s.Call(ctx, 0, nil, rpc.CallOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Call = %v, want the context's end", err)
		}
		woken := make(chan int)
		go func() {
			_ = s.AwaitRoom(context.Background())
			woken <- s.Buffered()
		}()
		for waiting := true; waiting; {
			p.Recv()
			synctest.Wait()
			select {
			case left := <-woken:
				waiting = false
				if left > buffer/2 || left < buffer/4 {
					t.Errorf("woken at %d bytes, want just below %d", left, buffer/2)
				}
			default:
			}
		}
		fill()
		go func() { _ = s.AwaitRoom(context.Background()); woken <- s.Buffered() }()
		synctest.Wait()
		_ = s.Close()
		<-woken
		if err := s.Send(nil, 1, 0, nil, nil); !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("Send after Close = %v", err)
		}
	})
}

// Output over the limit that is the reader's own doing stops that reader.
func TestReaderWaitsForItself(t *testing.T) {
	const buffer = 8 << 10
	synctest.Test(t, func(t *testing.T) {
		p := rpctest.New(t, rpctest.Options{Buffer: 1 << 10, Session: rpc.SessionOptions{
			Acceptor: kindMux(rpc.MuxOptions{}), Buffer: buffer}})
		var writer sync.WaitGroup
		writer.Go(func() {
			for ch := uint64(1); ch <= 200; ch++ {
				p.Send(ch, kindInline, "some text to send back, of about fifty bytes")
			}
		})
		synctest.Wait()
		if held := p.Session().Buffered(); held > buffer+1000 {
			t.Errorf("%d bytes are buffered for a peer that does not read, the limit is %d", held, buffer)
		}
		for ch := uint64(1); ch <= 200; ch++ {
			if f := p.Recv(); f.Channel != ch {
				t.Fatalf("got %v, want channel %d", f, ch)
			}
		}
		writer.Wait()
	})
}

// Two peers that feed each other and do not read would wait for each other for
// ever: they are cut off.
func TestMutualBackPressure(t *testing.T) {
	const stall = 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		o := rpc.SessionOptions{Buffer: 64 << 10, Stall: stall}
		cross := make([]crossing, 2)
		peers := make([]*rpctest.Peer, 2)
		for i := range peers {
			o.Acceptor = &cross[i]
			peers[i] = rpctest.New(t, rpctest.Options{Session: o, Buffer: 4 << 10})
		}
		cross[0].to.Store(peers[1].Session())
		cross[1].to.Store(peers[0].Session())
		start := time.Now()
		var writers sync.WaitGroup
		for _, p := range peers {
			writers.Go(func() {
				for i := range 500 {
					if _, err := p.Conn().Write(numbered(i, 1000)); err != nil {
						return // its session has ended
					}
				}
			})
		}
		for i, p := range peers {
			p.Session().Wait()
			if err := p.Session().Err(); !errors.Is(err, rpc.ErrStalled) {
				t.Errorf("session %d: Err() = %v, want ErrStalled", i, err)
			}
		}
		writers.Wait()
		if d := time.Since(start); d > 4*stall {
			t.Errorf("it took %v, the stall time is %v", d, stall)
		}
	})
}

// crossing is a relay whose other side is told later.
type crossing struct{ to atomic.Pointer[rpc.Session] }

func (c *crossing) Accept(b *rpc.Batch, s *rpc.Session, ch uint64, f *rpc.Frame) rpc.Receiver {
	return relay{c.to.Load()}.Accept(b, s, ch, f)
}

// What the peer said before its connection broke is read, although sending to it
// has failed already.
func TestBrokenOutputStillReads(t *testing.T) {
	const notes = 8000
	near, far := sockets(t, "unix")
	var inline, muted atomic.Int64
	first := make(chan struct{})
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Inline("inline", func(context.Context, *rpc.Call) ([]byte, error) {
		if inline.Add(1) == 1 {
			<-first // until the client is gone
		}
		return nil, nil
	})
	m.Mute("mute", func(context.Context, *rpc.Call) error { muted.Add(1); return nil })
	_ = near.(*net.UnixConn).SetWriteBuffer(4 << 20)
	s := run(t, far, rpc.SessionOptions{Acceptor: m})
	var input []byte
	ch := uint64(0)
	for i := range notes {
		ch++
		input = append(input, frame(ch, kindMute, "a note")...)
		if i%1000 == 0 {
			ch++
			input = append(input, frame(ch, kindInline)...)
		}
	}
	if err := near.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := near.Write(input)
	if err != nil {
		t.Skipf("the kernel holds only %d of %d bytes", n, len(input))
	}
	_ = near.Close()
	close(first)
	s.Wait()
	if got := muted.Load(); got != notes {
		t.Errorf("%d of %d notes arrived", got, notes)
	}
	if err := s.Err(); !errors.Is(err, rpc.ErrDisconnected) {
		t.Errorf("Err() = %v, want ErrDisconnected", err)
	}
}

// Nothing can be sent to a peer that takes nothing any more, but may still talk;
// it is given a moment for that and not more.
func TestBrokenOutputEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})},
			Faults: faultnet.Script{Write: []faultnet.Fault{faultnet.CloseAt(0)}}})
		s := p.Session()
		p.Send(1, kindInline, "a")
		synctest.Wait()
		if err := s.Send(nil, 1, 0, nil, nil); !errors.Is(err, rpc.ErrDisconnected) || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Send = %v, want ErrDisconnected, EPIPE", err)
		}
		if _, err := s.Open(nil, nil, 0, nil, nil); !errors.Is(err, rpc.ErrDisconnected) {
			t.Errorf("Open = %v, want ErrDisconnected", err)
		}
		start := time.Now()
		s.Pause() // even then
		s.Wait()
		if d := time.Since(start); d == 0 || d > 5*time.Second {
			t.Errorf("the session ended after %v", d)
		}
	})
}

// Close ends a session whose writer is stuck.
func TestCloseWithStuckWriter(t *testing.T) {
	for _, network := range []string{"unix", "mem"} {
		t.Run(network, func(t *testing.T) {
			var conn net.Conn
			if network == "mem" {
				a, b := faultnet.Pipe(faultnet.PipeOptions{Buffer: 10})
				defer b.Close()
				conn = a
			} else {
				a, b := sockets(t, network)
				defer b.Close()
				conn = a
			}
			s := rpc.Start(conn, rpc.SessionOptions{})
			for range 100 {
				if err := s.Send(nil, 1, 0, msgpack.AppendBytes([]byte{0x91}, make([]byte, 100<<10)), nil); err != nil {
					t.Fatal(err)
				}
			}
			_ = s.Close()
			s.Wait()
			if n := s.Buffered(); n != 0 {
				t.Errorf("%d bytes are buffered on a closed session", n)
			}
		})
	}
}

// Output split and delayed at will arrives whole.
func TestOutputOverBadNetwork(t *testing.T) {
	seed := faultnet.Seed(t)
	synctest.Test(t, func(t *testing.T) {
		p := rpctest.New(t, rpctest.Options{Buffer: 700,
			Session: rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})},
			Faults: faultnet.Script{
				Read:  []faultnet.Fault{faultnet.Chop(faultnet.Sub(seed, 1), 7)},
				Write: []faultnet.Fault{faultnet.Chop(faultnet.Sub(seed, 2), 13), faultnet.Jitter(faultnet.Sub(seed, 3), time.Millisecond)},
			}})
		var writer sync.WaitGroup
		writer.Go(func() {
			for ch := uint64(1); ch <= 300; ch++ {
				p.Send(ch, kindInline, int(ch))
			}
		})
		for ch := uint64(1); ch <= 300; ch++ {
			p.WantError(ch, idl.CategoryDispatch, idl.DispatchBadArgs)
		}
		writer.Wait()
	})
}

// Sessions that are closed, stalled and fed by many goroutines at once end.
func TestOutputUnderStress(t *testing.T) {
	for round := range 12 {
		client, server := sockets(t, []string{"tcp", "unix"}[round%2])
		s := rpc.Start(client, rpc.SessionOptions{Buffer: 32 << 10, Stall: 20 * time.Millisecond})
		var wg sync.WaitGroup
		args := msgpack.AppendBytes([]byte{0x91}, make([]byte, 4<<10))
		for i := range 8 {
			wg.Go(func() {
				for {
					var err error
					if i%2 == 0 {
						if err = s.AwaitRoom(context.Background()); err == nil {
							err = s.Send(nil, 1, 0, args, nil)
						}
					} else {
						rpc.Run(func(b *rpc.Batch) { _, err = s.Open(b, ignore{}, 0, args, nil) })
						_ = s.AwaitRoom(context.Background())
					}
					if err != nil {
						return
					}
				}
			})
		}
		wg.Go(func() {
			b := make([]byte, 64<<10)
			for range 20 * round {
				if _, err := server.Read(b); err != nil {
					return
				}
			}
			switch round % 3 {
			case 0:
				_ = server.Close()
			case 1:
				_ = s.Close()
			} // else it stalls
		})
		wg.Wait()
		s.Wait()
		_ = server.Close()
		if s.Err() == nil || s.Channels() != 0 {
			t.Fatalf("round %d: Err() = %v, %d channels", round, s.Err(), s.Channels())
		}
	}
}
