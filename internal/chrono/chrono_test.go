package chrono_test

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/chrono"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func play(t *testing.T, c *chrono.Chrono) *rpctest.Peer {
	return rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: chrono.Service(c, rpc.MuxOptions{})}})
}

// in runs a test in a bubble, with a Chrono that must have no timers at the end.
func in(t *testing.T, o chrono.Options, f func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer)) {
	synctest.Test(t, func(t *testing.T) {
		c := chrono.New(o)
		p := play(t, c)
		f(t, c, p)
		p.Close()
		p.Session().Wait()
		if n := c.Timers(); n != 0 {
			t.Errorf("%d timers are left", n)
		}
	})
}

// number reads the frame that tells a timer's number.
func number(t *testing.T, p *rpctest.Peer, channel uint64) int64 {
	t.Helper()
	f := p.Recv()
	id, ok := f.Values()[0].(int64)
	if f.Channel != channel || f.Type != idl.Write || !ok || id <= 0 || id > math.MaxInt32 {
		t.Fatalf("got %v, want the number of a timer on channel %d", f, channel)
	}
	return id
}

// after checks that a time has passed, to the microsecond.
func after(t *testing.T, since time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(since); got < want || got > want+time.Millisecond {
		t.Errorf("it took %v, want %v", got, want)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestConversation is one with the original: the same requests, byte for byte but for
// the timer's number, the same answers in the same order at the same times.
func TestConversation(t *testing.T) {
	in(t, chrono.Options{}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
		start := time.Now()
		p.Write(unhex(t, "93 01 00 91 cb 3fd3333333333333")) // notify_after 0.3
		number(t, p, 1)
		after(t, start, 300*time.Millisecond)
		p.Want(1, idl.Close)

		start = time.Now()
		p.Write(unhex(t, "93 02 00 92 cb 3fd3333333333333 c3")) // with its number
		id := number(t, p, 2)
		after(t, start, 0)
		p.Want(2, idl.Write, id)
		after(t, start, 300*time.Millisecond)
		p.Want(2, idl.Close)

		start = time.Now()
		p.Write(unhex(t, "93 03 01 92 cb 3fc999999999999a c3")) // notify_every 0.2
		id = number(t, p, 3)
		after(t, start, 0)
		p.Want(3, idl.Write, id)
		after(t, start, 200*time.Millisecond)
		p.Want(3, idl.Write, id)
		after(t, start, 400*time.Millisecond)
		p.Send(4, idl.ChronoRestart, id)
		p.Want(4, idl.Value)
		time.Sleep(150 * time.Millisecond)
		p.WantIdle()
		p.Send(5, idl.ChronoCancel, id)
		p.Want(3, idl.Close) // before the answer
		p.Want(5, idl.Value)
		time.Sleep(500 * time.Millisecond)
		p.WantIdle()
		p.Send(6, idl.ChronoCancel, id)
		p.Want(6, idl.Value)
	})
}

func TestRestart(t *testing.T) {
	in(t, chrono.Options{}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
		start := time.Now()
		p.Send(1, idl.ChronoNotifyAfter, 10, true) // a whole number is a number, too
		id := number(t, p, 1)
		time.Sleep(9 * time.Second)
		p.Send(2, idl.ChronoRestart, id)
		p.Want(2, idl.Value)
		p.Want(1, idl.Write, id)
		after(t, start, 19*time.Second)
		p.Want(1, idl.Close)
		p.Send(3, idl.ChronoRestart, id) // too late, and no mistake
		p.Want(3, idl.Value)
		p.WantIdle()
	})
}

func TestCancelByAnother(t *testing.T) {
	in(t, chrono.Options{}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
		p.Send(1, idl.ChronoNotifyAfter, 10.0, true)
		id := number(t, p, 1)
		other := play(t, c)
		other.Send(1, idl.ChronoCancel, id)
		other.Want(1, idl.Value)
		p.Want(1, idl.Close)
		p.WantIdle()
	})
}

func TestZeroIsAtOnce(t *testing.T) {
	in(t, chrono.Options{}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
		p.Send(1, idl.ChronoNotifyAfter, 0)
		number(t, p, 1)
		p.Want(1, idl.Close)
	})
}

// TestClientGoes: timers go with their client.
func TestClientGoes(t *testing.T) {
	in(t, chrono.Options{}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
		p.Send(1, idl.ChronoNotifyAfter, 10.0)
		p.Send(2, idl.ChronoNotifyEvery, 10.0)
		synctest.Wait()
		if n := c.Timers(); n != 2 {
			t.Errorf("%d timers, want 2", n)
		}
	})
}

// TestSlowReader: what is due while the client does not read is left out.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chrono.New(chrono.Options{})
		p := rpctest.New(t, rpctest.Options{Buffer: 1 << 10, Session: rpc.SessionOptions{Buffer: 1 << 10,
			Acceptor: chrono.Service(c, rpc.MuxOptions{})}})
		p.Send(1, idl.ChronoNotifyEvery, 0.001, true)
		id := number(t, p, 1)
		time.Sleep(10 * time.Second) // 10,000 times due
		p.Send(2, idl.ChronoCancel, id)
		n := 0
		for p.Recv().Channel != 2 {
			n++
		}
		if n < 100 || n > 1000 {
			t.Errorf("told %d times, want what fits in the buffers", n)
		}
	})
}

func TestTimersAreBounded(t *testing.T) {
	in(t, chrono.Options{MaxTimers: 2}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
		p.Send(1, idl.ChronoNotifyAfter, 5.0, true)
		id := number(t, p, 1)
		p.Send(2, idl.ChronoNotifyAfter, 1.0)
		synctest.Wait()
		p.Send(3, idl.ChronoNotifyEvery, 1.0)
		if text := p.WantError(3, idl.CategoryGeneric, idl.GenericUnavailable); !strings.Contains(text, "too many timers") {
			t.Errorf("the error reads %q", text)
		}
		number(t, p, 2) // has ended: there is room again
		p.Want(2, idl.Close)
		p.Send(4, idl.ChronoNotifyAfter, 5.0, true)
		number(t, p, 4)
		p.Send(5, idl.ChronoCancel, id)
		p.Want(1, idl.Close)
		p.Want(5, idl.Value)
		p.Send(6, idl.ChronoNotifyAfter, 5.0, true)
		number(t, p, 6)
	})
}

func TestClose(t *testing.T) {
	in(t, chrono.Options{}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
		p.Send(1, idl.ChronoNotifyEvery, 5.0)
		p.WantIdle()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		p.WantError(1, idl.CategoryGeneric, idl.GenericCanceled)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		p.Send(2, idl.ChronoNotifyAfter, 5.0)
		p.WantError(2, idl.CategoryGeneric, idl.GenericCanceled)
	})
}

func TestRefuses(t *testing.T) {
	in(t, chrono.Options{}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
		channel := uint64(0)
		want := func(category, code int, method uint64, args ...any) {
			t.Helper()
			channel++
			p.Send(channel, method, args...)
			p.WantError(channel, category, code)
		}
		for _, method := range []uint64{idl.ChronoNotifyAfter, idl.ChronoNotifyEvery} {
			want(idl.CategoryDispatch, idl.DispatchBadArgs, method)
			want(idl.CategoryDispatch, idl.DispatchBadArgs, method, "1")
			want(idl.CategoryDispatch, idl.DispatchBadArgs, method, nil)
			want(idl.CategoryDispatch, idl.DispatchBadArgs, method, 1.0, nil)
			want(idl.CategoryDispatch, idl.DispatchBadArgs, method, 1.0, 1)
			want(idl.CategoryGeneric, idl.GenericInvalid, method, -1)
			want(idl.CategoryGeneric, idl.GenericInvalid, method, math.NaN())
			want(idl.CategoryGeneric, idl.GenericInvalid, method, math.Inf(1))
			want(idl.CategoryGeneric, idl.GenericInvalid, method, 1e12)
		}
		want(idl.CategoryGeneric, idl.GenericInvalid, idl.ChronoNotifyEvery, 0)
		want(idl.CategoryGeneric, idl.GenericInvalid, idl.ChronoNotifyEvery, 0.0009)
		for _, method := range []uint64{idl.ChronoCancel, idl.ChronoRestart} {
			want(idl.CategoryDispatch, idl.DispatchBadArgs, method)
			want(idl.CategoryDispatch, idl.DispatchBadArgs, method, "1")
			want(idl.CategoryDispatch, idl.DispatchBadArgs, method, 1.5)
		}
	})
}

// FuzzCalls: any arguments are answered or make a timer that goes with its client.
func FuzzCalls(f *testing.F) {
	f.Add(uint8(0), []byte{0x91, 0x05})
	f.Add(uint8(1), []byte{0x92, 0xcb, 0x3f, 0xd3, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0xc3})
	f.Add(uint8(2), []byte{0x91, 0xce, 0x69, 0xb2, 0x03, 0x41})
	f.Fuzz(func(t *testing.T, method uint8, args []byte) {
		r := msgpack.NewReader(args)
		if rest, err := msgpack.Skip(args, msgpack.MaxDepth-1); err != nil || len(rest) > 0 || r.Kind() != msgpack.KindArray {
			return // no arguments at all: the session's to refuse
		}
		in(t, chrono.Options{}, func(t *testing.T, c *chrono.Chrono, p *rpctest.Peer) {
			p.Write(wire.AppendFrame(nil, wire.Frame{Channel: 1, Type: uint64(method % 4), Args: args}))
			synctest.Wait()
			p.Send(2, idl.Ping)
			for p.Recv().Channel != 2 {
			}
		})
	})
}
