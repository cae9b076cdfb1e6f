package rpc_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// pinger makes one ping after the other on a session, without a Stream.
type pinger struct{ answer chan struct{} }

func (p *pinger) Receive(*rpc.Batch, *rpc.Frame) bool { p.answer <- struct{}{}; return true }
func (p *pinger) Lost(*rpc.Batch, error)              { close(p.answer) }

func benchPing(b *testing.B, inFlight int) {
	client, server := sockets(b, "tcp")
	run(b, server, rpc.SessionOptions{Acceptor: rpc.NewMux(idl.Locator, rpc.MuxOptions{})})
	s := run(b, client, rpc.SessionOptions{})
	work := make(chan struct{}, b.N)
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() {
			p := &pinger{answer: make(chan struct{}, 1)}
			for range work {
				if _, err := s.Open(nil, p, idl.Ping, nil, nil); err != nil {
					b.Error(err)
					return
				}
				<-p.answer
			}
		})
	}
	wg.Wait()
}

// BenchmarkPing is the round trip of a control message over loopback TCP.
func BenchmarkPing(b *testing.B) {
	b.Run("alone", func(b *testing.B) { benchPing(b, 1) })
	b.Run("inflight=256", func(b *testing.B) { benchPing(b, 256) })
}

// BenchmarkCall is the same through Stream, as the client framework does it.
func BenchmarkCall(b *testing.B) {
	client, server := sockets(b, "tcp")
	run(b, server, rpc.SessionOptions{Acceptor: rpc.NewMux(idl.Locator, rpc.MuxOptions{})})
	s := run(b, client, rpc.SessionOptions{})
	b.ReportAllocs()
	for b.Loop() {
		st, err := s.Call(b.Context(), idl.Ping, nil, rpc.CallOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := st.Recv(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// caller makes forwarded calls of five frames: enqueue, write, close there, write
// and close back.
type caller struct {
	answer chan struct{}
	args   []byte
}

func (c *caller) Receive(_ *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == idl.Write {
		return false
	}
	c.answer <- struct{}{}
	return true
}

func (c *caller) Lost(*rpc.Batch, error) { close(c.answer) }

func (c *caller) call(s *rpc.Session) (err error) {
	rpc.Run(func(b *rpc.Batch) {
		var id uint64
		if id, err = s.Open(b, c, idl.AppEnqueue, eventArgs, nil); err != nil {
			return
		}
		_ = s.Send(b, id, idl.Write, c.args, nil)
		err = s.Send(b, id, idl.Close, nil, nil)
	})
	if err == nil {
		<-c.answer
	}
	return err
}

var eventArgs = []byte("\x91\xa5greet")

func benchForward(b *testing.B, inFlight, size int) {
	s := twoHops(b)
	args := append([]byte{0x91, 0xda, byte(size >> 8), byte(size)}, make([]byte, size)...)
	work := make(chan struct{}, b.N)
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	b.ReportAllocs()
	b.ResetTimer()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() {
			c := &caller{answer: make(chan struct{}, 1), args: args}
			for range work {
				if err := c.call(s); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/10, "allocs/frame")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkForward is a whole call through a forwarding session and back: client,
// forwarder and worker in one process. A call is ten frames on four sockets.
func BenchmarkForward(b *testing.B) {
	b.Run("alone", func(b *testing.B) { benchForward(b, 1, 128) })
	b.Run("inflight=32", func(b *testing.B) { benchForward(b, 32, 128) })
	b.Run("inflight=256", func(b *testing.B) { benchForward(b, 256, 128) })
	b.Run("large", func(b *testing.B) { benchForward(b, 64, 4096) })
}
