package v011_test

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/engine/enginetest"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/v011"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// startApp brings up an app of one echo worker and serves it to clients of a
// generation.
func startApp(tb testing.TB, old bool) net.Conn {
	tb.Helper()
	p, err := manifest.ParseProfile("p", map[string]any{"pool-limit": 1, "pool-min": 1, "concurrency": 10000, "queue-limit": 10000})
	if err != nil {
		tb.Fatal(err)
	}
	e := engine.New(engine.Options{App: "echo", Profile: *p, Endpoint: filepath.Join(tb.TempDir(), "s"), Isolate: enginetest.Echo{}})
	if err := e.Start(); err != nil {
		tb.Fatal(err)
	}
	if err := e.Warm(tb.Context(), 1); err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	mux := engine.Service(e, rpc.MuxOptions{})
	face := v011.App(mux, func() (map[string]any, error) { return e.Info(engine.InfoOverseer), nil }, rpc.MuxOptions{})
	o := rpc.SessionOptions{Recognise: face.RecogniseOnService(wire.Limits{})}
	a := v011.Either(face, mux)
	if old {
		o.Recognise, a = face.Recognise(wire.Limits{}), face
	}
	server := rpc.NewServer(rpc.ServerOptions{Session: o})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(context.Background(), ln, a) })
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = conn.Close()
		if err := e.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := server.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
		serving.Wait()
	})
	return conn
}

// A rawClient keeps calls under way as cheaply as a client can, so that what is
// measured is the runtime.
type rawClient struct {
	conn    net.Conn
	call    func(dst []byte, id uint64) []byte
	last    func(f wire.Frame) bool // the end of an answer
	id      uint64
	out, in []byte
}

func oldClient(conn net.Conn, payload []byte) *rawClient {
	args := msgpack.AppendBytes(msgpack.AppendString(msgpack.AppendArray(nil, 2), "echo"), payload)
	return &rawClient{conn: conn,
		call: func(dst []byte, id uint64) []byte {
			return append(msgpack.AppendUint(append(dst, 0x93, 0), id), args...)
		},
		last: func(f wire.Frame) bool { return f.Channel == 6 }}
}

func recentClient(conn net.Conn, payload []byte) *rawClient {
	event, chunk := msgpack.AppendString([]byte{0x91}, "echo"), msgpack.AppendBytes([]byte{0x91}, payload)
	return &rawClient{conn: conn,
		call: func(dst []byte, id uint64) []byte {
			dst = wire.AppendFrame(dst, wire.Frame{Channel: id, Type: idl.AppEnqueue, Args: event})
			dst = wire.AppendFrame(dst, wire.Frame{Channel: id, Type: idl.Write, Args: chunk})
			return wire.AppendFrame(dst, wire.Frame{Channel: id, Type: idl.Close})
		},
		last: func(f wire.Frame) bool { return f.Type == idl.Close }}
}

// run makes n calls, some at a time.
func (c *rawClient) run(tb testing.TB, n, parallel int) {
	tb.Helper()
	scanner := wire.NewScanner(wire.Limits{})
	if c.in == nil {
		c.in = make([]byte, 256<<10)
	}
	started, ended, have := 0, 0, 0
	c.out = c.out[:0]
	for ended < n {
		for started < n && started-ended < parallel {
			c.id++
			c.out = c.call(c.out, c.id)
			started++
		}
		if _, err := c.conn.Write(c.out); err != nil {
			tb.Fatal(err)
		}
		c.out = c.out[:0]
		k, err := c.conn.Read(c.in[have:])
		if err != nil {
			tb.Fatal(err)
		}
		have += k
		used := 0
		for {
			f, size, err := scanner.Next(c.in[used:have])
			if err != nil {
				break
			}
			used += size
			if c.last(f) {
				ended++
			}
		}
		have = copy(c.in, c.in[used:have])
	}
}

// BenchmarkEcho is a call through client connection, engine and worker connection and
// back, 128 bytes each way, for clients of both generations.
func BenchmarkEcho(b *testing.B) {
	payload := make([]byte, 128)
	for _, bb := range []struct {
		name     string
		parallel int
		old      bool
	}{
		{"v0.12 alone", 1, false}, {"v0.11 alone", 1, true},
		{"v0.12 16", 16, false}, {"v0.11 16", 16, true},
		{"v0.12 256", 256, false}, {"v0.11 256", 256, true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			conn := startApp(b, bb.old)
			c := recentClient(conn, payload)
			if bb.old {
				c = oldClient(conn, payload)
			}
			c.run(b, 5000, bb.parallel)
			b.ReportAllocs()
			b.ResetTimer()
			c.run(b, b.N, bb.parallel)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// BenchmarkEchoRatio is how many calls clients of v0.11 make in the time in which
// those of v0.12 make one, and with the processor time of one. Both take turns within
// each iteration, so that what else the machine does falls on both.
func BenchmarkEchoRatio(b *testing.B) {
	for _, parallel := range []int{1, 16, 256} {
		b.Run(strconv.Itoa(parallel), func(b *testing.B) {
			payload := make([]byte, 128)
			clients := [2]*rawClient{recentClient(startApp(b, false), payload), oldClient(startApp(b, true), payload)}
			calls := 100 * max(parallel, 10)
			for _, c := range clients {
				c.run(b, 3*calls, parallel)
			}
			var ratios []float64
			var busy [2]time.Duration
			for b.Loop() {
				var took [2]time.Duration
				for i := range clients {
					generation := (i + len(ratios)) % 2 // neither is always the first
					began, used := time.Now(), processorTime(b)
					clients[generation].run(b, calls, parallel)
					took[generation] = time.Since(began)
					busy[generation] += processorTime(b) - used
				}
				ratios = append(ratios, float64(took[0])/float64(took[1]))
			}
			slices.Sort(ratios)
			b.ReportMetric(0, "ns/op") // of both together: says nothing
			b.ReportMetric(ratios[len(ratios)/2], "v0.11/v0.12-median")
			b.ReportMetric(float64(busy[0])/float64(busy[1]), "v0.11/v0.12-processor")
			n := float64(len(ratios) * calls)
			b.ReportMetric(float64(busy[0])/n, "ns-cpu/v0.12-call")
			b.ReportMetric(float64(busy[1])/n, "ns-cpu/v0.11-call")
		})
	}
}

// processorTime is what this process has used: clients, runtime and workers.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Echo works end to end, for both generations.
func TestEcho(t *testing.T) {
	for _, old := range []bool{false, true} {
		conn := startApp(t, old)
		c := recentClient(conn, []byte("x"))
		if old {
			c = oldClient(conn, []byte("x"))
		}
		c.run(t, 1000, 64)
	}
}
