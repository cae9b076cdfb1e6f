package v011_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// The rules by which the clients of v0.11 can live (docs/PROTOCOL.md, The v0.11
// protocol).

// stray is a service that says more than it may: it goes on after the end of an
// answer, ends it twice and speaks on channels that nobody opened.
type stray struct{}

func (stray) Accept(b *rpc.Batch, s *rpc.Session, ch uint64, _ *rpc.Frame) rpc.Receiver {
	for _, channel := range []uint64{ch, ch, ch + 1, ch + 1000, 0} {
		_ = s.Send(b, channel, idl.Value, []byte{0x91, 7}, nil)
		_ = s.Send(b, channel, idl.Error, nil, nil)
		_ = s.Send(b, channel, idl.Close, nil, nil)
	}
	return nil
}

// Rule 1: nothing after a choke, no second one, and nothing on a session that the
// client did not open.
func TestRuleNothingBesideTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.services["stray"] = v011Generic(stray{})
		p := r.dial(t, "stray")
		for _, session := range []uint64{0, 7, 7, 3, math.MaxUint64} {
			p.call(0, session, "x")
			p.wantChunk(t, session, 7)
			p.wantChoke(session)
			p.WantIdle()
		}
	})
}

// Rule 2: an error is followed by exactly one choke, wherever it comes from.
func TestRuleErrorThenOneChoke(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "probe")
		for session, c := range []struct {
			method uint64
			args   []any
			code   int
			text   string
		}{
			{2, []any{5, "boom"}, 5, "boom"},
			{99, nil, 1, "unknown message type"},
			{65533, nil, 1, "unknown message type"},
			{65535, []any{1, []any{1, 1}}, 1, "unknown message type"},
			{math.MaxUint32, nil, 1, "unknown message type"},
			{6, []any{"x"}, 1, "unknown message type"}, // declared and not served
			{0, nil, 1, "argument sequence length mismatch - expected at least 1, got 0"},
		} {
			p.call(c.method, uint64(session), c.args...)
			p.wantError(uint64(session), c.code, c.text)
			p.WantIdle()
		}
		p.call(3, 9, 2)
		p.wantChunk(t, 9, 1)
		p.wantChunk(t, 9, 2)
		p.wantError(9, 7, "after 2 chunks")
		p.WantIdle()
	})
}

// The codes and texts that the original runtime had for what ends requests.
func TestEnqueueErrors(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "echo")
		for event, want := range map[string]struct {
			code int
			text string
		}{
			"full":     {2, "the queue is full"},
			"nowords":  {2, "the pool is full"},
			"stopped":  {2, "the engine is not active"},
			"expired":  {4, "the event has expired in the queue"},
			"timeout":  {3, "the worker did not answer in time"},
			"died":     {2, "slave has been discarded"},
			"handler":  {-100, "no handler"},
			"custom":   {-100, "own"},
			"anything": {1, "disk"},
		} {
			p.call(0, 1, event, "")
			p.wantError(1, want.code, want.text)
			p.WantIdle()
		}
		for _, args := range [][]any{{1, "blob"}, {"echo", 7}, {nil, nil}} {
			p.call(0, 2, args...)
			p.wantError(2, 1, "argument type mismatch")
		}
		p.call(0, 3, "echo")
		p.wantError(3, 1, "argument sequence length mismatch - expected at least 2, got 1")
	})
}

// Rule 3: the payload of a service's chunk is one complete value; the chunks of an app
// are what its worker wrote.
func TestRulePayloads(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "probe")
		p.call(18, 1, "a", 2, []any{nil})
		p.wantChunk(t, 1, []any{"a", 2, []any{nil}}) // several results are one array
		p.wantChoke(1)
		p.call(0, 2, []any{"x"})
		p.wantChunk(t, 2, []any{"x"})
		p.wantChoke(2)
		p.call(0, 3, nil)
		p.Want(4, 3, "\xc0")
		p.wantChoke(3)
		p.call(16, 4) // has no answer in v0.12
		p.wantChoke(4)

		p = r.dial(t, "echo")
		for _, blob := range []string{"", "\xc1 no msgpack", strings.Repeat("x", 40), strings.Repeat("y", 1<<17)} {
			p.call(0, 5, "echo", blob, "tag", "surplus")
			p.Want(4, 5, blob)
			p.wantChoke(5)
		}
	})
}

// Rule 4: strings have the tags of 2013 on the way out, and any on the way in.
func TestRuleOldMsgpack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "probe")
		// one([bin8 "a", {str8 "k": bin16 "v"}, 1.5, -1])
		args := []byte{0x91, 0x94, 0xc4, 1, 'a', 0x81, 0xd9, 1, 'k', 0xc5, 0, 1, 'v', 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xff}
		p.Write(oldFrame(0, 1, args))
		p.Want(4, 1, "\x94\xa1a\x81\xa1k\xa1v\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xff")
		p.wantChoke(1)

		p = r.dial(t, "echo")
		p.Write(oldFrame(0, 2, []byte{0x92, 0xd9, 3, 'b', 'i', 'n', 0xc4, 2, 'h', 'i'}))
		p.Want(4, 2, "hi")
		p.wantChoke(2)
		got := oldAnswer(t, r, "echo", oldFrame(0, 2, []byte{0x92, 0xa3, 'b', 'i', 'n', 0xa2, 'h', 'i'}), 11)
		if want := []byte("\x93\x04\x02\x91\xa2hi\x93\x06\x02\x90"); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}

		p = r.dial(t, "storage")
		p.Write(oldFrame(1, 3, []byte{0x94, 0xd9, 1, 'c', 0xc4, 1, 'k', 0xc4, 1, 'v', 0x91, 0xd9, 1, 't'}))
		p.wantChoke(3)
		p.call(3, 4, "c", []any{"t"})
		p.wantChunk(t, 4, []any{"k"})
		p.wantChoke(4)
	})
}

// oldAnswer is the first bytes of an answer, as they travel.
func oldAnswer(t *testing.T, r *rig, service string, call []byte, size int) []byte {
	t.Helper()
	p := r.dial(t, service)
	p.Write(call)
	b := make([]byte, size)
	if err := readFull(p, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// Rule 5: resolve answers [[host, port], version, {number: name}] with the names that
// clients make attributes of, and numbers that are integers.
func TestRuleResolve(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "locator")
		for i, want := range []struct{ name, info string }{
			{"node", "\x93\x92\xa9127.0.0.1\xcd\x80\x01\x01\x83\x00\xa9start_app\x01\xa9pause_app\x02\xa4list"},
			{"storage", "\x93\x92\xa9127.0.0.1\xcd\x80\x02\x01\x84\x00\xa4read\x01\xa5write\x02\xa6remove\x03\xa4find"},
			{"logging", "\x93\x92\xa9127.0.0.1\xcd\x80\x04\x01\x82\x00\xa4emit\x01\xa9verbosity"},
			{"echo", "\x93\x92\xa9127.0.0.1\xcd\x80\x05\x01\x82\x00\xa7enqueue\x01\xa4info"},
		} {
			p.call(0, uint64(i), want.name)
			p.Want(4, uint64(i), want.info)
			p.wantChoke(uint64(i))
		}
		p.call(0, 9, "WAT?")
		p.wantError(9, 1, "service WAT? is not available")
		p.call(0, 9, "locator") // the client knows it already
		p.wantError(9, 1, "service locator is not available")
		p.call(0, 9, 5)
		p.wantError(9, 1, "argument type mismatch")
		r.remove["echo"]()
		p.call(0, 9, "echo")
		p.wantError(9, 1, "service echo is not available")
	})
}

// Rule 6: a connection that says nothing for hours is kept.
func TestRuleIdleConnections(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "locator")
		for range 3 {
			time.Sleep(9 * time.Hour)
			p.WantIdle()
			p.call(0, 1, "nothing")
			p.wantError(1, 1, "service nothing is not available")
		}
	})
}

// Rule 10, as far as the locator is concerned: it names logging before anything else
// works, and without waiting for anything.
func TestRuleLoggingResolves(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "locator")
		p.call(0, 1, "logging")
		synctest.Wait()
		if f, err := p.Poll(); err != nil || f.Channel != 4 {
			t.Errorf("%v, %v", f, err)
		}
	})
}

// Rule 11: each emit is answered, also while the client reads no answer and goes on
// writing; severities are turned around.
func TestRuleLogging(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "logging")
		levels := []any{0, 1, 2, 3, 4, 9}
		for i, level := range levels {
			p.call(0, uint64(i), level, "app/a", "text", "surplus")
		}
		for i := range levels {
			p.wantChoke(uint64(i))
		}
		want := []uint64{3, 2, 1, 0, 0} // level 0 is nobody's
		r.emitted.mu.Lock()
		got := r.emitted.args
		r.emitted.mu.Unlock()
		if len(got) != len(want) {
			t.Fatalf("%d records, want %d", len(got), len(want))
		}
		for i, args := range got {
			if b := p.Args(want[i], "app/a", "text"); !bytes.Equal(args, b) {
				t.Errorf("record %d is %x, want %x", i, args, b)
			}
		}
		p.call(1, 1)
		p.wantChunk(t, 1, 4)
		p.wantChoke(1)
		p.call(0, 2, "3", "app/a", "text")
		p.wantError(2, 1, "argument type mismatch")

		const calls = 100000 // their chokes are more than the connection holds
		before := len(got)
		for range calls / 100 {
			p.Write(bytes.Repeat(oldFrame(0, 7, p.Args(1, "app/a", "text")), 100))
		}
		synctest.Wait()
		r.emitted.mu.Lock()
		defer r.emitted.mu.Unlock()
		if n := len(r.emitted.args) - before; n != calls {
			t.Errorf("%d of %d records", n, calls)
		}
	})
}

// A peer that breaks the framing is hung up on; what it does costs nobody else
// anything.
func TestBrokenFraming(t *testing.T) {
	for name, b := range map[string][]byte{
		"four elements":             {0x94, 0, 1, 0x91, 0xa1, 'x', 0x90},
		"five elements":             {0x95, 0, 1, 0x91, 0xa1, 'x', 0x90, 0x90},
		"two elements":              {0x92, 0, 1},
		"no array":                  {0xa4, 'n', 'o', 'd', 'e'},
		"a map":                     {0x83, 0, 1, 2, 3, 4, 5},
		"negative type":             {0x93, 0xff, 1, 0x90},
		"negative session":          {0x93, 0, 0xff, 0x90},
		"arguments are no array":    {0x93, 0, 1, 0xa1, 'x'},
		"a type of 33 bits":         {0x93, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0x90},
		"an extension":              {0x93, 0, 1, 0x91, 0xd4, 1, 2},
		"a frame of v0.12":          wire.AppendFrame(nil, wire.Frame{Channel: 1, Type: 0, Args: []byte{0x91, 0xa1, 'x'}}),
		"nesting without an end":    append([]byte{0x93, 0, 1}, bytes.Repeat([]byte{0x91}, 1000)...),
		"a string beyond the limit": {0x93, 0, 1, 0x91, 0xdb, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				other, p := r.dial(t, "probe"), r.dial(t, "probe")
				p.call(0, 1, "before")
				p.wantChunk(t, 1, "before")
				p.wantChoke(1)
				p.Write(b)
				p.WantClosed()
				other.call(0, 1, "x")
				other.wantChunk(t, 1, "x")
				other.wantChoke(1)
			})
		})
	}
}

// Session numbers are the client's: any value, again and at once.
func TestSessionNumbers(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "probe")
		p.call(5, 0, 0.3)
		p.call(5, 0, 0.2)
		p.call(0, 0, "now")
		p.call(5, math.MaxUint64, 0.1)
		p.wantChunk(t, 0, "now")
		p.wantChoke(0)
		p.wantChunk(t, math.MaxUint64, "slow")
		p.wantChoke(math.MaxUint64)
		for range 2 {
			p.wantChunk(t, 0, "slow")
			p.wantChoke(0)
		}
		p.WantIdle()
	})
}

// A client that goes away ends what it began.
func TestClientGoesAway(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		p := r.dial(t, "probe")
		p.call(4, 1, "for ever")
		p.call(5, 2, 3600.0)
		synctest.Wait()
		p.Close()
		p.Session().Wait() // which waits for the methods
	})
}

// v011Generic is a service of one method with one argument over an Acceptor.
func v011Generic(a rpc.Acceptor) *service {
	return generic(&idl.Protocol{Name: "stray", Version: 1, Messages: []idl.Message{
		{ID: 0, Name: "talk", Args: []idl.Arg{{Name: "x"}}, Next: idl.Terminal, Reply: idl.Echo.Messages[0].Reply}}}, a)
}

// Both generations are served on one port, each in its own words.
func TestEither(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ordinary := probe()
		o := rpc.SessionOptions{Acceptor: either(r.services["probe"], ordinary), Recognise: r.services["probe"].RecogniseOnService(wire.Limits{})}
		old, recent := &oldPeer{rpctest.New(t, rpctest.Options{Session: o})}, rpctest.New(t, rpctest.Options{Session: o})
		old.call(0, 9, "x")
		recent.Send(1, 0, "x")
		old.wantChunk(t, 9, "x")
		old.wantChoke(9)
		recent.Want(1, idl.Value, "x")
		b := msgpack.AppendArray(nil, 0)
		old.Write(oldFrame(99, 1, b))
		old.wantError(1, 1, "unknown message type")
		recent.Send(2, 99)
		recent.WantError(2, idl.CategoryDispatch, idl.DispatchUnbound)
	})
}
