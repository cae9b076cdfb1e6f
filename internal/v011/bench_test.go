package v011_test

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"

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
	c.in = make([]byte, 256<<10)
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
