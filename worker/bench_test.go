package worker_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
	"github.com/cocaine/cocaine-go/worker"
)

// A crowd keeps a fixed number of requests in flight: each answer makes room for
// the next request, and all that one read made room for leave with one write.
type crowd struct {
	conn       net.Conn
	channel    uint64
	invocation []byte
	chunk      []byte
	scanner    wire.Scanner
	out, in    []byte
	n          int // bytes in in
}

func newCrowd(conn net.Conn, event, chunk string) *crowd {
	return &crowd{
		conn:       conn,
		channel:    1,
		invocation: msgpack.AppendString(msgpack.AppendArray(nil, 1), event),
		chunk:      msgpack.AppendString(msgpack.AppendArray(nil, 1), chunk),
		scanner:    wire.NewScanner(wire.Limits{}),
		in:         make([]byte, 256<<10),
	}
}

// ask sends n requests with one write.
func (c *crowd) ask(n int) error {
	c.append(n)
	return c.send()
}

// append makes requests that send sends.
func (c *crowd) append(n int) {
	for range n {
		c.channel++
		c.out = wire.AppendFrame(c.out, wire.Frame{Channel: c.channel, Type: invoke, Args: c.invocation})
		c.out = wire.AppendFrame(c.out, wire.Frame{Channel: c.channel, Type: write, Args: c.chunk})
		c.out = wire.AppendFrame(c.out, wire.Frame{Channel: c.channel, Type: closing})
	}
}

func (c *crowd) send() error {
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// answers reads once and counts the answers that have ended.
func (c *crowd) answers() (int, error) {
	m, err := c.conn.Read(c.in[c.n:])
	if err != nil {
		return 0, err
	}
	c.n += m
	r, ends := 0, 0
	for {
		f, n, err := c.scanner.Next(c.in[r:c.n])
		if err != nil {
			c.n = copy(c.in, c.in[r:c.n])
			return ends, nil
		}
		r += n
		if f.Type != write {
			ends++
		}
	}
}

// run makes b.N requests, so many at once.
func (c *crowd) run(b *testing.B, inFlight int) {
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	asked, answered := min(inFlight, b.N), 0
	if err := c.ask(asked); err != nil {
		b.Fatal(err)
	}
	for answered < b.N {
		n, err := c.answers()
		if err != nil {
			b.Fatal(err)
		}
		answered += n
		if more := min(n, b.N-asked); more > 0 {
			if err := c.ask(more); err != nil {
				b.Fatal(err)
			}
			asked += more
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op") // steadier on a busy machine
}

// processorTime is what this process has used so far: the crowd's share included.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What a worker answers with 256 requests in flight, over a socket. raw is the
// ceiling: a session that answers from its reader, without a handler, a goroutine
// or a codec.
func BenchmarkAnswers(b *testing.B) {
	const inFlight = 256
	input := "\x81\xa4name\xa3Ann"
	typed := func(_ context.Context, p person) (greeting, error) { return greeting{p.Name}, nil }
	b.Run("raw", func(b *testing.B) { newCrowd(rawPeer(b), "greet", input).run(b, inFlight) })
	for _, c := range []struct {
		name string
		bind func(*worker.Worker)
	}{
		{"typed", func(w *worker.Worker) { worker.Handle(w, "greet", typed) }},
		{"bytes", func(w *worker.Worker) {
			w.HandleRaw("greet", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
		}},
		{"middleware", func(w *worker.Worker) {
			w.Use(func(next worker.Handler) worker.Handler { return worker.HandlerFunc(next.Serve) })
			worker.Handle(w, "greet", typed)
		}},
		{"stream", func(w *worker.Worker) { w.HandleStream("greet", echo) }},
	} {
		b.Run(c.name, func(b *testing.B) { newCrowd(serveSocket(b, c.bind), "greet", input).run(b, inFlight) })
	}
}

// rawPeer answers each chunk with itself.
func rawPeer(b *testing.B) net.Conn {
	dir, err := os.MkdirTemp("", "w")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	mine, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	its, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	s := rpc.Start(its, rpc.SessionOptions{Acceptor: mirror{}})
	b.Cleanup(func() {
		mine.Close()
		s.Wait()
	})
	return mine
}

type mirror struct{}

func (mirror) Accept(_ *rpc.Batch, s *rpc.Session, channel uint64, _ *rpc.Frame) rpc.Receiver {
	return reflection{s, channel}
}

type reflection struct {
	s       *rpc.Session
	channel uint64
}

func (r reflection) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	_ = r.s.Send(b, r.channel, f.Type, f.Args, nil) // a lost session ends the benchmark
	return f.Type != idl.Write
}

func (reflection) Lost(*rpc.Batch, error) {}
