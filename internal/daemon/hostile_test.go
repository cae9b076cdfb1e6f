package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
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

// visitsOfAKind is how many hostile peers of each kind come, and how slow the slow
// ones are: 300 that are not very slow, or as many as the environment says (make
// hostile: 10,000, which takes minutes) at a byte a second.
//
// share is the part of its rate that the load has to keep, as a divisor: a tenth, or
// in a run that shares its machine with other tests what shows that it is not starved.
func visitsOfAKind(t *testing.T) (visits int, pace time.Duration, share float64) {
	v := os.Getenv("COCAINE_TEST_HOSTILE")
	if v == "" {
		return 300, 20 * time.Millisecond, 200
	}
	visits, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("cannot read COCAINE_TEST_HOSTILE: %v", err)
	}
	return visits, time.Second, 10
}

// TestHostilePeers has every kind of hostile peer visit every service while an app
// is under load: the load sees no error and goes on, and when they have gone nothing
// is left.
func TestHostilePeers(t *testing.T) {
	visits, pace, share := visitsOfAKind(t)
	d := start(t, daemon.Options{Config: configuration(directory(t), map[string]string{"limits.stall": "1s", "limits.buffer": "64K"})})
	c := dial(t, d.Addr().String())
	newApp("echo").deploy(t, c)
	targets := targetsOf(t, c)
	peers := startHostile(t)
	l := startLoad(t, d.Addr().String())
	l.await(t, 1000)
	idle := measure()
	undisturbed := l.rate(t, time.Second)
	t.Logf("%-14s %5.0f calls a second", "undisturbed", undisturbed)
	watch := startWatch()
	for _, kind := range hostile {
		n := visits
		if kind.name == "cut off" {
			n = min(n, 8*len(targets)) // each takes a second at least
		}
		began, calls := time.Now(), l.calls.Load()
		if err := peers.lay(siege{Kind: kind.name, Visits: n, Pace: pace, Targets: targets}); err != nil {
			t.Fatalf("%s: %v", kind.name, err)
		}
		took := time.Since(began)
		rate := float64(l.calls.Load()-calls) / took.Seconds()
		t.Logf("%-14s %5.0f calls a second during %d visits in %v", kind.name, rate, n, took.Round(time.Millisecond))
		// The machine may have got other things to do since the load was undisturbed, and
		// what is shorter than a second says nothing.
		now := l.rate(t, 500*time.Millisecond)
		if took > time.Second && rate < min(now, undisturbed)/share {
			t.Errorf("%s: %.0f calls a second, undisturbed %.0f before and %.0f after", kind.name, rate, undisturbed, now)
		}
	}
	peak := watch.stop()
	l.await(t, l.calls.Load()+1000)
	l.stop(t)
	after := settle(t, idle)
	t.Logf("%d calls; heap %d KiB before, %d KiB at most, %d KiB after; goroutines %d before, %d after",
		l.calls.Load(), idle.heap>>10, peak>>10, after.heap>>10, idle.goroutines, after.goroutines)
	if peak > idle.heap+mostHeap {
		t.Errorf("the heap grew by %d MiB", (peak-idle.heap)>>20)
	}
}

// mostHeap is what all the peers together may take, with what of those before them the
// collector has not come to: at most 2,500 of them at a time have a few KiB each, or 32
// of them have twice limits.buffer, a read buffer and what they asked for.
const mostHeap = 256 << 20

// hostilePeers are the process of the hostile peers: they must not take the turns
// of the runtime's goroutines.
type hostilePeers struct {
	in  *json.Encoder
	out *json.Decoder
}

func startHostile(t *testing.T) *hostilePeers {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"=hostile")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_, _ = io.Copy(io.Discard, out) // a pipe that broke is no matter any more
		if err := cmd.Wait(); err != nil {
			t.Errorf("the hostile peers: %v", err)
		}
	})
	return &hostilePeers{in: json.NewEncoder(in), out: json.NewDecoder(out)}
}

// lay lays a siege and waits for its end.
func (h *hostilePeers) lay(s siege) error {
	if err := h.in.Encode(s); err != nil {
		return err
	}
	var said string
	if err := h.out.Decode(&said); err != nil {
		return err
	}
	if said != "" {
		return fmt.Errorf("%s", said)
	}
	return nil
}

// targetsOf are the services that are visited.
func targetsOf(t *testing.T, c *cocaine.Client) []*target {
	t.Helper()
	if err := c.Storage().Write(t.Context(), "things", "large", make([]byte, 4<<10)); err != nil {
		t.Fatal(err)
	}
	call := func(p *idl.Protocol, method string, args ...any) (uint64, []byte) {
		encoded, err := msgpack.AppendValue(nil, append([]any{}, args...))
		if err != nil {
			t.Fatal(err)
		}
		return p.Method(method).ID, msgpack.AppendArray(encoded, 0)
	}
	frame := func(id uint64, args []byte) []byte { return append(wire.AppendHead(nil, 1, id), args...) }
	list := []*target{
		{Name: "locator", Request: frame(call(idl.Locator, "uuid"))},
		{Name: "storage", Request: frame(call(idl.Storage, "read", "things", "nothing"))},
		{Name: "node", Request: frame(call(idl.NodeService, "list"))},
		{Name: "echo", Request: frame(call(idl.App, "info"))},
	}
	list[0].Method, list[0].Args = call(idl.Locator, "resolve", "storage")
	list[1].Method, list[1].Args = call(idl.Storage, "read", "things", "large")
	list[2].Method, list[2].Args = call(idl.NodeService, "info", "echo", 7)
	list[3].Method, list[3].Args = call(idl.App, "info")
	for _, x := range list {
		r, err := c.Locator().Resolve(t.Context(), x.Name)
		if err != nil {
			t.Fatal(err)
		}
		x.Address = r.Endpoints[0]
	}
	return list
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
		l.check(t)
		if time.Now().After(deadline) {
			t.Fatalf("the load has made %d calls only", l.calls.Load())
		}
	}
}

// rate is how many calls there are in a second, over some time.
func (l *load) rate(t *testing.T, over time.Duration) float64 {
	t.Helper()
	began, calls := time.Now(), l.calls.Load()
	time.Sleep(over) // what happens meanwhile is counted
	l.check(t)
	return float64(l.calls.Load()-calls) / time.Since(began).Seconds()
}

// check fails if a call has failed.
func (l *load) check(t *testing.T) {
	t.Helper()
	select {
	case err := <-l.failed:
		t.Fatalf("a call of the load failed: %v", err)
	default:
	}
}

func (l *load) stop(t *testing.T) {
	t.Helper()
	l.check(t)
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
func measure() usage {
	runtime.GC()
	runtime.GC() // pools give up their content in the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{heap: m.HeapAlloc, goroutines: runtime.NumGoroutine()}
}

// settle waits until a runtime costs no more than before. It may take as long as a
// call of the storage does: those of a client that is gone come to their end first.
func settle(t *testing.T, before usage) usage {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		now := measure()
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
