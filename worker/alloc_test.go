package worker_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
	"github.com/cocaine/cocaine-go/worker"
)

// A requester makes one request after the other and allocates nothing itself.
type requester struct {
	conn              net.Conn
	channel           uint64
	invocation, chunk []byte
	request, answer   []byte
}

func newRequester(conn net.Conn) *requester {
	return &requester{
		conn:       conn,
		channel:    1,
		invocation: msgpack.AppendString(msgpack.AppendArray(nil, 1), "greet"),
		chunk:      msgpack.AppendString(msgpack.AppendArray(nil, 1), "\x81\xa4name\xa3Ann"),
		request:    make([]byte, 0, 256),
		answer:     make([]byte, 256),
	}
}

func (r *requester) call() error {
	r.channel++
	r.request = wire.AppendFrame(r.request[:0], wire.Frame{Channel: r.channel, Type: invoke, Args: r.invocation})
	r.request = wire.AppendFrame(r.request, wire.Frame{Channel: r.channel, Type: write, Args: r.chunk})
	r.request = wire.AppendFrame(r.request, wire.Frame{Channel: r.channel, Type: closing})
	if _, err := r.conn.Write(r.request); err != nil {
		return err
	}
	for n := 0; n == 0 || r.answer[n-1] != 0x90 || r.answer[n-2] != 0x90; { // the end has neither arguments nor headers
		m, err := r.conn.Read(r.answer[n:])
		if err != nil {
			return err
		}
		n += m
	}
	return nil
}

// What the SDK allocates for a request of a typed handler: the request, its
// goroutine, the two values, and what the values keep.
func TestHandleAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates: make test runs this without it, too")
	}
	typed := func(_ context.Context, p person) (greeting, error) { return greeting{p.Name}, nil }
	for name, bind := range map[string]func(*worker.Worker){
		"typed":   func(w *worker.Worker) { worker.Handle(w, "greet", typed) },
		"limited": func(w *worker.Worker) { worker.Handle(w, "greet", typed, worker.Limit(1)) },
		"raw": func(w *worker.Worker) {
			w.HandleRaw("greet", func(context.Context, []byte) ([]byte, error) { return nil, nil })
		},
		"default": func(w *worker.Worker) { w.HandleDefault(worker.Func(typed)) },
	} {
		r := newRequester(serveSocket(t, bind))
		call := func() {
			if err := r.call(); err != nil {
				t.Fatal(err)
			}
		}
		call()
		if n := testing.AllocsPerRun(500, call); n > 6 {
			t.Errorf("%s: %v allocations for a request, want at most 6", name, n)
		}
	}
}

// serveSocket runs a worker on a real socket, which it can write without another
// goroutine, and gives the other end.
func serveSocket(t testing.TB, bind func(*worker.Worker)) net.Conn {
	t.Helper()
	dir, err := os.MkdirTemp("", "w")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	w, err := worker.New(worker.Options{UUID: uuid, Endpoint: ln.Addr().String(), Heartbeat: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	bind(w)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Run(context.Background()) // lost, when the test ends
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	for n := 0; n < len(uuid)+10; { // handshake and heartbeat
		m, err := conn.Read(make([]byte, 100))
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	return conn
}

func BenchmarkHandle(b *testing.B) {
	conn := serveSocket(b, func(w *worker.Worker) {
		worker.Handle(w, "greet", func(_ context.Context, p person) (greeting, error) { return greeting{p.Name}, nil })
	})
	r := newRequester(conn)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.call(); err != nil {
			b.Fatal(err)
		}
	}
}
