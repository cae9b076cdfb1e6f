package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/daemon"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// visitsOfAKind is how many hostile peers of each kind come: 300, or what the
// environment says (make hostile: 10,000, which takes minutes).
func visitsOfAKind(t *testing.T) int {
	v := os.Getenv("COCAINE_TEST_HOSTILE")
	if v == "" {
		return 300
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("cannot read COCAINE_TEST_HOSTILE: %v", err)
	}
	return n
}

// A target is a service that hostile peers visit.
type target struct {
	name    string
	address string
	request []byte                      // a frame that it answers
	large   func(channel uint64) []byte // one whose answer is much longer
}

// A visit is one connection of a hostile peer. It closes the connection, and fails
// only if the service does what it must not.
type visit func(ctx context.Context, conn *net.TCPConn, t *target, r *rand.Rand) error

// hostile are the kinds of peers that a service has to survive.
var hostile = []struct {
	name  string
	visit visit
}{
	{"garbage", func(ctx context.Context, conn *net.TCPConn, t *target, r *rand.Rand) error {
		p := make([]byte, 1+r.IntN(4096))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		p[0] = 0xc1 // which no msgpack value begins with
		return sendAndSeeClosed(conn, p)
	}},
	{"truncated", func(ctx context.Context, conn *net.TCPConn, t *target, r *rand.Rand) error {
		_, err := conn.Write(t.request[:1+r.IntN(len(t.request)-1)])
		return tolerate(err)
	}},
	{"oversize", func(ctx context.Context, conn *net.TCPConn, t *target, r *rand.Rand) error {
		p := wire.AppendHead(nil, 1, 0)
		p = append(msgpack.AppendArray(p, 1), 0xdb, 0xff, 0xff, 0xff, 0xff) // a string of 4 GiB
		return sendAndSeeClosed(conn, p)
	}},
	{"deep", func(ctx context.Context, conn *net.TCPConn, t *target, r *rand.Rand) error {
		p := wire.AppendHead(nil, 1, 0)
		for range 10000 {
			p = msgpack.AppendArray(p, 1)
		}
		return sendAndSeeClosed(conn, p)
	}},
	{"slow", func(ctx context.Context, conn *net.TCPConn, t *target, r *rand.Rand) error {
		for i := range t.request {
			if _, err := conn.Write(t.request[i : i+1]); err != nil {
				return err
			}
			time.Sleep(100 * time.Microsecond) // to be slow is what this peer is for
		}
		return answered(conn)
	}},
	{"never reading", func(ctx context.Context, conn *net.TCPConn, t *target, r *rand.Rand) error {
		_ = conn.SetReadBuffer(4 << 10)
		f := flood{conn: conn, t: t}
		conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		for range 4 {
			if f.write() != nil {
				break // the service has stopped reading: nobody takes its answers
			}
		}
		return nil
	}},
}

// neverReading goes on until it is cut off.
func neverReading(ctx context.Context, conn *net.TCPConn, t *target, _ *rand.Rand) error {
	_ = conn.SetReadBuffer(4 << 10)
	f := flood{conn: conn, t: t}
	return f.cutOff()
}

// A flood is a peer that asks and does not listen.
type flood struct {
	conn    *net.TCPConn
	t       *target
	channel uint64
	rest    []byte // of what could not be written yet
}

// write asks some hundred times.
func (f *flood) write() error {
	for len(f.rest) < 16<<10 {
		f.channel++
		f.rest = append(f.rest, f.t.large(f.channel)...)
	}
	n, err := f.conn.Write(f.rest)
	f.rest = f.rest[n:]
	return err
}

// cutOff waits until the service has had enough.
func (f *flood) cutOff() error {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		f.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		err := f.write()
		if e, ok := errors.AsType[net.Error](err); err != nil && (!ok || !e.Timeout()) {
			return nil
		}
	}
	return errors.New("the connection stays open though nobody reads")
}

// tolerate lets pass what comes of being cut off, or of having written enough.
func tolerate(err error) error {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return nil
	}
	return err
}

// sendAndSeeClosed sends what the service must not put up with.
func sendAndSeeClosed(conn *net.TCPConn, p []byte) error {
	if _, err := conn.Write(p); err != nil {
		return tolerate(err)
	}
	_, err := io.Copy(io.Discard, conn)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return errors.New("the connection stays open")
	}
	return nil
}

// answered waits for a whole frame.
func answered(conn *net.TCPConn) error {
	var have []byte
	scanner := wire.NewScanner(wire.Limits{})
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		have = append(have, buf[:n]...)
		if _, _, ferr := scanner.Next(have); ferr == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
	}
}

// TestHostilePeers has every kind of hostile peer visit every service while an app
// is under load: the load sees no error, and when they have gone nothing is left.
func TestHostilePeers(t *testing.T) {
	visits := visitsOfAKind(t)
	d := start(t, daemon.Options{Config: configuration(directory(t), map[string]string{"limits.stall": "1s", "limits.buffer": "64K"})})
	c := dial(t, d.Addr().String())
	newApp("echo").deploy(t, c)
	targets := targetsOf(t, c)
	l := startLoad(t, d.Addr().String())
	l.await(t, 1000)
	idle := measure(t, d)
	watch := startWatch()
	for _, kind := range hostile {
		began, calls := time.Now(), l.calls.Load()
		if err := besiege(targets, kind.visit, visits); err != nil {
			t.Fatalf("%s: %v", kind.name, err)
		}
		t.Logf("%-14s %d visits in %v, %d calls meanwhile", kind.name, visits, time.Since(began).Round(time.Millisecond), l.calls.Load()-calls)
	}
	for _, x := range targets {
		if err := pay(x, neverReading, nil); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	peak := watch.stop()
	l.await(t, l.calls.Load()+1000)
	l.stop(t)
	after := settle(t, d, idle)
	t.Logf("%d calls; heap %d KiB before, %d KiB at most, %d KiB after; goroutines %d before, %d after",
		l.calls.Load(), idle.heap>>10, peak>>10, after.heap>>10, idle.goroutines, after.goroutines)
	// Each of them may have 256 calls under way, with an answer each, and a buffer.
	if peak > idle.heap+512<<20 {
		t.Errorf("the heap grew by %d MiB", (peak-idle.heap)>>20)
	}
}

// targetsOf are the services that are visited.
func targetsOf(t *testing.T, c *cocaine.Client) []*target {
	t.Helper()
	if err := c.Storage().Write(t.Context(), "things", "large", make([]byte, 4<<10)); err != nil {
		t.Fatal(err)
	}
	frame := func(p *idl.Protocol, method string, args ...any) func(uint64) []byte {
		encoded, err := msgpack.AppendValue(nil, append([]any{}, args...))
		if err != nil {
			t.Fatal(err)
		}
		encoded = msgpack.AppendArray(encoded, 0)
		return func(channel uint64) []byte {
			return append(wire.AppendHead(nil, channel, p.Method(method).ID), encoded...)
		}
	}
	list := []*target{
		{name: "locator", request: frame(idl.Locator, "uuid")(1), large: frame(idl.Locator, "resolve", "storage")},
		{name: "storage", request: frame(idl.Storage, "read", "things", "nothing")(1), large: frame(idl.Storage, "read", "things", "large")},
		{name: "node", request: frame(idl.NodeService, "list")(1), large: frame(idl.NodeService, "info", "echo", 7)},
		{name: "echo", request: frame(idl.App, "info")(1), large: frame(idl.App, "info")},
	}
	for _, x := range list {
		r, err := c.Locator().Resolve(t.Context(), x.name)
		if err != nil {
			t.Fatal(err)
		}
		x.address = r.Endpoints[0]
	}
	return list
}

// atOnce is how many hostile peers there are at a time.
const atOnce = 32

// besiege has a number of peers visit the targets in turn.
func besiege(targets []*target, v visit, visits int) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	failed := make(chan error, atOnce)
	for i := range atOnce {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for n := next.Add(1); n <= int64(visits); n = next.Add(1) {
				x := targets[int(n)%len(targets)]
				if err := pay(x, v, r); err != nil {
					failed <- fmt.Errorf("%s: %w", x.name, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// pay is one visit.
func pay(x *target, v visit, r *rand.Rand) error {
	conn, err := net.Dial("tcp", x.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	tcp := conn.(*net.TCPConn)
	tcp.SetLinger(0) // a port of ours must not be kept for those who come later
	tcp.SetDeadline(time.Now().Add(time.Minute))
	return v(context.Background(), tcp, x, r)
}

// load calls an app without a pause.
type load struct {
	client *cocaine.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup
	calls  atomic.Int64
	failed chan error
}

func startLoad(t *testing.T, locator string) *load {
	t.Helper()
	l := &load{client: dial(t, locator), failed: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for i := range 4 {
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := echo(ctx, l.client, "echo", fmt.Sprintf("call %d of %d", n, i)); err != nil {
					if ctx.Err() == nil {
						select {
						case l.failed <- err:
						default:
						}
					}
					return
				}
				l.calls.Add(1)
			}
		})
	}
	t.Cleanup(func() { cancel(); l.wg.Wait() })
	return l
}

// await waits until so many calls were made.
func (l *load) await(t *testing.T, calls int64) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); l.calls.Load() < calls; time.Sleep(time.Millisecond) {
		select {
		case err := <-l.failed:
			t.Fatalf("a call of the load failed: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the load has made %d calls only", l.calls.Load())
		}
	}
}

func (l *load) stop(t *testing.T) {
	t.Helper()
	select {
	case err := <-l.failed:
		t.Errorf("a call of the load failed: %v", err)
	default:
	}
	l.cancel()
	l.wg.Wait()
	l.client.Close()
}

// usage is what a runtime costs.
type usage struct {
	heap       uint64
	goroutines int
}

// measure gives what is in use once what is garbage was collected.
func measure(t *testing.T, d *daemon.Daemon) usage {
	t.Helper()
	runtime.GC()
	runtime.GC() // pools give up their content in the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{heap: m.HeapAlloc, goroutines: runtime.NumGoroutine()}
}

// settle waits until a runtime costs no more than before. It may take as long as a
// call of the storage does: those of a client that is gone come to their end first.
func settle(t *testing.T, d *daemon.Daemon, before usage) usage {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		now := measure(t, d)
		if now.goroutines <= before.goroutines && now.heap <= before.heap+16<<20 {
			return now
		}
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines and %d KiB of heap before, %d and %d after\n%s", before.goroutines, before.heap>>10,
				now.goroutines, now.heap>>10, buf[:runtime.Stack(buf, true)])
			return now
		}
	}
}

// heapWatch samples the heap.
type heapWatch struct {
	quit chan struct{}
	peak chan uint64
}

func startWatch() *heapWatch {
	w := &heapWatch{quit: make(chan struct{}), peak: make(chan uint64, 1)}
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var peak uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			select {
			case <-tick.C:
			case <-w.quit:
				w.peak <- peak
				return
			}
		}
	}()
	return w
}

func (w *heapWatch) stop() uint64 {
	close(w.quit)
	return <-w.peak
}
