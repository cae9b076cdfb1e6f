package rpc_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A countingConn counts the writes to a real socket.
type countingConn struct {
	*net.TCPConn
	writes atomic.Int32
}

func (c *countingConn) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.TCPConn.SyscallConn()
	return &countingRaw{raw, c}, err
}

type countingRaw struct {
	syscall.RawConn
	c *countingConn
}

func (r *countingRaw) Write(f func(uintptr) bool) error {
	r.c.writes.Add(1)
	return r.RawConn.Write(f)
}

// Goroutines that call at the same time share writes, and no call is left behind.
func TestCallsLeaveTogether(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	conn := &countingConn{TCPConn: near.(*net.TCPConn)}
	s := rpc.Start(conn, rpc.SessionOptions{})
	defer s.Wait()
	defer s.Close()

	const calls = 256
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if _, err := s.Call(context.Background(), 7, nil, rpc.CallOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := conn.writes.Load(); n > calls/8 {
		t.Errorf("%d calls took %d writes", calls, n)
	}
	scanner, buf := wire.NewScanner(wire.Limits{}), []byte(nil)
	for got := 0; got < calls; {
		chunk := make([]byte, 4096)
		n, err := far.Read(chunk)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		buf = append(buf, chunk[:n]...)
		for {
			f, n, err := scanner.Next(buf)
			if err != nil {
				break
			}
			if got++; f.Channel != uint64(got) || f.Type != 7 {
				t.Fatalf("frame %d is %+v", got, f)
			}
			buf = buf[n:]
		}
	}
}
