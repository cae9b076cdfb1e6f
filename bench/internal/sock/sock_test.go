//go:build linux

package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// pair is a connection between a Dial and an Accept, with a poller on the latter.
func pair(t *testing.T) (client, server *Conn, p *Poller) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	listener, err := TakeListener(l)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if _, err := listener.Accept(); !errors.Is(err, ErrWouldBlock) {
		t.Errorf("accepted from nobody: %v", err)
	}
	if client, err = Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if p, err = NewPoller(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if err := p.Add(listener.FD(), Readable); err != nil {
		t.Fatal(err)
	}
	wantReady(t, p, Ready{FD: listener.FD(), Readable: true})
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := p.Remove(listener.FD()); err != nil {
		t.Fatal(err)
	}
	return client, server, p
}

func wantReady(t *testing.T, p *Poller, want ...Ready) {
	t.Helper()
	timeout := 10 * time.Second
	if len(want) == 0 {
		timeout = 0
	}
	got, err := p.Wait(timeout)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
		t.Fatalf("ready: %+v, want %+v", got, want)
	}
}

func TestReadAndWriteNeverWait(t *testing.T) {
	client, server, p := pair(t)
	buf := make([]byte, 100)
	if _, err := server.Read(buf); !errors.Is(err, ErrWouldBlock) {
		t.Errorf("read from a silent peer: %v", err)
	}
	if err := p.Add(server.FD(), Readable); err != nil {
		t.Fatal(err)
	}
	wantReady(t, p)
	if n, err := client.Write([]byte("hello")); n != 5 || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	wantReady(t, p, Ready{FD: server.FD(), Readable: true})
	if n, err := server.Read(buf); string(buf[:n]) != "hello" || err != nil {
		t.Fatalf("read %q, %v", buf[:n], err)
	}

	// A peer that does not read fills the kernel; reading makes room again.
	big := bytes.Repeat([]byte("x"), 1<<20)
	total := 0
	for {
		n, err := server.Write(big)
		total += n
		if errors.Is(err, ErrWouldBlock) {
			break
		}
		if err != nil || total > 1<<30 {
			t.Fatalf("wrote %d: %v", total, err)
		}
	}
	if err := p.Change(server.FD(), Writable); err != nil {
		t.Fatal(err)
	}
	wantReady(t, p)
	if err := client.SetBlocking(); err != nil {
		t.Fatal(err)
	}
	for total > 0 {
		n, err := client.Read(big)
		if err != nil {
			t.Fatal(err)
		}
		total -= n
	}
	wantReady(t, p, Ready{FD: server.FD(), Writable: true})
}

func TestEndOfStream(t *testing.T) {
	client, server, p := pair(t)
	if err := p.Add(server.FD(), Readable); err != nil {
		t.Fatal(err)
	}
	client.Close()
	client.fd = -1 // the cleanup must not close somebody else's
	wantReady(t, p, Ready{FD: server.FD(), Readable: true})
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
}

func TestErrorsSayWhat(t *testing.T) {
	if _, err := Dial("tcp", "127.0.0.1:1"); err == nil {
		t.Error("connected to nobody")
	}
	_, _, p := pair(t)
	if err := p.Add(-1, Readable); err == nil {
		t.Error("watches no descriptor")
	}
}
