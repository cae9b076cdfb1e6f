package v011_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/v011"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// generations are those of the client and of the worker.
type generations struct{ oldClient, oldWorker bool }

var (
	recentOnly = generations{}
	oldClients = generations{oldClient: true}
	oldWorkers = generations{oldWorker: true}
	oldOnly    = generations{oldClient: true, oldWorker: true}
)

// startApp brings up an app of one echo worker and serves it to clients.
func startApp(tb testing.TB, g generations) net.Conn {
	tb.Helper()
	p, err := manifest.ParseProfile("p", map[string]any{"pool-limit": 1, "pool-min": 1, "concurrency": 10000, "queue-limit": 10000})
	if err != nil {
		tb.Fatal(err)
	}
	e := engine.New(engine.Options{App: "echo", Profile: *p, Endpoint: filepath.Join(tb.TempDir(), "s"), Isolate: rawEcho{g.oldWorker}})
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
	if g.oldClient {
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

// newClient is a client of an app that startApp has brought up.
func newClient(tb testing.TB, g generations, payload []byte) *rawClient {
	tb.Helper()
	if g.oldClient {
		return oldClient(startApp(tb, g), payload)
	}
	return recentClient(startApp(tb, g), payload)
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
		who      generations
	}{
		{"v0.12 alone", 1, recentOnly}, {"v0.11 alone", 1, oldClients},
		{"v0.12 16", 16, recentOnly}, {"v0.11 16", 16, oldClients},
		{"v0.12 256", 256, recentOnly}, {"v0.11 256", 256, oldClients},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c := newClient(b, bb.who, payload)
			c.run(b, 5000, bb.parallel)
			b.ReportAllocs()
			b.ResetTimer()
			c.run(b, b.N, bb.parallel)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// BenchmarkEchoRatio is how many calls are made, if clients, workers or both are of
// v0.11, in the time in which one is made between those of v0.12, and with the processor
// time of one. Both kinds take turns within each iteration, so that what else the
// machine does falls on both.
func BenchmarkEchoRatio(b *testing.B) {
	for _, old := range []struct {
		name string
		who  generations
	}{{"clients", oldClients}, {"workers", oldWorkers}, {"both", oldOnly}} {
		for _, parallel := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", old.name, parallel), func(b *testing.B) {
				compare(b, [2]generations{recentOnly, old.who}, parallel)
			})
		}
	}
}

// compare reports how the second compares with the first.
func compare(b *testing.B, who [2]generations, parallel int) {
	calls := 100 * max(parallel, 10)
	var clients [2]*rawClient
	for i := range clients {
		clients[i] = newClient(b, who[i], make([]byte, 128))
		clients[i].run(b, 3*calls, parallel)
	}
	var ratios []float64
	var busy [2]time.Duration
	for b.Loop() {
		var took [2]time.Duration
		for i := range clients {
			i = (i + len(ratios)) % 2 // neither is always the first
			began, used := time.Now(), processorTime(b)
			clients[i].run(b, calls, parallel)
			took[i] = time.Since(began)
			busy[i] += processorTime(b) - used
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
	for _, who := range []generations{recentOnly, oldClients, oldWorkers, oldOnly} {
		newClient(t, who, []byte("x")).run(t, 1000, 64)
	}
}
