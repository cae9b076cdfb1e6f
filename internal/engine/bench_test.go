package engine_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/engine/enginetest"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// An echoClient keeps a number of calls under way on one connection. It is used by
// its session's reader only, but for its start.
type echoClient struct {
	session         *rpc.Session
	payload, header []byte
	chunks          int

	left int // calls still to be made
	open int // calls under way
	done chan struct{}
	bad  error
}

// run makes n calls, some at a time.
func (c *echoClient) run(n, parallel int) error {
	c.left, c.done = n, make(chan struct{})
	rpc.Run(func(b *rpc.Batch) {
		for range min(parallel, n) {
			c.call(b)
		}
	})
	<-c.done
	return c.bad
}

var echoEvent = []byte{0x91, 0xa4, 'e', 'c', 'h', 'o'}

func (c *echoClient) call(b *rpc.Batch) {
	c.left--
	c.open++
	id, _ := c.session.Open(b, c, idl.AppEnqueue, echoEvent, c.header)
	for range c.chunks {
		_ = c.session.Send(b, id, idl.Write, c.payload, nil)
	}
	_ = c.session.Send(b, id, idl.Close, nil, nil)
}

func (c *echoClient) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == idl.Write {
		return false
	}
	if f.Type == idl.StreamError && c.bad == nil {
		e, err := rpc.DecodeError(f.Args)
		c.bad = fmt.Errorf("call failed: %v %v", e, err)
		c.left = 0
	}
	c.open--
	if c.left > 0 {
		c.call(b)
	} else if c.open == 0 {
		close(c.done)
	}
	return true
}
func (c *echoClient) Lost(*rpc.Batch, error) {}

// startEcho brings up an app of echo workers, ready, and a client of it.
func startEcho(tb testing.TB, workers int) *echoClient {
	tb.Helper()
	p, err := manifest.ParseProfile("p", map[string]any{"pool-limit": workers, "pool-min": workers, "concurrency": 10000, "queue-limit": 10000})
	if err != nil {
		tb.Fatal(err)
	}
	e := engine.New(engine.Options{App: "echo", Profile: *p, Endpoint: filepath.Join(tb.TempDir(), "s"), Isolate: enginetest.Echo{}})
	if err := e.Start(); err != nil {
		tb.Fatal(err)
	}
	if err := e.Warm(tb.Context(), workers); err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := rpc.NewServer(rpc.ServerOptions{})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(context.Background(), ln, engine.Service(e, rpc.MuxOptions{})) })
	s, err := rpc.Dial(tb.Context(), "tcp", ln.Addr().String(), rpc.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = s.Close()
		s.Wait()
		if err := e.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := server.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
		serving.Wait()
	})
	return &echoClient{session: s, payload: msgpack.AppendBytes([]byte{0x91}, make([]byte, 128)), chunks: 1}
}

// BenchmarkEcho is a call through client connection, engine and worker connection
// and back: five frames, 128 bytes each way.
func BenchmarkEcho(b *testing.B) {
	for _, bb := range []struct {
		name              string
		workers, parallel int
		header            []byte
	}{
		{"alone", 1, 1, nil},
		{"16", 1, 16, nil},
		{"256", 1, 256, nil},
		{"256 on 4 workers", 4, 256, nil},
		{"256 with a timeout", 1, 256, hpack.AppendLiterals(nil, []hpack.Header{timeoutHeader(5000)})},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c := startEcho(b, bb.workers)
			c.header = bb.header
			if err := c.run(10000, bb.parallel); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := c.run(b.N, bb.parallel); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// A steady load allocates nothing, neither for frames of open calls nor for calls.
func TestForwardingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates: make test runs this without it, too")
	}
	tests := []struct {
		name                    string
		calls, parallel, chunks int
		most                    float64 // per frame of the engine
	}{
		{"calls", 20000, 64, 1, 0.001},
		{"calls alone", 5000, 1, 1, 0.001},
		{"chunks", 100, 4, 1000, 0.001},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := startEcho(t, 2)
			c.chunks = tt.chunks
			if err := c.run(tt.calls, tt.parallel); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := c.run(tt.calls, tt.parallel); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			frames := float64(tt.calls * (3 + 2*tt.chunks))
			if n := float64(after.Mallocs-before.Mallocs) / frames; n > tt.most {
				t.Errorf("%.4f allocations for each frame, want at most %v", n, tt.most)
			} else {
				t.Logf("%.5f allocations for each frame", n)
			}
		})
	}
}
