//go:build !race

package rpc_test

import (
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Forwarding allocates nothing per frame: not for frames of open channels, not
// for calls as a whole. (The race detector allocates, hence the build tag.)
func TestForwardingAllocatesNothing(t *testing.T) {
	s := twoHops(t)
	args := append([]byte{0x91, 0xda, 0, 128}, make([]byte, 128)...)

	t.Run("frames", func(t *testing.T) {
		const frames = 500
		c := newCounter()
		id, err := s.Open(nil, c, idl.AppEnqueue, eventArgs, nil)
		if err != nil {
			t.Fatal(err)
		}
		perRun := testing.AllocsPerRun(50, func() {
			c.expect(frames)
			for range frames {
				if err := s.Send(nil, id, idl.Write, args, nil); err != nil {
					t.Fatal(err)
				}
			}
			<-c.done
		})
		if perRun > 0 { // of 2000 frames on four sockets
			t.Errorf("%v allocations for %d round trips through a forwarder", perRun, frames)
		}
	})

	t.Run("calls", func(t *testing.T) {
		const calls = 500
		c := newCounter()
		perRun := testing.AllocsPerRun(50, func() {
			c.expect(2 * calls)
			for range calls {
				id, err := s.Open(nil, c, idl.AppEnqueue, eventArgs, nil)
				if err == nil {
					_ = s.Send(nil, id, idl.Write, args, nil)
					err = s.Send(nil, id, idl.Close, nil, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			<-c.done
		})
		// The collector empties the pools of chunks now and then.
		if perRun > calls/100 {
			t.Errorf("%v allocations for %d calls through a forwarder", perRun, calls)
		}
	})
}

// A control message costs no allocation on either side.
func TestPingAllocatesNothing(t *testing.T) {
	client, server := sockets(t, "tcp")
	run(t, server, rpc.SessionOptions{Acceptor: rpc.NewMux(idl.Locator, rpc.MuxOptions{})})
	s := run(t, client, rpc.SessionOptions{})
	p := &pinger{answer: make(chan struct{}, 1)}
	perRun := testing.AllocsPerRun(200, func() {
		if _, err := s.Open(nil, p, idl.Ping, nil, nil); err != nil {
			t.Fatal(err)
		}
		<-p.answer
	})
	if perRun > 0 {
		t.Errorf("%v allocations for a ping", perRun)
	}
}
