package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

func TestMuxKinds(t *testing.T) {
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindInline, "a", 2, nil)
		p.Want(1, idl.Value, "a", 2, nil)
		p.Send(2, kindUnary, "b")
		p.Want(2, idl.Value, "b")
		p.Send(3, kindListen, "c")
		p.Want(3, idl.Write, "c")
		p.Want(3, idl.Close)
		p.Send(4, kindTalk)
		p.Send(4, idl.Write, "d")
		p.Want(4, idl.Write, "d")
		p.Send(4, idl.Close)
		p.Want(4, idl.Close)
		p.Send(5, kindRaw)
		p.Send(5, idl.Write, "e")
		p.Want(5, idl.Write, "e")
		p.Send(5, idl.Close)
		p.Want(5, idl.Close)
		p.WantIdle()
		if n := p.Session().Channels(); n != 0 {
			t.Errorf("%d channels are left open", n)
		}
	})
}

// Inline and mute methods run in the order of the frames.
func TestInlineOrder(t *testing.T) {
	var order []string // owned by the reader
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Inline("inline", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		order = append(order, r.String())
		return nil, nil
	})
	m.Mute("mute", func(_ context.Context, c *rpc.Call) error {
		r := c.Reader()
		order = append(order, r.String())
		return nil
	})
	bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindMute, "1")
		p.Send(2, kindInline, "2")
		p.Send(3, kindMute, "3")
		p.Send(4, kindInline, "4")
		p.Want(2, idl.Value)
		p.Want(4, idl.Value)
		synctest.Wait()
		if got := strings.Join(order, ""); got != "1234" {
			t.Errorf("order is %s", got)
		}
	})
}

// A call's arguments are the method's own, whatever the reader does meanwhile.
func TestUnaryOwnsArguments(t *testing.T) {
	gate := make(chan struct{})
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Unary("unary", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		<-gate
		if len(c.Headers) != 1 || c.Headers[0] != (hpack.Header{Name: "k", Value: "v"}) {
			return nil, fmt.Errorf("headers are %v", c.Headers)
		}
		return c.Args, nil
	})
	m.Inline("inline", func(context.Context, *rpc.Call) ([]byte, error) { return nil, nil })
	synctest.Test(t, func(t *testing.T) {
		gate = make(chan struct{})
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		p.SendHeaders([]hpack.Header{{Name: "k", Value: "v"}}, 1, kindUnary, "mine")
		for ch := uint64(2); ch < 200; ch++ {
			p.SendHeaders([]hpack.Header{{Name: "other", Value: "other"}}, ch, kindInline, strings.Repeat("z", 100))
			p.Want(ch, idl.Value)
		}
		close(gate)
		p.Want(1, idl.Value, "mine")
	})
}

// Replies echo the triple of the request; without one they have no headers
// (PROTOCOL.md, "Tracing").
func TestTraceIsEchoed(t *testing.T) {
	trace := rpc.Trace{ID: 0xa1, Span: 0xb2, Parent: 0}
	with := append(trace.Headers(), hpack.Header{Name: "authorization", Value: "not echoed"})
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})}, func(t *testing.T, p *rpctest.Peer) {
		ch := uint64(0)
		for _, hs := range [][]hpack.Header{with, nil, {{Name: "x", Value: "y"}}, rpc.Trace{}.Headers()} {
			want := []hpack.Header(nil)
			if len(hs) == len(with) {
				want = trace.Headers()
			}
			check := func(frames int) {
				t.Helper()
				for range frames {
					if f := p.Recv(); f.Channel != ch || !slices.Equal(f.Headers, want) {
						t.Errorf("frame %v has headers %v, want %v", f, f.Headers, want)
					}
				}
			}
			for _, call := range []struct {
				typ    uint64
				arg    string
				frames int
			}{
				{kindInline, "a", 1}, {kindInline, "fail", 1}, {kindUnary, "a", 1}, {kindUnary, "fail", 1},
				{kindListen, "a", 2}, {kindListen, "fail", 1}, {kindUnbound, "a", 1}, {idl.Ping, "", 1}, {idl.Goaway, "", 1},
			} {
				ch++
				p.SendHeaders(hs, ch, call.typ, call.arg)
				check(call.frames)
			}
			ch++
			p.SendHeaders(hs, ch, kindTalk)
			p.Send(ch, idl.Write, "untraced itself")
			check(1)
			p.Send(ch, 9) // a violation
			check(1)
		}
	})
}

// A served stream sends the trace beside its own headers, and no other.
func TestSendHeadersKeepsTrace(t *testing.T) {
	trace := rpc.Trace{ID: 1, Span: 2, Parent: 3}
	extra := hpack.Header{Name: "extra", Value: "e"}
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Stream("listen", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		other := append(rpc.Trace{ID: 9, Span: 9}.Headers(), extra)
		return s.SendHeaders(ctx, idl.Write, nil, other)
	})
	bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
		p.SendHeaders(trace.Headers(), 1, kindListen)
		if f := p.Recv(); !slices.Equal(f.Headers, append(trace.Headers(), extra)) {
			t.Errorf("headers are %v", f.Headers)
		}
		p.Want(1, idl.Close)
		p.Send(2, kindListen)
		if f := p.Recv(); !slices.Equal(f.Headers, []hpack.Header{extra}) {
			t.Errorf("headers without a trace are %v", f.Headers)
		}
	})
}

// Authorize is asked before every method of whatever kind, and its error is the
// answer.
func TestAuthorize(t *testing.T) {
	t.Run("authorize", func(t *testing.T) {
		testRefusal(t, rpc.MuxOptions{Authorize: func(_ context.Context, c *rpc.Call) error { return onlyMe(c.Headers) }})
	})
	t.Run("authenticate", func(t *testing.T) { testRefusal(t, rpc.MuxOptions{Authenticate: onlyMe}) })
}

func onlyMe(headers []hpack.Header) error {
	if who, _ := hpack.Lookup(headers, hpack.Authorization); who != "me" {
		return rpc.Errorf(idl.CategoryGeneric, 13, "who are you")
	}
	return nil
}

func testRefusal(t *testing.T, o rpc.MuxOptions) {
	stats := new(rpc.Stats)
	m := kindMux(o)
	me := []hpack.Header{{Name: hpack.Authorization, Value: "me"}}
	bubble(t, rpc.SessionOptions{Acceptor: m, Stats: stats}, func(t *testing.T, p *rpctest.Peer) {
		ch := uint64(0)
		for _, typ := range []uint64{kindInline, kindUnary, kindListen, kindTalk, kindRaw} {
			ch++
			p.Send(ch, typ, "a")
			p.WantError(ch, idl.CategoryGeneric, 13)
			p.Send(ch, idl.Write, "what the client has sent already is swallowed")
			p.Send(ch, idl.Close)
		}
		ch++
		p.Send(ch, kindMute, "a")
		p.WantIdle()
		if v, n := stats.Violations.Load(), p.Session().Channels(); v != 0 || n != 0 {
			t.Errorf("%d violations and %d open channels, want none", v, n)
		}
		ch++
		p.SendHeaders(me, ch, kindInline, "a")
		p.Want(ch, idl.Value, "a")
		ch++
		p.SendHeaders(me, ch, kindUnary, "b")
		p.Want(ch, idl.Value, "b")
		ch++
		p.SendHeaders(me, ch, kindListen, "c")
		p.Want(ch, idl.Write, "c")
		p.Want(ch, idl.Close)
		ch++
		p.Send(ch, idl.Ping)
		p.Want(ch, idl.Value)
	})
}

// A method's context ends when its client goes away, whatever the client has
// said before.
func TestContextEndsWithClient(t *testing.T) {
	tests := []struct {
		name string
		typ  uint64
		say  func(p *rpctest.Peer)
	}{
		{"silent listener", kindListen, func(*rpctest.Peer) {}},
		{"listener that speaks out of turn", kindListen, func(p *rpctest.Peer) { p.Send(1, idl.Write, "x") }},
		{"unary", kindUnary, func(*rpctest.Peer) {}},
		{"unary with a half open", kindHold, func(*rpctest.Peer) {}},
		{"unary with a half closed", kindHold, func(p *rpctest.Peer) { p.Send(1, 0) }},
		{"talker in the middle", kindTalk, func(p *rpctest.Peer) { p.Send(1, idl.Write, "x") }},
		{"talker that has closed", kindTalk, func(p *rpctest.Peer) { p.Send(1, idl.Close) }},
		{"talker that has failed", kindTalk, func(p *rpctest.Peer) { p.Send(1, idl.StreamError, []any{1, 2}) }},
		{"talker that speaks on after its close", kindTalk, func(p *rpctest.Peer) {
			p.Send(1, idl.Close)
			p.Send(1, idl.Write, "x")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			causes := make(chan error, 1)
			wait := func(ctx context.Context) {
				<-ctx.Done()
				causes <- context.Cause(ctx)
			}
			m := rpc.NewMux(kinds, rpc.MuxOptions{})
			for _, name := range []string{"unary", "hold"} {
				m.Unary(name, func(ctx context.Context, _ *rpc.Call) ([]byte, error) { wait(ctx); return nil, nil })
			}
			for _, name := range []string{"listen", "talk"} {
				m.Stream(name, func(ctx context.Context, _ *rpc.Call, _ *rpc.Stream) error { wait(ctx); return nil })
			}
			bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
				p.Send(1, tt.typ)
				tt.say(p)
				p.WantIdle()
				select {
				case err := <-causes:
					t.Fatalf("context ended before the client went: %v", err)
				default:
				}
				p.Close()
				synctest.Wait()
				select {
				case err := <-causes:
					if !errors.Is(err, rpc.ErrDisconnected) {
						t.Errorf("cause is %v, want ErrDisconnected", err)
					}
				default:
					t.Fatal("the client went, and the method's context has not ended")
				}
				p.Session().Wait()
			})
		})
	}
}

// What a method changes is changed for a client that has hung up, too, but the method
// has ten seconds for it.
func TestChangeOutlastsClient(t *testing.T) {
	var done, gaveUp atomic.Bool
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Change("unary", func(ctx context.Context, _ *rpc.Call) ([]byte, error) {
		time.Sleep(9 * time.Second)
		done.Store(ctx.Err() == nil)
		return nil, nil
	})
	m.Change("hold", func(ctx context.Context, _ *rpc.Call) ([]byte, error) {
		<-ctx.Done()
		gaveUp.Store(errors.Is(context.Cause(ctx), rpc.ErrDisconnected))
		return nil, nil
	})
	bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindUnary)
		p.Send(2, kindHold)
		p.WantIdle()
		p.Close()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if !done.Load() {
			t.Error("the method's context has ended with the client")
		}
		if gaveUp.Load() {
			t.Error("the other method gave up before its time")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !gaveUp.Load() {
			t.Error("the other method goes on after its time")
		}
		p.Session().Wait()
	})
}

// A method's context also ends with its own session and with a violation.
func TestContextEndsOtherwise(t *testing.T) {
	tests := []struct {
		name string
		end  func(p *rpctest.Peer)
		want error
	}{
		{"session closed", func(p *rpctest.Peer) { _ = p.Session().Close() }, rpc.ErrClosed},
		{"violation", func(p *rpctest.Peer) { p.Send(1, 9) }, &rpc.Error{Category: idl.CategoryDispatch, Code: idl.DispatchUnbound}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cause error
			m := rpc.NewMux(kinds, rpc.MuxOptions{})
			m.Stream("talk", func(ctx context.Context, _ *rpc.Call, _ *rpc.Stream) error {
				<-ctx.Done()
				cause = context.Cause(ctx)
				return nil
			})
			bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
				p.Send(1, kindTalk)
				synctest.Wait()
				tt.end(p)
				synctest.Wait()
				if !errors.Is(cause, tt.want) {
					t.Errorf("cause is %v, want %v", cause, tt.want)
				}
			})
		})
	}
}

// Streams that live on do not stop the reader, however many there are: it takes
// the reader to end them.
func TestManyStreamsDoNotStopReader(t *testing.T) {
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Calls: 3}, func(t *testing.T, p *rpctest.Peer) {
		for ch := uint64(1); ch <= 10; ch++ {
			p.Send(ch, kindTalk)
		}
		p.Send(11, idl.Ping)
		p.Want(11, idl.Value)
		p.Send(5, idl.Write, "x")
		p.Want(5, idl.Write, "x")
		p.Send(5, idl.Close)
		p.Want(5, idl.Close)
	})
}

func TestStreamLimitRefuses(t *testing.T) {
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Streams: 2}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindTalk)
		p.Send(2, kindTalk)
		p.Send(3, kindTalk)
		p.WantError(3, idl.CategoryDispatch, idl.DispatchNoDispatch)
		p.Send(3, idl.Write, "swallowed")
		p.Send(3, idl.Close)
		p.Send(2, idl.Close)
		p.Want(2, idl.Close)
		synctest.Wait()
		p.Send(4, kindTalk)
		p.Send(4, idl.Write, "x")
		p.Want(4, idl.Write, "x")
	})
}

// The reader waits while Calls methods run, and no more ever do.
func TestCallsLimit(t *testing.T) {
	const limit = 3
	var running, most atomic.Int64
	gate := make(chan struct{})
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Unary("unary", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		<-gate
		return c.Args, nil
	})
	synctest.Test(t, func(t *testing.T) {
		gate = make(chan struct{})
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m, Calls: limit}})
		for ch := uint64(1); ch <= 10; ch++ {
			p.Send(ch, kindUnary, "x")
		}
		p.Send(11, idl.Ping)
		p.WantIdle() // the ping is behind the calls
		if n := running.Load(); n != limit {
			t.Errorf("%d methods run, want %d", n, limit)
		}
		gate <- struct{}{}
		p.Recv()
		p.WantIdle()
		if n := running.Load(); n != limit {
			t.Errorf("%d methods run after one has ended, want %d", n, limit)
		}
		close(gate)
		for range 10 {
			p.Recv()
		}
		p.WantIdle()
		if n := most.Load(); n != limit {
			t.Errorf("%d methods ran at once, want %d", n, limit)
		}
	})
}

// The limit holds, and the session goes on, when methods end while others start.
func TestCallsLimitUnderLoad(t *testing.T) {
	const calls, limit = 3000, 4
	var running, most atomic.Int64
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Unary("unary", func(context.Context, *rpc.Call) ([]byte, error) {
		n := running.Add(1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		runtime.Gosched()
		running.Add(-1)
		return nil, nil
	})
	p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m, Calls: limit}, Buffer: 1 << 20})
	var input []byte
	for ch := range calls {
		input = append(input, frame(uint64(ch+1), kindUnary)...)
	}
	p.Write(input)
	for range calls {
		p.Recv()
	}
	// A method counts until its answer is out, so that limit is never passed.
	if n := most.Load(); n > limit {
		t.Errorf("%d methods ran at once, want at most %d", n, limit)
	}
}

func TestPanicsAndExits(t *testing.T) {
	fail := map[string]func(){
		"panic":  func() { panic("oh") },
		"goexit": func() { runtime.Goexit() },
	}
	for name, f := range fail {
		t.Run(name, func(t *testing.T) {
			m := rpc.NewMux(kinds, rpc.MuxOptions{})
			m.Unary("unary", func(context.Context, *rpc.Call) ([]byte, error) { f(); return nil, nil })
			m.Stream("listen", func(context.Context, *rpc.Call, *rpc.Stream) error { f(); return nil })
			bubble(t, rpc.SessionOptions{Acceptor: m, Calls: 1, Streams: 1}, func(t *testing.T, p *rpctest.Peer) {
				for ch := uint64(1); ch < 9; ch += 2 { // every time, so that nothing leaks
					p.Send(ch, kindUnary)
					p.WantError(ch, idl.CategoryDispatch, idl.DispatchUncaught)
					p.Send(ch+1, kindListen)
					p.WantError(ch+1, idl.CategoryDispatch, idl.DispatchUncaught)
					synctest.Wait()
				}
				if n := p.Session().Channels(); n != 0 {
					t.Errorf("%d channels are left open", n)
				}
			})
		})
	}
}

// What a stream's method returns is the end of the stream, unless it has sent one.
func TestStreamMethodEnds(t *testing.T) {
	tests := []struct {
		name string
		f    rpc.StreamFunc
		want []string
	}{
		{"nil", func(context.Context, *rpc.Call, *rpc.Stream) error { return nil }, []string{"1 (2) []"}},
		{"error", func(context.Context, *rpc.Call, *rpc.Stream) error { return rpc.Errorf(1, 2, "no") }, []string{`1 (1) [[1, 2], "no"]`}},
		{"close and error", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
			_ = s.Send(ctx, idl.Close, nil)
			return io.ErrUnexpectedEOF
		}, []string{"1 (2) []"}},
		{"given up", func(_ context.Context, _ *rpc.Call, s *rpc.Stream) error { return s.Close() },
			[]string{`1 (1) [[2, 125], "Operation canceled"]`}},
		{"failed", func(_ context.Context, _ *rpc.Call, s *rpc.Stream) error { return s.Fail(rpc.Errorf(3, 4, "why")) },
			[]string{`1 (1) [[3, 4], "why"]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := rpc.NewMux(kinds, rpc.MuxOptions{})
			m.Stream("talk", tt.f)
			bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
				p.Send(1, kindTalk)
				for _, want := range tt.want {
					if f := p.Recv(); f.String() != want {
						t.Errorf("got %v, want %s", f, want)
					}
				}
				p.Send(1, idl.Write, "late")
				p.Send(1, idl.Close)
				p.WantIdle()
				if n := p.Session().Channels(); n != 0 {
					t.Errorf("%d channels are left open", n)
				}
			})
		})
	}
}

// A method may answer with a value on a stream, and the channel waits for the
// client's own end.
func TestStreamServesValue(t *testing.T) {
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Stream("hold", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
		if err := s.Send(ctx, idl.Value, []byte{0x91, 0xc3}); err != nil {
			return err
		}
		msg, err := s.Recv(ctx)
		if err != nil || msg.Type != 0 {
			return fmt.Errorf("Recv = %v, %w", msg, err)
		}
		if _, err := s.Recv(ctx); err != io.EOF {
			return err
		}
		return nil
	})
	bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindHold)
		p.Want(1, idl.Value, true)
		p.WantIdle()
		if n := p.Session().Channels(); n != 1 {
			t.Errorf("%d channels are open, want 1", n)
		}
		p.Send(1, 0)
		p.WantIdle()
		if n := p.Session().Channels(); n != 0 {
			t.Errorf("%d channels are open, want none", n)
		}
	})
}

// A frame that comes while its method is leaving does not leave the session
// paused for ever, large as it may be.
func TestFrameForLeavingMethod(t *testing.T) {
	client, server := sockets(t, "tcp")
	gated := newGatedConn(server)
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Stream("talk", func(context.Context, *rpc.Call, *rpc.Stream) error { return nil })
	stats := new(rpc.Stats)
	run(t, gated, rpc.SessionOptions{Acceptor: m, Stats: stats})
	p := rpctest.Play(t, client)
	gated.hold()
	p.Send(1, kindTalk)
	gated.await() // the method has returned, its close is being written
	p.Send(1, idl.Write, make([]byte, rpc.StreamBuffer+1))
	for stats.FramesIn.Load() < 2 { // the session has received it
		runtime.Gosched()
	}
	gated.release()
	p.Want(1, idl.Close)
	p.Send(2, idl.Ping)
	p.Want(2, idl.Value)
}

// bind mistakes are mistakes of the program.
func TestBindUnknownMethod(t *testing.T) {
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "frobnicate") {
			t.Errorf("recovered %v, want a panic that names the method", p)
		}
	}()
	rpc.NewMux(kinds, rpc.MuxOptions{}).Inline("frobnicate", nil)
}

// Methods run in goroutines of the session: Wait waits for them.
func TestRunWaitsForMethods(t *testing.T) {
	var ended sync.WaitGroup
	ended.Add(1)
	over := make(chan struct{})
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Unary("unary", func(ctx context.Context, _ *rpc.Call) ([]byte, error) {
		<-ctx.Done()
		time.Sleep(time.Minute) // virtual: the method takes its time to leave
		close(over)
		return nil, nil
	})
	synctest.Test(t, func(t *testing.T) {
		over = make(chan struct{})
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		p.Send(1, kindUnary)
		p.WantIdle()
		p.Close()
		p.Session().Wait()
		select {
		case <-over:
		default:
			t.Error("Wait returned while a method was running")
		}
	})
}

// TestMuxMute: a muted stream ends without a message, and without an error.
func TestMuxMute(t *testing.T) {
	m := rpc.NewMux(idl.Unicorn, rpc.MuxOptions{})
	m.Stream("lock", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		s.Mute()
		if s.Sendable() {
			t.Error("a muted stream can send")
		}
		if err := s.Send(ctx, idl.Write, nil); !errors.Is(err, &rpc.Error{Category: idl.CategoryProtocol, Code: idl.ProtocolClosed}) {
			t.Errorf("sending on a muted stream: %v", err)
		}
		return errors.New("nobody hears this")
	})
	synctest.Test(t, func(t *testing.T) {
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		p.Send(1, idl.UnicornLock, "/l")
		p.WantIdle()
	})
}

// What a client gets wrong in calls that have no answer is logged once a second, and
// how often it was not.
func TestMuteFailuresAreLoggedSometimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer // only the reader writes
		m := kindMux(rpc.MuxOptions{Log: slog.New(slog.NewTextHandler(&log, nil))})
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		for ch := uint64(1); ch <= 100; ch++ {
			p.Send(ch, kindMute, "fail")
		}
		time.Sleep(2 * time.Second)
		p.Send(101, kindMute, "fail")
		p.WantIdle()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[1], "unlogged=99") {
			t.Errorf("the log says\n%s", log.String())
		}
	})
}
