package cocaine_test

import (
	"bufio"
	"context"
	"net"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/standin"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// answering serves connections with the same value for every call, and allocates
// nothing for a call.
func answering(t *testing.T, value []byte) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in, scanner := make([]byte, 0, 64<<10), wire.NewScanner(wire.Limits{})
		var out []byte
		r := bufio.NewReader(conn)
		for {
			f, n, err := scanner.Next(in)
			if err != nil {
				b, err := r.ReadByte()
				if err != nil {
					return
				}
				in = append(in, b)
				continue
			}
			out = append(append(wire.AppendHead(out[:0], f.Channel, idl.Value), value...), 0x90)
			in = in[:copy(in, in[n:])]
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}()
	return ln.Addr().String()
}

// A call that is answered at once is what a busy client does most.
func TestGetAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates: make test runs this without it, too")
	}
	r := standin.New(t)
	r.Publish("echo", idl.Echo, answering(t, msgpack.AppendString(msgpack.AppendArray(nil, 1), "pong")))
	svc := newClient(t, r).Service("echo")
	for name, ctx := range map[string]context.Context{"background": context.Background(), "with a deadline": patient(t)} {
		call := func() {
			if _, err := cocaine.Get[string](ctx, svc, "ping", "ping"); err != nil {
				t.Fatal(err)
			}
		}
		call()
		n := testing.AllocsPerRun(500, call)
		t.Logf("%s: %v allocations", name, n)
		if n > 6 {
			t.Errorf("%s: %v allocations for a call, want 6 at most", name, n)
		}
	}
}
