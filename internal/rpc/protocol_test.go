package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// kinds is a protocol with a method of every kind.
var kinds = &idl.Protocol{Name: "kinds", Version: 1, Messages: append([]idl.Message{
	{ID: 0, Name: "inline", Next: idl.Terminal, Reply: value},
	{ID: 1, Name: "unary", Next: idl.Terminal, Reply: value},
	{ID: 2, Name: "mute", Next: idl.Terminal, Reply: idl.Reply{Kind: idl.ReplyMute, Node: idl.Terminal}},
	{ID: 3, Name: "listen", Next: idl.Terminal, Reply: streaming},
	{ID: 4, Name: "talk", Next: streaming.Node, Reply: streaming},
	{ID: 5, Name: "raw", Next: streaming.Node, Reply: streaming},
	{ID: 6, Name: "unbound", Next: streaming.Node, Reply: streaming},
	{ID: 7, Name: "panic", Next: idl.Terminal, Reply: value},
	{ID: 8, Name: "mutepanic", Next: idl.Terminal, Reply: idl.Reply{Kind: idl.ReplyMute, Node: idl.Terminal}},
	{ID: 9, Name: "hold", Next: discardNode, Reply: value},
	{ID: 10, Name: "speechless", Next: streaming.Node, Reply: idl.Reply{Kind: idl.ReplyCustom, Node: heartbeats}},
}, controls()...)}

const (
	kindInline = iota
	kindUnary
	kindMute
	kindListen
	kindTalk
	kindRaw
	kindUnbound
	kindPanic
	kindMutePanic
	kindHold
	kindSpeechless
)

var (
	value     = idl.Locator.Method("uuid").Reply
	streaming = idl.Locator.Method("connect").Reply
	// discardNode is a state with one message, as the publish of the locator has.
	discardNode = &idl.Node{Messages: []idl.Message{{ID: 0, Name: "discard", Next: idl.Terminal}}}
	// heartbeats is a state that has no error message.
	heartbeats = &idl.Node{Messages: []idl.Message{{ID: 0, Name: "heartbeat"}}}
)

// controls are the control messages that every root protocol has.
func controls() []idl.Message {
	all := idl.Locator.Messages
	return slices.Clone(all[len(all)-4:])
}

// kindMux serves kinds: inline, unary, raw and talk say what they got, listen
// writes its arguments and ends.
func kindMux(o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(kinds, o)
	echo := func(_ context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		if r.Kind() == msgpack.KindRaw {
			if s := r.String(); s == "fail" {
				return nil, rpc.Errorf(11, 8, "no node")
			} else if s == "plain" {
				return nil, errors.New("plain failure")
			} else if r.Err() != nil {
				return nil, rpc.BadArgs(c, r.Err())
			}
		} else if r.Len() > 0 {
			return nil, rpc.BadArgs(c, errors.New("want a string"))
		}
		return slices.Clone(c.Args), nil
	}
	m.Inline("inline", echo)
	m.Unary("unary", echo)
	m.Unary("hold", echo)
	m.Mute("mute", func(_ context.Context, c *rpc.Call) error { _, err := echo(nil, c); return err })
	m.Stream("listen", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		if _, err := echo(ctx, c); err != nil {
			return err
		}
		return s.Send(ctx, idl.Write, c.Args)
	})
	talk := func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		for {
			msg, err := s.Recv(ctx)
			if err != nil {
				return nil
			}
			if err := s.Send(ctx, idl.Write, msg.Args); err != nil {
				return err
			}
		}
	}
	m.Stream("talk", talk)
	m.Stream("speechless", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
		_, err := s.Recv(ctx)
		return err
	})
	m.Raw("raw", &echoer{})
	m.Inline("panic", func(context.Context, *rpc.Call) ([]byte, error) { panic("oh") })
	m.Mute("mutepanic", func(context.Context, *rpc.Call) error { panic("oh") })
	return m
}

// bubble runs a test with a Peer inside a bubble.
func bubble(t *testing.T, o rpc.SessionOptions, f func(t *testing.T, p *rpctest.Peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, rpctest.New(t, rpctest.Options{Session: o}))
	})
}

func frame(channel, typ uint64, args ...any) []byte {
	b := msgpack.AppendArray(nil, len(args))
	for _, a := range args {
		var err error
		if b, err = msgpack.AppendValue(b, a); err != nil {
			panic(err)
		}
	}
	return wire.AppendFrame(nil, wire.Frame{Channel: channel, Type: typ, Args: b})
}

// Input whose framing is broken can not be answered: the connection is closed
// (PROTOCOL.md, "Bad input").
func TestBrokenFramingCloses(t *testing.T) {
	deep := append([]byte{0x94, 1, 0}, append(slices.Repeat([]byte{0x91}, 40), 0x90, 0x90)...)
	tests := []struct {
		name  string
		input []byte
	}{
		{"not msgpack", []byte{0xc1}},
		{"extension type", []byte{0x94, 1, 0, 0x91, 0xd4, 1, 2, 0x90}},
		{"too deep", deep},
		{"no array", []byte{0xa3, 'a', 'b', 'c'}},
		{"map", []byte{0x81, 1, 2}},
		{"two elements", []byte{0x92, 1, 0}},
		{"channel is text", []byte{0x94, 0xa1, 'x', 0, 0x90, 0x90}},
		{"channel is negative", []byte{0x94, 0xff, 0, 0x90, 0x90}},
		{"type is nil", []byte{0x94, 1, 0xc0, 0x90, 0x90}},
		{"args are a map", []byte{0x94, 1, 0, 0x80, 0x90}},
		{"args are nil", []byte{0x94, 1, 0, 0xc0, 0x90}},
		{"headers are false", []byte{0x94, 1, 0, 0x90, 0xc2}},
		{"header index 0", []byte{0x94, 1, 0, 0x90, 0x91, 0}},
		{"header index out of range", []byte{0x94, 1, 0, 0x90, 0x91, 83}},
		{"header of two elements", []byte{0x94, 1, 0, 0x90, 0x91, 0x92, 0xc2, 0xa1, 'x'}},
		{"header value is a number", []byte{0x94, 1, 0, 0x90, 0x91, 0x93, 0xc2, 0xa1, 'x', 5}},
		{"larger than the limit", []byte{0x94, 1, 0, 0x91, 0xdb, 0, 2, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stats := new(rpc.Stats)
			o := rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Stats: stats, Limits: wire.Limits{MaxFrame: 64 << 10}}
			bubble(t, o, func(t *testing.T, p *rpctest.Peer) {
				p.Write(append(tt.input, frame(9, kindInline, "never seen")...))
				p.WantClosed()
				p.Session().Wait()
				if err := p.Session().Err(); !errors.Is(err, rpc.ErrDisconnected) {
					t.Errorf("Err() = %v, want ErrDisconnected", err)
				}
				if n := stats.Malformed.Load(); n != 1 {
					t.Errorf("Malformed = %d, want 1", n)
				}
			})
		})
	}
}

// What came before the broken frame, even in the same segment, is answered.
func TestAnsweredBeforeClosing(t *testing.T) {
	client, server := sockets(t, "tcp")
	run(t, server, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})})
	p := rpctest.Play(t, client)
	p.Write(append(frame(1, kindInline, "a"), 0xc1))
	p.Want(1, idl.Value, "a")
	p.WantClosed()
}

// Mistakes that leave the framing intact cost their channel an error, and the
// connection stays (PROTOCOL.md, "Bad input").
func TestMistakesAreAnswered(t *testing.T) {
	type want struct{ category, code int }
	var (
		unbound = want{idl.CategoryDispatch, idl.DispatchUnbound}
		badArgs = want{idl.CategoryDispatch, idl.DispatchBadArgs}
		revoked = want{idl.CategoryDispatch, idl.DispatchRevoked}
		failed  = want{idl.CategoryDispatch, idl.DispatchUncaught}
	)
	id := func(v string) hpack.Header { return hpack.Header{Name: hpack.TraceID, Value: v} }
	ids := func(trace, span, parent string) []hpack.Header {
		return []hpack.Header{id(trace), {Name: hpack.SpanID, Value: span}, {Name: hpack.ParentID, Value: parent}}
	}
	const zero, one = "\x00\x00\x00\x00\x00\x00\x00\x00", "\x01\x00\x00\x00\x00\x00\x00\x00"
	tests := []struct {
		name    string
		headers []hpack.Header
		channel uint64
		typ     uint64
		args    []any
		want    want
	}{
		{"unknown type", nil, 5, 77, nil, unbound},
		{"type beyond any", nil, 5, 1 << 63, nil, unbound},
		{"declared and not bound", nil, 5, kindUnbound, []any{"a"}, unbound},
		{"goaway", nil, 5, idl.Goaway, []any{[]any{1, 2}}, unbound},
		{"settings", nil, 5, idl.Settings, nil, unbound},
		{"channel 0", nil, 0, kindInline, []any{"a"}, revoked},
		{"channel never opened", nil, 2, kindInline, []any{"a"}, revoked},
		{"wrong argument, inline", nil, 5, kindInline, []any{1}, badArgs},
		{"wrong argument, unary", nil, 5, kindUnary, []any{true}, badArgs},
		{"wrong argument, stream", nil, 5, kindListen, []any{nil}, badArgs},
		{"coded failure", nil, 5, kindInline, []any{"fail"}, want{11, 8}},
		{"coded failure, unary", nil, 5, kindUnary, []any{"fail"}, want{11, 8}},
		{"coded failure, stream", nil, 5, kindListen, []any{"fail"}, want{11, 8}},
		{"plain failure", nil, 5, kindUnary, []any{"plain"}, want{12, 22}},
		{"panic", nil, 5, kindPanic, nil, failed},
		{"short trace id", ids("1234567", one, one), 5, kindInline, []any{"a"}, badArgs},
		{"span 0 of a trace", ids(one, zero, zero), 5, kindInline, []any{"a"}, badArgs},
		{"span without trace", ids(zero, one, zero), 5, kindUnary, []any{"a"}, badArgs},
		{"trace bit", []hpack.Header{{Name: hpack.TraceBit, Value: "maybe"}}, 5, kindListen, []any{"a"}, badArgs},
		{"trace of a ping", ids(one, zero, zero), 5, idl.Ping, nil, badArgs},
		{"revoke without arguments", nil, 5, idl.Revoke, nil, badArgs},
		{"revoke without code", nil, 5, idl.Revoke, []any{3}, badArgs},
		{"revoke with half a code", nil, 5, idl.Revoke, []any{3, []any{1}, 2}, badArgs},
		{"revoke of text", nil, 5, idl.Revoke, []any{"x", []any{1, 2}}, badArgs},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})}, func(t *testing.T, p *rpctest.Peer) {
				p.Send(3, idl.Ping)
				p.Want(3, idl.Value)
				p.SendHeaders(tt.headers, tt.channel, tt.typ, tt.args...)
				if text := p.WantError(tt.channel, tt.want.category, tt.want.code); text == "" {
					t.Error("the error has no text")
				}
				p.WantIdle()
				p.Send(6, kindInline, "b") // the connection lives
				p.Want(6, idl.Value, "b")
			})
		})
	}
}

// A message that its channel does not allow now ends the channel.
func TestMessageNotAllowedNow(t *testing.T) {
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})}, func(t *testing.T, p *rpctest.Peer) {
		for i, typ := range []uint64{3, idl.Ping, 77} {
			ch := uint64(10 * (i + 1))
			p.Send(ch, kindTalk)
			p.Send(ch, idl.Write, "a")
			p.Want(ch, idl.Write, "a")
			p.Send(ch, typ)
			p.WantError(ch, idl.CategoryDispatch, idl.DispatchUnbound)
			p.WantIdle() // the method's own end is not sent behind it
			p.Send(ch, idl.Write, "late")
			p.WantIdle()
		}
	})
}

// Where the reply has no error message, none is sent: its number means something
// else there.
func TestMistakeWithoutErrorMessage(t *testing.T) {
	stats := new(rpc.Stats)
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Stats: stats}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindSpeechless)
		p.Send(1, 9)
		p.WantIdle()
		if n := stats.Violations.Load(); n != 1 {
			t.Errorf("Violations = %d, want 1", n)
		}
		p.SendHeaders([]hpack.Header{{Name: hpack.TraceBit, Value: "x"}}, 2, kindSpeechless)
		p.WantIdle()
	})
}

// A failure of a mute method, or of its arguments, can not be told.
func TestMuteSaysNothing(t *testing.T) {
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindMute, "a")
		p.Send(2, kindMute, 1)
		p.Send(3, kindMute, "fail")
		p.Send(4, kindMutePanic)
		p.SendHeaders([]hpack.Header{{Name: hpack.TraceBit, Value: "x"}}, 5, kindMute)
		p.WantIdle()
		p.Send(6, idl.Ping)
		p.Want(6, idl.Value)
	})
}

// Frames on a channel that was closed a short while ago are dropped; those on one
// closed long ago, or never open, are answered once.
func TestLateFrames(t *testing.T) {
	stats := new(rpc.Stats)
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Stats: stats}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(7, kindInline, "a")
		p.Want(7, idl.Value, "a")
		for range 3 {
			p.Send(7, kindInline, "again")
		}
		p.WantIdle()
		if n := stats.LateFrames.Load(); n != 3 {
			t.Errorf("LateFrames = %d, want 3", n)
		}
		for ch := uint64(8); ch < 300; ch++ {
			p.Send(ch, idl.Ping)
			p.Want(ch, idl.Value)
		}
		p.Send(7, kindInline, "much later")
		p.WantError(7, idl.CategoryDispatch, idl.DispatchRevoked)
		p.Send(7, kindInline, "and again")
		p.Send(4, idl.Error, []any{1, 2}, "an error is no reason for an error")
		p.WantIdle()
		if n := stats.Violations.Load(); n != 1 {
			t.Errorf("Violations = %d, want 1", n)
		}
	})
}

// A pure client drops what it did not ask for: it has nobody to complain to.
func TestClientDropsUnaskedFrames(t *testing.T) {
	bubble(t, rpc.SessionOptions{}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(0, 0)
		p.Send(1, 0)
		p.Send(1<<40, 5)
		p.WantIdle()
		st, err := p.Session().Call(t.Context(), 3, nil, rpc.CallOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Want(1, 3)
		p.Send(1, idl.Value, "x")
		if m, err := st.Recv(t.Context()); err != nil || m.Type != idl.Value {
			t.Errorf("Recv = %v, %v", m, err)
		}
	})
}

// The peer that opens the highest channel of all leaves no id to this side.
func TestIDsDoNotWrap(t *testing.T) {
	r := &recorder{}
	bubble(t, rpc.SessionOptions{Acceptor: r}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, idl.Write)
		p.Send(1<<64-1, idl.Write)
		p.WantIdle()
		if id, err := p.Session().Open(nil, nil, 0, nil, nil); err == nil {
			t.Errorf("Open gave channel %d after the last one", id)
		}
		p.WantIdle()
	})
}

func TestControlMessages(t *testing.T) {
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, idl.Ping)
		p.Want(1, idl.Value)
		p.Send(2, idl.Ping, "arguments", "are ignored")
		p.Want(2, idl.Value)
		p.Send(3, idl.Revoke, 999, []any{1, 2})
		p.Want(3, idl.Value) // an unknown channel is ignored
		p.Send(4, idl.Revoke, 2, []any{1, 2})
		p.Want(4, idl.Value) // one that is over too
	})
}

// Revoke ends the caller's half of a channel with the error it names.
func TestRevoke(t *testing.T) {
	for _, typ := range []uint64{kindListen, kindTalk} {
		t.Run(kinds.Message(typ).Name, func(t *testing.T) {
			causes := make(chan error, 1)
			m := rpc.NewMux(kinds, rpc.MuxOptions{})
			m.Stream(kinds.Message(typ).Name, func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				if typ == kindTalk {
					if _, err := s.Recv(context.Background()); err != nil {
						return err
					}
				}
				return s.Send(context.Background(), idl.Write, []byte{0x91, 0xa3, 'e', 'n', 'd'})
			})
			bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
				p.Send(1, typ)
				p.WantIdle()
				p.Send(2, idl.Revoke, 1, []any{42, 7})
				var coded *rpc.Error
				if err := <-causes; !errors.As(err, &coded) || coded.Category != 42 || coded.Code != 7 {
					t.Errorf("cause is %v, want [42, 7]", err)
				}
				frames := []string{p.Recv().String(), p.Recv().String()}
				if typ == kindListen { // the channel's other half is the method's to end
					frames = append(frames, p.Recv().String())
				}
				slices.Sort(frames)
				want := `1 (0) ["end"]|1 (2) []|2 (0) []`
				if typ == kindTalk {
					want = `1 (1) [[42, 7], "channel was revoked"]|2 (0) []`
				}
				if got := strings.Join(frames, "|"); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				p.Send(1, idl.Write, "late")
				p.WantIdle()
			})
		})
	}
}

// A revoked channel of a raw Acceptor is lost to it, once.
func TestRevokeRaw(t *testing.T) {
	r := &recorder{}
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	m.Raw("raw", r)
	bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, kindRaw, "a")
		p.Send(2, idl.Revoke, 1, []any{5, 2})
		p.Want(2, idl.Value)
		p.Send(3, idl.Revoke, 1, []any{5, 2})
		p.Want(3, idl.Value)
		p.Close()
		p.Session().Wait()
		want := []string{`accept 1 (5) ["a"]`, "lost 1 channel was revoked [5, 2]"}
		if got := r.take(); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// The header table of a connection lives across its frames, those of closed and
// of unknown channels included.
func TestHeaderTableAcrossFrames(t *testing.T) {
	r := &recorder{}
	var enc hpack.Encoder
	send := func(p *rpctest.Peer, ch, typ uint64, hs ...hpack.Header) {
		p.Write(wire.AppendFrame(nil, wire.Frame{Channel: ch, Type: typ, Headers: enc.Append(nil, hs)}))
	}
	bubble(t, rpc.SessionOptions{Acceptor: r}, func(t *testing.T, p *rpctest.Peer) {
		a, b, c := hpack.Header{Name: "a", Value: "1"}, hpack.Header{Name: "b", Value: "2"}, hpack.Header{Name: "c", Value: "3"}
		send(p, 2, idl.Write, a)
		send(p, 1, idl.Write, b) // not open: answered with an error
		send(p, 2, idl.Close, a, b)
		send(p, 2, idl.Write, c) // late
		send(p, 3, idl.Write, c, b, a)
		p.WantError(1, idl.CategoryDispatch, idl.DispatchRevoked)
		p.WantIdle()
		want := []string{
			"accept 2 (0) [] [{a 1}]",
			"receive 2 (2) [] [{a 1} {b 2}]",
			"accept 3 (0) [] [{c 3} {b 2} {a 1}]",
		}
		if got := r.take(); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// A frame cut at any place means the same as a whole one.
func TestFrameSplitAnywhere(t *testing.T) {
	input := frame(1, kindInline, strings.Repeat("x", 40))
	input = append(input, wire.AppendFrame(nil, wire.Frame{Channel: 2, Type: kindInline, Args: []byte{0x91, 0xa1, 'b'},
		Headers: hpack.AppendLiterals(nil, []hpack.Header{{Name: "n", Value: "v"}})})...)
	input = append(input, 0x95, 3, kindInline, 0x90, 0x90, 0x81, 0xa1, 'k', 0xc0) // a fifth element is ignored
	input = append(input, 0x93, 4, kindInline, 0x90)                              // and the fourth optional
	for at := 1; at < len(input); at++ {
		bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{})}, func(t *testing.T, p *rpctest.Peer) {
			p.Write(input[:at])
			synctest.Wait() // the session has read the first part
			p.Write(input[at:])
			p.Want(1, idl.Value, strings.Repeat("x", 40))
			p.Want(2, idl.Value, "b")
			p.Want(3, idl.Value)
			p.Want(4, idl.Value)
			p.WantIdle()
		})
	}
}

// A frame of exactly the limit passes, one byte more is too much.
func TestFrameSizeLimit(t *testing.T) {
	const limit = 1 << 20
	whole := frame(1, kindInline, strings.Repeat("y", limit-10))
	if len(whole) != limit {
		t.Fatalf("frame has %d bytes, want %d", len(whole), limit)
	}
	for _, extra := range []int{0, 1} {
		bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Limits: wire.Limits{MaxFrame: limit - extra}}, func(t *testing.T, p *rpctest.Peer) {
			var writer sync.WaitGroup
			writer.Go(func() { _, _ = p.Conn().Write(whole) }) // fails when the session closes
			if extra == 0 {
				p.Want(1, idl.Value, strings.Repeat("y", limit-10))
			} else {
				p.WantClosed()
			}
			writer.Wait()
		})
	}
}

// An answer that does not fit into a frame becomes an error instead of silence.
func TestAnswerTooLarge(t *testing.T) {
	m := rpc.NewMux(kinds, rpc.MuxOptions{})
	large := func(context.Context, *rpc.Call) ([]byte, error) { return make([]byte, 2000), nil }
	m.Inline("inline", large)
	m.Unary("unary", large)
	bubble(t, rpc.SessionOptions{Acceptor: m, Limits: wire.Limits{MaxFrame: 1000}}, func(t *testing.T, p *rpctest.Peer) {
		for ch, typ := range []uint64{kindInline, kindUnary} {
			p.Send(uint64(ch+1), typ)
			p.WantError(uint64(ch+1), idl.CategoryGeneric, 22)
		}
	})
}

// Channels of one session are handed out in the order in which they go out.
func TestConcurrentOpenIDsRise(t *testing.T) {
	const goroutines, each = 100, 20
	p := rpctest.New(t, rpctest.Options{Buffer: 1 << 20})
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range each {
				var err error
				if i%2 == 0 {
					_, err = p.Session().Open(nil, nil, 1, nil, nil)
				} else {
					rpc.Run(func(b *rpc.Batch) { _, err = p.Session().Open(b, nil, 1, nil, nil) })
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for ch := uint64(1); ch <= goroutines*each; ch++ {
		p.Want(ch, 1)
	}
	wg.Wait()
}

// Frames of one channel arrive in the order in which one goroutine sent them.
func TestOrderWithinChannel(t *testing.T) {
	const channels, each = 20, 200
	p := rpctest.New(t, rpctest.Options{Buffer: 1 << 20})
	s := p.Session()
	var wg sync.WaitGroup
	for range channels {
		wg.Go(func() {
			id, err := s.Open(nil, nil, 0, []byte{0x91, 0}, nil)
			for i := 1; i < each && err == nil; i++ {
				args := msgpack.AppendUint([]byte{0x91}, uint64(i))
				if i%3 == 0 {
					rpc.Run(func(b *rpc.Batch) { err = s.Send(b, id, 0, args, nil) })
				} else {
					err = s.Send(nil, id, 0, args, nil)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	next := make(map[uint64]uint64)
	for range channels * each {
		f := p.Recv()
		if got := f.Values()[0].(int64); uint64(got) != next[f.Channel] {
			t.Fatalf("channel %d: got message %d, want %d", f.Channel, got, next[f.Channel])
		}
		next[f.Channel]++
	}
	wg.Wait()
}

// The limit on open channels refuses further ones, on both sides.
func TestChannelLimit(t *testing.T) {
	r := &recorder{}
	bubble(t, rpc.SessionOptions{Acceptor: r, Channels: 2}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, idl.Write)
		p.Send(2, idl.Write)
		p.Send(3, idl.Write)
		p.WantError(3, idl.CategoryDispatch, idl.DispatchNoDispatch)
		p.Send(3, idl.Write) // late
		p.WantIdle()
		if _, err := p.Session().Open(nil, &recorded{}, 0, nil, nil); !errors.Is(err, rpc.ErrTooManyChannels) {
			t.Errorf("Open = %v, want ErrTooManyChannels", err)
		}
		if n := p.Session().Channels(); n != 2 {
			t.Errorf("Channels() = %d, want 2", n)
		}
		p.Send(1, idl.Close)
		p.Send(4, idl.Write)
		p.WantIdle()
		if n := p.Session().Channels(); n != 2 {
			t.Errorf("Channels() = %d after one was closed and one opened, want 2", n)
		}
	})
}

// Every frame is counted, late and bad ones included.
func TestFramesAreCounted(t *testing.T) {
	stats := new(rpc.Stats)
	bubble(t, rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Stats: stats}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, idl.Ping)
		p.Send(1, idl.Ping)
		p.Send(2, 77)
		p.Want(1, idl.Value)
		p.WantError(2, idl.CategoryDispatch, idl.DispatchUnbound)
		p.WantIdle()
		if n := stats.FramesIn.Load(); n != 3 {
			t.Errorf("FramesIn = %d, want 3", n)
		}
		if n := stats.Sessions.Load(); n != 1 {
			t.Errorf("Sessions = %d, want 1", n)
		}
		p.Close()
		p.Session().Wait()
		if n := stats.Sessions.Load(); n != 0 {
			t.Errorf("Sessions = %d after the end, want 0", n)
		}
	})
}

// It makes no difference whether frames arrive together or one by one.
func TestSegments(t *testing.T) {
	tests := []struct {
		name   string
		frames [][]byte
		want   []string
		open   int
	}{
		{"a whole request", [][]byte{frame(1, kindRaw), frame(1, 0, "a"), frame(1, idl.Close)},
			[]string{"accept 1 (5) []", `receive 1 (0) ["a"]`, "receive 1 (2) []"}, 0},
		{"late frame behind it", [][]byte{frame(1, kindRaw), frame(1, idl.Close), frame(1, 0, "late")},
			[]string{"accept 1 (5) []", "receive 1 (2) []"}, 0},
		{"two at once", [][]byte{frame(1, kindRaw), frame(2, kindRaw), frame(1, 0), frame(2, 0), frame(2, idl.Close), frame(1, idl.Close)},
			[]string{"accept 1 (5) []", "accept 2 (5) []", "receive 1 (0) []", "receive 2 (0) []", "receive 2 (2) []", "receive 1 (2) []"}, 0},
		{"left open", [][]byte{frame(1, kindRaw)}, []string{"accept 1 (5) []"}, 1},
		{"left open in the middle", [][]byte{frame(1, kindRaw), frame(1, 0), frame(2, idl.Ping)},
			[]string{"accept 1 (5) []", "receive 1 (0) []"}, 1},
		{"revoked at once", [][]byte{frame(1, kindRaw), frame(2, idl.Revoke, 1, []any{5, 2}), frame(1, 0, "late")},
			[]string{"accept 1 (5) []", "lost 1 channel was revoked [5, 2]"}, 0},
		{"revoked later", [][]byte{frame(1, kindRaw), frame(1, 0), frame(2, idl.Revoke, 1, []any{5, 2}), frame(1, 0, "late")},
			[]string{"accept 1 (5) []", "receive 1 (0) []", "lost 1 channel was revoked [5, 2]"}, 0},
		{"mistake in between", [][]byte{frame(3, kindRaw), frame(2, 0), frame(4, 77), frame(3, idl.Close)},
			[]string{"accept 3 (5) []", "receive 3 (2) []"}, 0},
	}
	for _, tt := range tests {
		for _, apart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/apart=%t", tt.name, apart), func(t *testing.T) {
				r := &recorder{}
				m := rpc.NewMux(kinds, rpc.MuxOptions{})
				m.Raw("raw", r)
				bubble(t, rpc.SessionOptions{Acceptor: m}, func(t *testing.T, p *rpctest.Peer) {
					if apart {
						for _, f := range tt.frames {
							p.Write(f)
							synctest.Wait()
						}
					} else {
						p.Write(slices.Concat(tt.frames...))
						synctest.Wait()
					}
					if n := p.Session().Channels(); n != tt.open {
						t.Errorf("%d channels are open, want %d", n, tt.open)
					}
					p.Close()
					p.Session().Wait()
					want := tt.want
					if tt.open > 0 { // it is lost with the connection
						want = append(slices.Clone(want), "lost 1 End of file [5, 2]: disconnected: EOF")
					}
					if got := r.take(); !slices.Equal(got, want) {
						t.Errorf("got  %q\nwant %q", got, want)
					}
				})
			})
		}
	}
}

// A channel that was forgotten from this side stays so.
func TestForget(t *testing.T) {
	stats := new(rpc.Stats)
	r := &recorder{hook: func(_ *rpc.Batch, s *rpc.Session, ch uint64, f *rpc.Frame) {
		if len(f.Args) > 1 { // whoever has an argument is to be forgotten
			s.Forget(ch)
		}
	}}
	bubble(t, rpc.SessionOptions{Acceptor: r, Stats: stats}, func(t *testing.T, p *rpctest.Peer) {
		p.Write(slices.Concat(frame(1, 0, "x"), frame(2, 0), frame(1, 0), frame(2, 0, "x"), frame(3, 0), frame(2, 0)))
		synctest.Wait()
		p.Session().Forget(3)
		p.Session().Forget(99) // never open
		p.Send(3, 0)
		p.WantIdle()
		p.Close()
		p.Session().Wait()
		want := []string{`accept 1 (0) ["x"]`, "accept 2 (0) []", `receive 2 (0) ["x"]`, "accept 3 (0) []"}
		if got := r.take(); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if n := stats.LateFrames.Load(); n != 3 {
			t.Errorf("LateFrames = %d, want 3", n)
		}
	})
}

// Where both sides open channels, as on a worker's connection, this side's ids
// follow those of the peer.
func TestIDsFollowThePeers(t *testing.T) {
	r := &recorder{}
	bubble(t, rpc.SessionOptions{Acceptor: r}, func(t *testing.T, p *rpctest.Peer) {
		p.Send(1, idl.Write, "handshake")
		p.WantIdle()
		for want := uint64(2); want < 4; want++ {
			if id, err := p.Session().Open(nil, ignore{}, 0, nil, nil); id != want || err != nil {
				t.Errorf("Open = %d, %v, want %d", id, err, want)
			}
			p.Want(want, 0)
		}
		p.Send(10, idl.Write)
		p.WantIdle()
		if id, _ := p.Session().Open(nil, ignore{}, 0, nil, nil); id != 11 {
			t.Errorf("Open = %d after the peer's 10, want 11", id)
		}
		p.Want(11, 0)
		p.Send(2, idl.Write, "answer")
		p.Send(1, idl.Write, "heartbeat")
		p.WantIdle()
		want := []string{`accept 1 (0) ["handshake"]`, "accept 10 (0) []", `receive 1 (0) ["heartbeat"]`}
		if got := r.take(); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}
