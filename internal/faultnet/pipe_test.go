package faultnet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/cocaine/cocaine-go/internal/faultnet"
)

// A pipe passes the suite that the Go project holds its own connections to.
func TestPipeIsANetConn(t *testing.T) {
	for _, buffer := range []int{0, 1024} {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			a, b := faultnet.Pipe(faultnet.PipeOptions{Buffer: buffer})
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	}
}

func TestWriteReturnsBeforeAnybodyReads(t *testing.T) {
	a, b := faultnet.Pipe(faultnet.PipeOptions{Buffer: 5})
	defer a.Close()
	defer b.Close()
	if n, err := a.Write([]byte("hello")); n != 5 || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	if got := b.Buffered(); got != 5 {
		t.Fatalf("Buffered = %d, want 5", got)
	}
}

func TestWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{Buffer: 4})
		defer a.Close()
		defer b.Close()
		written := make(chan int)
		go func() {
			n, _ := a.Write([]byte("123456"))
			written <- n
		}()
		synctest.Wait() // returns only because the writer is durably blocked
		if got := b.Buffered(); got != 4 {
			t.Fatalf("Buffered = %d, want 4", got)
		}
		got := make([]byte, 6)
		if _, err := io.ReadFull(b, got); err != nil || string(got) != "123456" {
			t.Fatalf("read %q, %v", got, err)
		}
		if n := <-written; n != 6 {
			t.Fatalf("Write = %d, want 6", n)
		}
	})
}

func TestHalfCloseDrainsThenEnds(t *testing.T) {
	a, b := faultnet.Pipe(faultnet.PipeOptions{})
	defer a.Close()
	defer b.Close()
	a.Write([]byte("last"))
	a.CloseWrite()
	if got, err := io.ReadAll(b); string(got) != "last" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("write after CloseWrite: %v, want EPIPE", err)
	}
	if _, err := b.Write([]byte("answer")); err != nil {
		t.Fatalf("the other direction: %v", err)
	}
	buf := make([]byte, 10)
	if n, _ := a.Read(buf); string(buf[:n]) != "answer" {
		t.Fatalf("read %q", buf[:n])
	}
}

func TestCloseIsSeenByThePeer(t *testing.T) {
	a, b := faultnet.Pipe(faultnet.PipeOptions{})
	defer b.Close()
	a.Write([]byte("bye"))
	a.Close()
	if got, err := io.ReadAll(b); string(got) != "bye" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("write to a closed peer: %v, want EPIPE", err)
	}
	if err := a.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("SetDeadline after Close: %v", err)
	}
}

func TestResetLosesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{})
		defer a.Close()
		defer b.Close()
		a.Write([]byte("never read"))
		blocked := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			blocked <- err
		}()
		synctest.Wait()
		b.Reset()
		if err := <-blocked; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("blocked read: %v, want ECONNRESET", err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want ECONNRESET", err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write: %v, want ECONNRESET", err)
		}
	})
}

func TestDeadlinesRunOnVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{Buffer: 1})
		defer a.Close()
		defer b.Close()
		start := time.Now()
		a.SetReadDeadline(start.Add(20 * time.Second))
		_, err := a.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 20*time.Second {
			t.Fatalf("read ended after %v with %v", time.Since(start), err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := a.Write([]byte("ab"))
		if n != 1 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Write = %d, %v; want 1 byte and a timeout", n, err)
		}
		// A deadline moved into the future revives the connection.
		a.SetReadDeadline(time.Time{})
		b.Write([]byte("z"))
		if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
	})
}

func TestDeadlineSetDuringAReadInterruptsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{})
		defer a.Close()
		defer b.Close()
		a.SetReadDeadline(time.Now().Add(time.Hour))
		ended := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Second))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Fatalf("read ended after %v with %v", time.Since(start), err)
		}
	})
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := faultnet.NewListener("locator", faultnet.PipeOptions{})
		client, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		client.Write([]byte("hi")) // before Accept: the backlog holds the connection
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := server.LocalAddr().String(); got != "locator" {
			t.Errorf("LocalAddr = %q", got)
		}
		client.Close()
		if got, _ := io.ReadAll(server); !bytes.Equal(got, []byte("hi")) {
			t.Errorf("read %q", got)
		}
		server.Close()

		waiting, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error)
		l.Close()
		go func() {
			_, err := l.Accept()
			accepted <- err
		}()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection left in the backlog: %v, want ECONNRESET", err)
		}
		if _, err := l.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial after Close: %v, want ECONNREFUSED", err)
		}
	})
}
