package faultnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/cocaine/cocaine-go/internal/faultnet"
)

// A wrapped connection without faults, and one with faults a protocol must not
// notice, both still are net.Conns.
func TestWrappedConnIsANetConn(t *testing.T) {
	scripts := map[string]faultnet.Script{
		"no faults": {},
		"split":     {Read: []faultnet.Fault{faultnet.Pieces(97)}, Write: []faultnet.Fault{faultnet.Chop(1, 331)}},
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b := faultnet.Pipe(faultnet.PipeOptions{})
				wrapped := faultnet.Wrap(a, script)
				return wrapped, b, func() { wrapped.Close(); b.Close() }, nil
			})
		})
	}
}

// recorder notes the size of every transfer that reaches it.
type recorder struct {
	net.Conn
	writes []int
}

func (r *recorder) Write(p []byte) (int, error) {
	r.writes = append(r.writes, len(p))
	return r.Conn.Write(p)
}

func TestTransfersAreCut(t *testing.T) {
	tests := []struct {
		name   string
		faults []faultnet.Fault
		want   []int // sizes that ten bytes go through in
	}{
		{"none", nil, []int{10}},
		{"pieces", []faultnet.Fault{faultnet.Pieces(4)}, []int{4, 4, 2}},
		{"split", []faultnet.Fault{faultnet.SplitAt(3)}, []int{3, 7}},
		{"two splits", []faultnet.Fault{faultnet.SplitAt(9), faultnet.SplitAt(1)}, []int{1, 8, 1}},
		{"split and pieces", []faultnet.Fault{faultnet.SplitAt(5), faultnet.Pieces(3)}, []int{3, 2, 3, 2}},
		{"split outside", []faultnet.Fault{faultnet.SplitAt(0), faultnet.SplitAt(10), faultnet.SplitAt(99)}, []int{10}},
	}
	message := []byte("0123456789")
	for _, tt := range tests {
		t.Run("write "+tt.name, func(t *testing.T) {
			a, b := faultnet.Pipe(faultnet.PipeOptions{})
			defer b.Close()
			rec := &recorder{Conn: a}
			c := faultnet.Wrap(rec, faultnet.Script{Write: tt.faults})
			defer c.Close()
			if n, err := c.Write(message); n != 10 || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
			if !slices.Equal(rec.writes, tt.want) {
				t.Errorf("transfers %v, want %v", rec.writes, tt.want)
			}
			if _, written := c.Carried(); written != 10 {
				t.Errorf("Carried = %d", written)
			}
		})
		t.Run("read "+tt.name, func(t *testing.T) {
			a, b := faultnet.Pipe(faultnet.PipeOptions{})
			defer b.Close()
			c := faultnet.Wrap(a, faultnet.Script{Read: tt.faults})
			defer c.Close()
			b.Write(message)
			b.CloseWrite()
			var sizes []int
			var got []byte
			for {
				buf := make([]byte, 64)
				n, err := c.Read(buf)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				sizes, got = append(sizes, n), append(got, buf[:n]...)
			}
			if !slices.Equal(sizes, tt.want) || !bytes.Equal(got, message) {
				t.Errorf("read %q in %v, want %v", got, sizes, tt.want)
			}
		})
	}
}

func TestDelaysTakeVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{})
		defer b.Close()
		c := faultnet.Wrap(a, faultnet.Script{
			Write: []faultnet.Fault{faultnet.Pieces(5), faultnet.Delay(time.Second), faultnet.DelayAt(5, time.Minute)},
		})
		defer c.Close()
		start := time.Now()
		c.Write([]byte("0123456789"))
		if got := time.Since(start); got != time.Minute+2*time.Second {
			t.Errorf("write took %v, want 1m2s", got)
		}
	})
}

func TestStallHoldsUntilReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{})
		defer b.Close()
		gate := faultnet.NewGate()
		c := faultnet.Wrap(a, faultnet.Script{Write: []faultnet.Fault{faultnet.StallAt(3, gate)}})
		defer c.Close()
		done := make(chan error)
		go func() {
			_, err := c.Write([]byte("abcdef"))
			done <- err
		}()
		<-gate.Reached()
		synctest.Wait()
		if got := b.Buffered(); got != 3 {
			t.Fatalf("%d bytes passed the gate, want 3", got)
		}
		gate.Release()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := b.Buffered(); got != 6 {
			t.Fatalf("%d bytes arrived, want 6", got)
		}
	})
}

func TestStallIsInterrupted(t *testing.T) {
	interrupts := map[string]struct {
		do   func(c *faultnet.Conn)
		want error
	}{
		"by close":    {func(c *faultnet.Conn) { c.Close() }, net.ErrClosed},
		"by deadline": {func(c *faultnet.Conn) { c.SetReadDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded},
		"by reset":    {func(c *faultnet.Conn) { c.Reset() }, syscall.ECONNRESET},
	}
	for name, tt := range interrupts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := faultnet.Pipe(faultnet.PipeOptions{})
				defer b.Close()
				gate := faultnet.NewGate()
				c := faultnet.Wrap(a, faultnet.Script{Read: []faultnet.Fault{faultnet.StallAt(0, gate)}})
				defer c.Close()
				b.Write([]byte("x"))
				ended := make(chan error)
				go func() {
					_, err := c.Read(make([]byte, 1))
					ended <- err
				}()
				<-gate.Reached()
				tt.do(c)
				if err := <-ended; !errors.Is(err, tt.want) {
					t.Errorf("stalled read: %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestFlipBit(t *testing.T) {
	for _, direction := range []string{"read", "write"} {
		t.Run(direction, func(t *testing.T) {
			a, b := faultnet.Pipe(faultnet.PipeOptions{})
			faults := []faultnet.Fault{faultnet.FlipBit(2, 0), faultnet.FlipBit(5, 7), faultnet.Pieces(4)}
			script := faultnet.Script{Write: faults}
			if direction == "read" {
				script = faultnet.Script{Read: faults}
			}
			c := faultnet.Wrap(a, script)
			from, to := net.Conn(c), net.Conn(b)
			if direction == "read" {
				from, to = b, c
			}
			sent := []byte{0, 0, 0, 0, 0, 0, 0, 0}
			from.Write(sent)
			from.Close()
			got, err := io.ReadAll(to)
			if want := []byte{0, 0, 1, 0, 0, 128, 0, 0}; err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
			if !bytes.Equal(sent, make([]byte, 8)) {
				t.Error("the caller's buffer was changed")
			}
			to.Close()
		})
	}
}

func TestCloseAt(t *testing.T) {
	t.Run("write", func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{})
		defer b.Close()
		c := faultnet.Wrap(a, faultnet.Script{Write: []faultnet.Fault{faultnet.CloseAt(4)}})
		defer c.Close()
		if n, err := c.Write([]byte("abcdef")); n != 4 || !errors.Is(err, syscall.EPIPE) {
			t.Fatalf("Write = %d, %v; want 4, EPIPE", n, err)
		}
		if got, err := io.ReadAll(b); string(got) != "abcd" || err != nil {
			t.Fatalf("peer read %q, %v", got, err)
		}
		b.Write([]byte("still open"))
		buf := make([]byte, 20)
		if n, err := c.Read(buf); string(buf[:n]) != "still open" || err != nil {
			t.Fatalf("the other direction: %q, %v", buf[:n], err)
		}
	})
	t.Run("read", func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{})
		defer b.Close()
		c := faultnet.Wrap(a, faultnet.Script{Read: []faultnet.Fault{faultnet.CloseAt(4)}})
		defer c.Close()
		b.Write([]byte("abcdef"))
		if got, err := io.ReadAll(c); string(got) != "abcd" || err != nil {
			t.Fatalf("read %q, %v", got, err)
		}
	})
}

func TestResetAt(t *testing.T) {
	a, b := faultnet.Pipe(faultnet.PipeOptions{})
	defer b.Close()
	c := faultnet.Wrap(a, faultnet.Script{Write: []faultnet.Fault{faultnet.ResetAt(4)}})
	defer c.Close()
	if n, err := c.Write([]byte("abcdef")); n != 4 || !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("Write = %d, %v; want 4, ECONNRESET", n, err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read on this side: %v", err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read on the peer's side: %v", err)
	}
}

func TestResetWakesABlockedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{})
		defer b.Close()
		c := faultnet.Wrap(a, faultnet.Script{Write: []faultnet.Fault{faultnet.ResetAt(1)}})
		defer c.Close()
		ended := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		c.Write([]byte("x"))
		if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("blocked read: %v, want ECONNRESET", err)
		}
	})
}

func TestTCPPeerSeesTheReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	spoiled := faultnet.WrapListener(l, func(int) faultnet.Verdict {
		return faultnet.Verdict{Script: faultnet.Script{Read: []faultnet.Fault{faultnet.ResetAt(3)}}}
	})
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := spoiled.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client.Write([]byte("abcdef"))
	if got, err := io.ReadAll(server); string(got) != "abc" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("server read %q, %v", got, err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("client: %v, want ECONNRESET", err)
	}
}

func TestListenerJudges(t *testing.T) {
	inner := faultnet.NewListener("svc", faultnet.PipeOptions{})
	verdicts := []faultnet.Verdict{{Err: syscall.EMFILE}, {Refuse: true}, {Script: faultnet.Script{Read: []faultnet.Fault{faultnet.Pieces(1)}}}}
	l := faultnet.WrapListener(inner, func(i int) faultnet.Verdict { return verdicts[i] })
	defer l.Close()
	first, _ := inner.Dial(t.Context())
	second, _ := inner.Dial(t.Context())
	if _, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("first Accept: %v, want EMFILE", err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("refused client: %v, want ECONNRESET", err)
	}
	second.Write([]byte("ab"))
	if n, err := server.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("Read = %d, %v; want a piece of 1", n, err)
	}
	first.Close()
	second.Close()
	server.Close()
}

// play sends a megabyte through a script and tells what came out, in how many
// reads and after how much time.
func play(t *testing.T, script faultnet.Script) string {
	t.Helper()
	var story string
	synctest.Test(t, func(t *testing.T) {
		a, b := faultnet.Pipe(faultnet.PipeOptions{Buffer: 1 << 20})
		c := faultnet.Wrap(a, script)
		defer b.Close()
		defer c.Close()
		start := time.Now()
		payload := bytes.Repeat([]byte("cocaine!"), 1<<12)
		n, err := c.Write(payload)
		story = fmt.Sprintf("wrote %d %v in %v; ", n, err, time.Since(start))
		b.Write(payload)
		b.CloseWrite()
		start = time.Now()
		reads, sum := 0, 0
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			for _, x := range buf[:n] {
				sum = sum*31 + int(x)
			}
			if reads++; err != nil {
				story += fmt.Sprintf("read in %d, sum %d, %v, %v", reads, sum, err, time.Since(start))
				return
			}
		}
	})
	return story
}

func TestSameSeedSameStory(t *testing.T) {
	seed := faultnet.Seed(t)
	stories := map[string]bool{}
	for i := range 8 {
		script := faultnet.Hostile(faultnet.Sub(seed, i), 1<<13)
		first, second := play(t, script), play(t, script)
		if first != second {
			t.Errorf("script %v\nfirst  %s\nsecond %s", script, first, second)
		}
		stories[first] = true
	}
	if len(stories) < 2 {
		t.Error("different seeds tell the same story")
	}
}

func TestBenignLosesNothing(t *testing.T) {
	seed := faultnet.Seed(t)
	for i := range 8 {
		script := faultnet.Benign(faultnet.Sub(seed, i))
		got, clean := play(t, script), play(t, faultnet.Script{})
		if sum(got) != sum(clean) || !strings.Contains(got, "wrote 32768 <nil>") {
			t.Errorf("script %v: %s, want the bytes of %s", script, got, clean)
		}
	}
}

func sum(story string) string {
	_, rest, _ := strings.Cut(story, "sum ")
	value, _, _ := strings.Cut(rest, ",")
	return value
}

func TestScriptDescribesItself(t *testing.T) {
	script := faultnet.Script{
		Read:  []faultnet.Fault{faultnet.Pieces(2), faultnet.Chop(7, 3), faultnet.StallAt(5, faultnet.NewGate())},
		Write: []faultnet.Fault{faultnet.Delay(time.Second), faultnet.Jitter(9, time.Second), faultnet.SplitAt(1), faultnet.DelayAt(2, time.Second), faultnet.FlipBit(3, 4), faultnet.CloseAt(5), faultnet.ResetAt(6)},
	}
	const want = "read[pieces(2) chop(3, seed 7) stall@5] write[delay(1s) jitter(1s, seed 9) split@1 delay(1s)@2 flip(bit 4)@3 close@5 reset@6]"
	if got := script.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// reporter stands in for a test that fails.
type reporter struct {
	testing.TB
	cleanup func()
	logged  string
}

func (r *reporter) Helper()                    {}
func (r *reporter) Name() string               { return "TestX" }
func (r *reporter) Failed() bool               { return true }
func (r *reporter) Cleanup(f func())           { r.cleanup = f }
func (r *reporter) Logf(f string, args ...any) { r.logged = fmt.Sprintf(f, args...) }

func TestSeedIsTakenFromTheEnvironmentAndPrinted(t *testing.T) {
	t.Setenv(faultnet.SeedVariable, "12345")
	failing := &reporter{}
	if got := faultnet.Seed(failing); got != 12345 {
		t.Fatalf("Seed = %d", got)
	}
	failing.cleanup()
	if want := "COCAINE_FAULT_SEED=12345 go test -run '^TestX$'"; !strings.Contains(failing.logged, want) {
		t.Errorf("logged %q, want %q in it", failing.logged, want)
	}
}

func TestDialRespectsContext(t *testing.T) {
	l := faultnet.NewListener("full", faultnet.PipeOptions{})
	defer l.Close()
	var clients []net.Conn
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		c, err := l.Dial(ctx)
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			break
		}
		clients = append(clients, c)
	}
	if len(clients) == 0 {
		t.Fatal("no backlog")
	}
}
