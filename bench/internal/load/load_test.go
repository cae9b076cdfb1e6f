//go:build linux

package load

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
	"github.com/cocaine/cocaine-go/bench/internal/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve accepts connections and gives each frame to answer, which returns what
// to write. It ends with the test.
func serve(t *testing.T, answer func(frame.Frame) []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c, answer)
		}
	}()
	return l.Addr().String()
}

func handle(c net.Conn, answer func(frame.Frame) []byte) {
	defer c.Close()
	var in []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		var out []byte
		for {
			f, size, err := frame.Next(in)
			if err != nil {
				break
			}
			in = in[size:]
			out = append(out, answer(f)...)
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func options(addr string, s Shape) Options {
	return Options{
		Options: closedloop.Options{Connections: 1, InFlight: 3, Duration: 30 * time.Millisecond},
		Network: "tcp", Address: addr, Shape: s,
	}
}

func TestMethodCyclesThroughItsRequests(t *testing.T) {
	var seen [2]atomic.Int64
	addr := serve(t, func(f frame.Frame) []byte {
		seen[f.Type].Add(1)
		return frame.AppendTail(nil, f.Channel, frame.Tail(frame.Value, frame.Raw("x")))
	})
	r, err := Run(options(addr, Method(frame.Tail(0), frame.Tail(1))))
	if err != nil {
		t.Fatal(err)
	}
	if r.Total < 4 || r.Requests == 0 || r.Requests > r.Total || r.Latency.Count() != r.Requests {
		t.Errorf("%d of %d requests counted, %d latencies", r.Requests, r.Total, r.Latency.Count())
	}
	first, second := seen[0].Load(), seen[1].Load()
	if d := first - second; d < 0 || d > 1 || uint64(first+second) != r.Total {
		t.Errorf("the requests were sent %d and %d times", first, second)
	}
}

// Answers may come in any order, and a slow one keeps its slot: its number is
// not reused and others go round it.
func TestAnswersInAnyOrder(t *testing.T) {
	var held uint64
	var count int
	addr := serve(t, func(f frame.Frame) []byte {
		value := frame.Tail(frame.Value)
		if held == 0 {
			held = f.Channel
			return nil
		}
		out := frame.AppendTail(nil, f.Channel, value)
		if count++; count == 100 {
			out = frame.AppendTail(out, held, value)
		}
		return out
	})
	o := options(addr, Method(frame.Tail(0)))
	o.Duration = 200 * time.Millisecond
	r, err := Run(o)
	if err != nil || r.Total < 100 {
		t.Errorf("%d answers: %v", r.Total, err)
	}
}

func TestWrongAnswersEndTheRun(t *testing.T) {
	payload := frame.Raw("payload")
	for name, c := range map[string]struct {
		answer func(channel uint64) []byte
		want   string
	}{
		"error": {func(n uint64) []byte {
			return frame.AppendTail(nil, n, frame.Tail(frame.StreamErr, []byte{0x92, 12, 2}, frame.Raw("no such app")))
		}, "no such app [12, 2]"},
		"other bytes": {func(n uint64) []byte {
			return frame.AppendTail(nil, n, frame.Tail(frame.Write, frame.Raw("something")))
		}, "not what was sent"},
		"close without chunk": {func(n uint64) []byte {
			return frame.AppendTail(nil, n, frame.Tail(frame.Close))
		}, "without its chunk"},
		"two chunks": {func(n uint64) []byte {
			chunk := frame.Tail(frame.Write, payload)
			return frame.AppendTail(frame.AppendTail(nil, n, chunk), n, chunk)
		}, "not what was sent"},
		"unknown channel": {func(n uint64) []byte {
			return frame.AppendTail(nil, n+1000, frame.Tail(frame.Close))
		}, "not open"},
		"broken frame": {func(uint64) []byte { return []byte{0xc1, 0, 0, 0, 0} }, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, func(f frame.Frame) []byte {
				if f.Type == frame.Close {
					return c.answer(f.Channel)
				}
				return nil
			})
			_, err := Run(options(addr, Echo("echo", []byte("payload"))))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestServerThatLeavesEndsTheRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	if _, err := Run(options(l.Addr().String(), Method(frame.Tail(0)))); err == nil {
		t.Error("no error")
	}
	<-done
	var refused *net.OpError
	l.Close()
	if _, err := Run(options(l.Addr().String(), Method(frame.Tail(0)))); !errors.As(err, &refused) {
		t.Errorf("nobody listens: %v", err)
	}
}
