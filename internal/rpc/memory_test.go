package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// largeFrame is a call whose arguments have so many bytes.
func largeFrame(channel, typ uint64, size int) []byte {
	p := msgpack.AppendArray(wire.AppendHead(nil, channel, typ), 1)
	return msgpack.AppendArray(msgpack.AppendBytes(p, make([]byte, size)), 0)
}

// Frames that are read by half take memory, of all sessions together.
func TestMemoryOfHalfFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := rpc.NewMemory(4 << 20)
		o := rpc.SessionOptions{Acceptor: kindMux(rpc.MuxOptions{}), Memory: memory, Stall: time.Minute}
		half := largeFrame(1, kindUnary, 3<<20)
		half = half[:len(half)-1<<20]
		first := rpctest.New(t, rpctest.Options{Session: o, Buffer: 16 << 20})
		first.Write(half)
		synctest.Wait()
		if n := memory.Used(); n < 2<<20-64<<10 || n > 4<<20 {
			t.Errorf("a half frame of 2 MiB takes %d bytes", n)
		}
		second := rpctest.New(t, rpctest.Options{Session: o, Buffer: 16 << 20})
		if _, err := second.Conn().Write(half); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Log(err) // it is closed meanwhile
		}
		second.Session().Wait()
		if err := second.Session().Err(); !errors.Is(err, rpc.ErrMemory) {
			t.Errorf("the second half frame ends with %v", err)
		}
		small := rpctest.New(t, rpctest.Options{Session: o})
		small.Send(1, kindUnary, "small ones go on")
		small.Want(1, idl.Value, "small ones go on")
		time.Sleep(2 * time.Minute) // the first one says no more
		first.Session().Wait()
		if err := first.Session().Err(); !errors.Is(err, rpc.ErrDisconnected) {
			t.Errorf("the first half frame ends with %v", err)
		}
		if n := memory.Used(); n != 0 {
			t.Errorf("%d bytes are taken by nobody", n)
		}
	})
}

// The arguments of calls under way take memory, and hold up the session whose calls
// have more than it may buffer.
func TestMemoryOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var running atomic.Int32
		m := rpc.NewMux(kinds, rpc.MuxOptions{})
		m.Unary("unary", func(context.Context, *rpc.Call) ([]byte, error) {
			running.Add(1)
			<-gate
			return nil, nil
		})
		memory := rpc.NewMemory(8 << 20)
		o := rpc.SessionOptions{Acceptor: m, Memory: memory, Buffer: 1 << 20, Stall: time.Hour}
		p := rpctest.New(t, rpctest.Options{Session: o, Buffer: 32 << 20})
		for ch := uint64(1); ch <= 4; ch++ {
			p.Write(largeFrame(ch, kindUnary, 700<<10))
			synctest.Wait()
		}
		if n := running.Load(); n != 2 {
			t.Errorf("%d large calls run at once, want 2", n)
		}
		other := rpctest.New(t, rpctest.Options{Session: o, Buffer: 32 << 20})
		other.Write(largeFrame(1, kindUnary, 3500<<10)) // which is read and then does not fit twice
		other.WantError(1, idl.CategoryGeneric, idl.GenericUnavailable)
		close(gate)
		for range 4 {
			p.Recv()
		}
		synctest.Wait()
		other.Write(largeFrame(2, kindUnary, 3500<<10))
		other.Want(2, idl.Value)
		p.Close()
		other.Close()
		p.Session().Wait()
		other.Session().Wait()
		if n := memory.Used(); n != 0 {
			t.Errorf("%d bytes are taken by nobody", n)
		}
	})
}

// Output that nobody takes takes memory; when it is used up, every session may buffer
// little only.
func TestMemoryOfOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := rpc.NewMemory(1 << 20)
		served := 0
		answer := msgpack.AppendBytes(msgpack.AppendArray(nil, 1), bytes.Repeat([]byte("x"), 10<<10))
		m := rpc.NewMux(kinds, rpc.MuxOptions{})
		m.Inline("inline", func(context.Context, *rpc.Call) ([]byte, error) { served++; return answer, nil })
		o := rpc.SessionOptions{Acceptor: m, Memory: memory, Stall: time.Hour}
		ask := func() *rpctest.Peer {
			p := rpctest.New(t, rpctest.Options{Session: o, Buffer: 8 << 10})
			for ch := uint64(1); ch <= 200; ch++ {
				p.Send(ch, kindInline, "x")
				synctest.Wait()
			}
			return p
		}
		first := ask() // 2 MB of answers, fewer than the session may buffer
		if served > 150 || memory.Used() < 1<<20 {
			t.Errorf("%d calls were served, %d bytes are taken", served, memory.Used())
		}
		served = 0
		second := ask()
		if served > 20 {
			t.Errorf("%d calls were served when nothing was left", served)
		}
		for _, p := range []*rpctest.Peer{first, second} {
			for range 200 {
				p.Recv()
			}
		}
		synctest.Wait()
		if n := memory.Used(); n != 0 {
			t.Errorf("%d bytes are taken by nobody", n)
		}
	})
}
