package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// talking are the options of a call that streams both ways.
var talking = rpc.CallOptions{Send: streaming.Node, Recv: streaming.Node}

// call opens channel ch of a Peer's session with message 4.
func call(t *testing.T, p *rpctest.Peer, ch uint64, o rpc.CallOptions) *rpc.Stream {
	t.Helper()
	st, err := p.Session().Call(t.Context(), kindTalk, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	p.Want(ch, kindTalk)
	if st.ID() != ch {
		t.Errorf("ID() = %d, want %d", st.ID(), ch)
	}
	return st
}

// received reads a stream to its end and shows what came.
func received(ctx context.Context, st *rpc.Stream) string {
	var b strings.Builder
	for {
		m, err := st.Recv(ctx)
		if err != nil {
			fmt.Fprint(&b, err)
			return b.String()
		}
		fmt.Fprintf(&b, "%v, ", wire.Frame{Channel: st.ID(), Type: m.Type, Args: m.Args})
	}
}

// A stream gives everything that was received before its end, then its end for
// ever.
func TestStreamEnd(t *testing.T) {
	tests := []struct {
		name string
		recv *idl.Node
		say  func(p *rpctest.Peer)
		want string
	}{
		{"value", nil, func(p *rpctest.Peer) { p.Send(1, idl.Value, "v") }, `1 (0) ["v"], EOF`},
		{"error instead of value", nil, func(p *rpctest.Peer) { p.Send(1, idl.Error, []any{1, 2}, "no") }, "no [1, 2]"},
		{"error without text", nil, func(p *rpctest.Peer) { p.Send(1, idl.Error, []any{7, 5}) }, "message is not bound [7, 5]"},
		{"error with nil text", nil, func(p *rpctest.Peer) { p.Send(1, idl.Error, []any{7, 5}, nil) }, "message is not bound [7, 5]"},
		{"error that does not decode", nil, func(p *rpctest.Peer) { p.Send(1, idl.Error, "no") }, "want array"},
		{"message that is not allowed", nil, func(p *rpctest.Peer) { p.Send(1, 5) }, "message 5 is not allowed on channel 1 now [7, 5]"},
		{"close", streaming.Node, func(p *rpctest.Peer) { p.Send(1, idl.Close) }, "EOF"},
		{"writes and close", streaming.Node, func(p *rpctest.Peer) {
			p.Send(1, idl.Write, "a")
			p.Send(1, idl.Write, "b")
			p.Send(1, idl.Close)
		}, `1 (0) ["a"], 1 (0) ["b"], EOF`},
		{"error after data", streaming.Node, func(p *rpctest.Peer) {
			p.Send(1, idl.Write, "a")
			p.Send(1, idl.StreamError, []any{42, 1}, "late")
		}, `1 (0) ["a"], late [42, 1]`},
		{"frames after the end", streaming.Node, func(p *rpctest.Peer) {
			p.Send(1, idl.Close)
			p.Send(1, idl.Write, "late")
			p.Send(1, idl.StreamError, []any{1, 2})
		}, "EOF"},
		{"disconnect after data", streaming.Node, func(p *rpctest.Peer) {
			p.Send(1, idl.Write, "a")
			p.Close()
		}, `1 (0) ["a"], End of file [5, 2]: disconnected: EOF`},
		{"garbage after data", streaming.Node, func(p *rpctest.Peer) {
			p.Send(1, idl.Write, "a")
			p.Write([]byte{0xc1})
		}, `1 (0) ["a"], Operation canceled [2, 125]: disconnected: cannot parse frame`},
		{"disconnect inside a frame", streaming.Node, func(p *rpctest.Peer) {
			p.Write(frame(1, idl.Write, "abc")[:5])
			p.Close()
		}, "End of file [5, 2]: disconnected: unexpected EOF"},
		{"end of data before the disconnect", streaming.Node, func(p *rpctest.Peer) {
			p.Send(1, idl.Close)
			p.Close()
		}, "EOF"},
		{"session closed here", streaming.Node, func(p *rpctest.Peer) { _ = p.Session().Close() }, "Operation canceled [2, 125]: session is closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
				st := call(t, p, 1, rpc.CallOptions{Recv: tt.recv})
				tt.say(p)
				synctest.Wait()
				if got := received(t.Context(), st); !strings.Contains(got, tt.want) {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				_, first := st.Recv(t.Context())
				if _, again := st.Recv(t.Context()); again != first || first == nil {
					t.Errorf("the end is not sticky: %v, then %v", first, again)
				}
				if n := p.Session().Channels(); n != 0 {
					t.Errorf("%d channels are left open", n)
				}
			})
		})
	}
}

// The two halves of a channel end independently.
func TestHalvesAreIndependent(t *testing.T) {
	bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
		st := call(t, p, 1, talking)
		p.Send(1, idl.Close)
		if got := received(t.Context(), st); got != "EOF" {
			t.Errorf("received %s", got)
		}
		if err := st.Send(t.Context(), idl.Write, []byte{0x91, 0xa1, 'x'}); err != nil {
			t.Error(err)
		}
		p.Want(1, idl.Write, "x")
		_ = st.Send(t.Context(), idl.Close, nil)
		p.Want(1, idl.Close)

		st = call(t, p, 2, talking)
		_ = st.Send(t.Context(), idl.Close, nil)
		p.Want(2, idl.Close)
		p.Send(2, idl.Write, "y")
		if m, err := st.Recv(t.Context()); err != nil || !bytes.Equal(m.Args, []byte{0x91, 0xa1, 'y'}) {
			t.Errorf("Recv = %v, %v", m, err)
		}
	})
}

// What the protocol does not allow now is refused here and not sent.
func TestSendIsChecked(t *testing.T) {
	closed := &rpc.Error{Category: idl.CategoryProtocol, Code: idl.ProtocolClosed}
	bubble(t, rpc.SessionOptions{Limits: wire.Limits{MaxFrame: 100}}, func(t *testing.T, p *rpctest.Peer) {
		st := call(t, p, 1, talking)
		if err := st.Send(t.Context(), 7, nil); !errors.Is(err, closed) {
			t.Errorf("Send of an unknown message = %v, want [13, 1]", err)
		}
		if err := st.Send(t.Context(), idl.Write, make([]byte, 101)); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("Send over the frame limit = %v, want ErrTooLarge", err)
		}
		if !st.Sendable() {
			t.Error("a refused message has closed the stream")
		}
		if err := st.Send(t.Context(), idl.Close, nil); err != nil {
			t.Error(err)
		}
		if err := st.Send(t.Context(), idl.Write, nil); !errors.Is(err, closed) || st.Sendable() {
			t.Errorf("Send after close = %v, want [13, 1]", err)
		}
		p.Want(1, idl.Close)
		p.WantIdle()
		_ = p.Session().Close()
		st2, err := p.Session().Call(t.Context(), 0, nil, talking)
		if st2 != nil || !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("Call on a closed session = %v, %v", st2, err)
		}
	})
}

// Giving a stream up tells the peer what the protocol lets it be told, and drops
// what still comes.
func TestStreamClose(t *testing.T) {
	tests := []struct {
		name string
		o    rpc.CallOptions
		end  func(st *rpc.Stream) error
		want string // "" for nothing
	}{
		{"close", talking, (*rpc.Stream).Close, `1 (1) [[2, 125], "Operation canceled"]`},
		{"fail", talking, func(st *rpc.Stream) error { return st.Fail(rpc.Errorf(42, 5, "bad day")) }, `1 (1) [[42, 5], "bad day"]`},
		{"fail with a plain error", talking, func(st *rpc.Stream) error { return st.Fail(io.ErrShortWrite) }, `1 (1) [[12, 22], "short write"]`},
		{"fail for a deadline", talking, func(st *rpc.Stream) error { return st.Fail(context.DeadlineExceeded) }, `1 (1) [[12, 110], "context deadline exceeded"]`},
		{"nothing to be said", rpc.CallOptions{Recv: streaming.Node}, (*rpc.Stream).Close, ""},
		{"no error message", rpc.CallOptions{Send: discardNode, Recv: streaming.Node}, (*rpc.Stream).Close, ""},
		{"message of its own", rpc.CallOptions{Send: discardNode, Recv: streaming.Node},
			func(st *rpc.Stream) error { return st.Leave(0) }, "1 (0) []"},
		{"closed already", talking, func(st *rpc.Stream) error {
			_ = st.Send(context.Background(), idl.Close, nil)
			return st.Close()
		}, "1 (2) []"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
				st := call(t, p, 1, tt.o)
				p.Send(1, idl.Write, "unread")
				synctest.Wait()
				for range 2 { // again does nothing
					if err := tt.end(st); err != nil && tt.name != "message of its own" {
						t.Error(err)
					}
				}
				if tt.want != "" {
					if f := p.Recv(); f.String() != tt.want {
						t.Errorf("got %v, want %s", f, tt.want)
					}
				}
				p.Send(1, idl.Write, "late")
				p.Send(1, idl.Close)
				p.WantIdle()
				if _, err := st.Recv(t.Context()); !errors.Is(err, rpc.ErrClosed) {
					t.Errorf("Recv = %v, want ErrClosed", err)
				}
				if n := p.Session().Channels(); n != 0 {
					t.Errorf("%d channels are left open", n)
				}
			})
		})
	}
}

// Close releases a goroutine that waits in Recv.
func TestCloseDuringRecv(t *testing.T) {
	bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
		st := call(t, p, 1, talking)
		got := make(chan error)
		go func() {
			_, err := st.Recv(context.Background())
			got <- err
		}()
		synctest.Wait()
		_ = st.Close()
		if err := <-got; !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("Recv = %v, want ErrClosed", err)
		}
	})
}

// Recv ends with its context and loses nothing by it.
func TestRecvContext(t *testing.T) {
	bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
		st := call(t, p, 1, talking)
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		if _, err := st.Recv(ctx); err != why {
			t.Errorf("Recv = %v, want the context's cause", err)
		}
		p.Send(1, idl.Write, "a")
		synctest.Wait()
		if _, err := st.Recv(ctx); err != nil {
			t.Errorf("Recv of what is there = %v", err)
		}
	})
}

// Messages belong to whoever receives them.
func TestMessagesAreCopies(t *testing.T) {
	bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
		st := call(t, p, 1, talking)
		p.SendHeaders([]hpack.Header{{Name: "n", Value: "1"}}, 1, idl.Write, "first")
		p.SendHeaders([]hpack.Header{{Name: "n", Value: "2"}}, 1, idl.Write, "other")
		synctest.Wait()
		for i, want := range []string{"first", "other"} {
			m, err := st.Recv(t.Context())
			if err != nil || string(m.Args[2:]) != want || m.Headers[0].Value != fmt.Sprint(i+1) {
				t.Errorf("message %d is %q %v, %v", i, m.Args, m.Headers, err)
			}
		}
	})
}

// A call's further frames leave with the first one, and mistakes in them before it.
func TestCallThen(t *testing.T) {
	client, server := sockets(t, "tcp")
	gated := newGatedConn(client)
	s := run(t, gated, rpc.SessionOptions{})
	p := rpctest.Play(t, server)
	chunk := p.Args("chunk")
	bad := []rpc.CallOptions{
		{Send: streaming.Node, Then: []rpc.Outgoing{{Type: idl.Close}, {Type: idl.Write, Args: chunk}}},
		{Send: streaming.Node, Then: []rpc.Outgoing{{Type: 9}}},
		{Then: []rpc.Outgoing{{Type: idl.Write}}},
	}
	for _, o := range bad {
		if st, err := s.Call(t.Context(), 0, nil, o); err == nil || st != nil {
			t.Errorf("Call with %v = %v, %v", o.Then, st, err)
		}
	}
	if n := gated.writes.Load(); n != 0 || s.Channels() != 0 {
		t.Errorf("refused calls made %d writes and left %d channels open", n, s.Channels())
	}
	_, err := s.Call(t.Context(), 0, chunk, rpc.CallOptions{Send: streaming.Node,
		Headers: []hpack.Header{{Name: "h", Value: "1"}},
		Then:    []rpc.Outgoing{{Type: idl.Write, Args: chunk}, {Type: idl.Close}}})
	if err != nil {
		t.Fatal(err)
	}
	if f := p.Want(1, 0, "chunk"); len(f.Headers) != 1 {
		t.Errorf("headers of the first frame are %v", f.Headers)
	}
	p.Want(1, idl.Write, "chunk")
	p.Want(1, idl.Close)
	if n := gated.writes.Load(); n != 1 {
		t.Errorf("a call of three frames made %d writes, want 1", n)
	}
}

// A mute method has nothing to wait for.
func TestCallMute(t *testing.T) {
	bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
		st := call(t, p, 1, rpc.CallOptions{Recv: idl.Terminal})
		if _, err := st.Recv(t.Context()); err != io.EOF {
			t.Errorf("Recv = %v, want EOF", err)
		}
		if n := p.Session().Channels(); n != 0 {
			t.Errorf("%d channels are open", n)
		}
	})
}

// A stream that nobody reads pauses its session, and lets it go on when it was
// read or given up. Messages without contents count too.
func TestStreamBackPressure(t *testing.T) {
	var many []hpack.Header
	for i := range 900 {
		many = append(many, hpack.Header{Name: "n", Value: fmt.Sprint(i % 90)})
	}
	var enc hpack.Encoder
	enc.Append(nil, many[:90])
	headers := wire.AppendFrame(nil, wire.Frame{Channel: 1, Headers: enc.Append(nil, many)})
	first := wire.AppendFrame(nil, wire.Frame{Channel: 1, Headers: (&hpack.Encoder{}).Append(nil, many[:90])})
	tests := []struct {
		name   string
		frame  []byte
		first  []byte
		frames int // more than the stream holds
	}{
		{"large", frame(1, idl.Write, make([]byte, 1<<20)), nil, 20},
		{"empty", frame(1, idl.Write), nil, 100_000},
		{"headers only", headers, first, 500},
		{"one frame larger than the buffer", frame(1, idl.Write, make([]byte, rpc.StreamBuffer+1)), nil, 3},
	}
	for _, tt := range tests {
		for _, end := range []string{"read", "closed"} {
			t.Run(tt.name+"/"+end, func(t *testing.T) {
				bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
					st := call(t, p, 1, talking)
					var wg sync.WaitGroup
					defer wg.Wait()
					input := append(slices.Clone(tt.first), bytes.Repeat(tt.frame, tt.frames)...)
					input = append(input, frame(1, idl.Close)...)
					wg.Go(func() { p.Write(input) })
					synctest.Wait()
					held, memory := st.Pending()
					if held == 0 || held >= tt.frames {
						t.Errorf("the stream holds %d of %d messages", held, tt.frames)
					}
					if limit := rpc.StreamBuffer + len(tt.frame) + (1 << 16); memory > limit {
						t.Errorf("the stream holds %d bytes, want at most %d", memory, limit)
					}
					if end == "closed" {
						_ = st.Close()
						p.WantError(1, idl.CategorySocket, 125)
						wg.Wait()
						p.Send(99, 0)
						p.WantIdle()
						return
					}
					got := 0
					for {
						if _, err := st.Recv(t.Context()); err == io.EOF {
							break
						} else if err != nil {
							t.Fatal(err)
						}
						got++
					}
					if want := tt.frames + min(len(tt.first), 1); got != want {
						t.Errorf("received %d messages, want %d", got, want)
					}
				})
			})
		}
	}
}

// A session whose stream is full and that then ends does not hang.
func TestFullStreamOfEndedSession(t *testing.T) {
	bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
		st := call(t, p, 1, talking)
		p.Write(frame(1, idl.Write, make([]byte, rpc.StreamBuffer+1)))
		p.Send(1, idl.Write, "beyond")
		synctest.Wait()
		_ = p.Session().Close()
		p.Session().Wait()
		if _, err := st.Recv(t.Context()); err != nil {
			t.Errorf("what was received is lost: %v", err)
		}
		if _, err := st.Recv(t.Context()); !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("Recv = %v, want ErrClosed", err)
		}
	})
}

// Paused, a session hands out no frame, not even one that arrives later.
func TestPause(t *testing.T) {
	r := &recorder{}
	bubble(t, rpc.SessionOptions{Acceptor: r}, func(t *testing.T, p *rpctest.Peer) {
		s := p.Session()
		synctest.Wait() // the reader waits in Read
		s.Pause()
		s.Pause()
		p.Send(1, idl.Write)
		p.Send(1, idl.Close)
		p.WantIdle()
		s.Resume()
		p.WantIdle()
		if got := r.take(); len(got) > 0 {
			t.Errorf("paused, the session handed out %q", got)
		}
		s.Resume()
		p.WantIdle()
		if got := r.take(); len(got) != 2 {
			t.Errorf("resumed, the session handed out %q, want two frames", got)
		}
	})
}

// A Receiver that pauses its session gets no further frame of the same segment.
func TestPauseFromReceiver(t *testing.T) {
	r := &recorder{hook: func(_ *rpc.Batch, s *rpc.Session, _ uint64, _ *rpc.Frame) { s.Pause() }}
	bubble(t, rpc.SessionOptions{Acceptor: r}, func(t *testing.T, p *rpctest.Peer) {
		p.Write(slices.Concat(frame(1, 0), frame(1, 0), frame(1, 0)))
		for i := 1; i <= 3; i++ {
			p.WantIdle()
			if got := len(r.take()); got != 1 {
				t.Errorf("step %d: %d frames, want 1", i, got)
			}
			p.Session().Resume()
		}
		p.WantIdle()
	})
}

// Resume may overtake its Pause, and a pause does not keep a session from ending.
func TestPauseAccounting(t *testing.T) {
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})}, func(t *testing.T, p *rpctest.Peer) {
		s := p.Session()
		s.Resume()
		s.Pause()
		p.Send(1, idl.Ping)
		p.Want(1, idl.Value)
		s.Pause()
		p.Send(2, idl.Ping)
		p.WantIdle()
		_ = s.Close()
		s.Wait()
	})
}

// Many goroutines open, receive, close and fail streams while the connection
// lives and dies.
func TestStreamsUnderStress(t *testing.T) {
	for round := range 20 {
		a, b := rpctest.Pair(t, rpc.SessionOptions{}, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})})
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for n := range 20 {
					st, err := a.Call(t.Context(), kindTalk, nil, talking)
					if err != nil {
						return
					}
					_ = st.Send(t.Context(), idl.Write, []byte{0x91, 0xa1, 'x'})
					switch (i + n) % 4 {
					case 0:
						_ = st.Close()
					case 1:
						_, _ = st.Recv(t.Context())
						_ = st.Fail(io.ErrShortWrite)
					case 2:
						_ = st.Send(t.Context(), idl.Close, nil)
						for err == nil {
							_, err = st.Recv(t.Context())
						}
					case 3:
						go st.Close()
						for err == nil {
							_, err = st.Recv(t.Context())
						}
					}
				}
				if i == round%16 && round%2 == 1 {
					_ = b.Close()
				}
			})
		}
		wg.Wait()
		_ = a.Close()
		a.Wait()
		b.Wait()
		if n := a.Channels() + b.Channels(); n != 0 {
			t.Fatalf("%d channels are left", n)
		}
	}
}
