package unicorn_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/unicorn"
)

func BenchmarkPut(b *testing.B) {
	s := openStore(b, openState(b, b.TempDir()))
	if err := s.Create(b.Context(), "/a", []byte{0}); err != nil {
		b.Fatal(err)
	}
	version := int64(0)
	for b.Loop() {
		if ok, _, err := s.Put(b.Context(), "/a", []byte{0}, version); err != nil || !ok {
			b.Fatal(ok, err)
		}
		version++
	}
}

// BenchmarkLock is one hand-over: release by one, acquisition by the next.
func BenchmarkLock(b *testing.B) {
	s := openStore(b, openState(b, b.TempDir()))
	holder, err := s.Lock(b.Context(), "/l", []byte{0})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		next, err := s.Lock(b.Context(), "/l", []byte{0})
		if err != nil {
			b.Fatal(err)
		}
		if err := holder.Release(b.Context()); err != nil {
			b.Fatal(err)
		}
		<-next.Acquired()
		holder = next
	}
}

// BenchmarkLockAlone is a lock that nobody else wants, taken and given back.
func BenchmarkLockAlone(b *testing.B) {
	s := openStore(b, openState(b, b.TempDir()))
	for b.Loop() {
		h, err := s.Lock(b.Context(), "/l", []byte{0})
		if err == nil {
			<-h.Acquired()
			err = h.Release(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFanOut is the time from a put to when the last of 1,000 subscribers has
// the new value: each on a connection of its own, and a hundred on each of ten. It
// judges nothing: on two idle processors the longest should stay below 20 ms.
func BenchmarkFanOut(b *testing.B) {
	for _, connections := range []int{1000, 10} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) { fanOut(b, connections, 1000) })
	}
}

func fanOut(b *testing.B, connections, subscribers int) {
	s := openStore(b, openState(b, b.TempDir()))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := rpc.NewServer(rpc.ServerOptions{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), ln, unicorn.Service(s, rpc.MuxOptions{})) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		_ = srv.Shutdown(ctx)
		if err := <-served; err != nil {
			b.Error(err)
		}
	}()
	if err := s.Create(b.Context(), "/a", []byte{0}); err != nil {
		b.Fatal(err)
	}
	var arrived, readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	arrived.Add(subscribers)
	args := msgpack.AppendString(msgpack.AppendArray(nil, 1), "/a")
	m := idl.Unicorn.Method("subscribe")
	sessions := make([]*rpc.Session, connections)
	for i := range sessions {
		if sessions[i], err = rpc.Dial(b.Context(), "tcp", ln.Addr().String(), rpc.SessionOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range subscribers {
		session := sessions[i%connections]
		st, err := session.Call(b.Context(), m.ID, args, rpc.CallOptions{Send: m.Next, Recv: m.Reply.Node})
		if err != nil {
			b.Fatal(err)
		}
		readers.Go(func() {
			defer session.Wait()
			defer session.Close()
			for {
				if _, err := st.Recv(ctx); err != nil {
					return
				}
				arrived.Done()
			}
		})
	}
	arrived.Wait() // all have the first
	version := int64(0)
	var took []time.Duration
	before := cpuTime(b)
	for b.Loop() {
		arrived.Add(subscribers)
		start := time.Now()
		if _, _, err := s.Put(b.Context(), "/a", []byte{0}, version); err != nil {
			b.Fatal(err)
		}
		version++
		arrived.Wait()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1])/1e6, "max-ms")
	b.ReportMetric(float64(cpuTime(b)-before)/1e6/float64(b.N), "cpu-ms/op")
}

// cpuTime is what this process has used, subscribers included. On a machine that has
// other things to do it says more than the time of a clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
