package cocaine_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/faultnet"
)

const (
	// callsVariable says how many calls the test of chaos makes.
	callsVariable = "COCAINE_TEST_CALLS"
	defaultCalls  = 30_000
	callers       = 1000
	strikes       = 60 // per default number of calls
)

// One client is shared by 1,000 goroutines while connections break, services, the
// locator and the worker go away and come back, and callers lose interest. Every
// call ends once, with the right value or an error that is documented; no service
// gets one twice that may not be repeated; and in the end nothing is left.
func TestChaos(t *testing.T) {
	calls := defaultCalls
	if s := os.Getenv(callsVariable); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < callers {
			t.Fatalf("%s is %q, want a number from %d on", callsVariable, s, callers)
		}
		calls = n
	}
	if testing.Short() {
		calls = 5000
	}
	seed := faultnet.Seed(t)
	t.Logf("%s=%d", faultnet.SeedVariable, seed)
	book := newLedger(seed, calls)
	before := takeStock()

	w := newWorld(t, seed, book)
	client := w.client()
	c := &chaos{world: w, client: client, calls: uint64(calls)}
	c.run()
	c.settle()
	for _, p := range w.places {
		err := client.Service(p.name).Connect(patient(t))
		if err != nil { // it may have joined an attempt that began when the place was down; the next one is its own
			err = client.Service(p.name).Connect(patient(t))
		}
		if err != nil {
			t.Errorf("after all: %v", err)
		}
	}
	client.Close()
	w.close()
	c.client, w.host, w.crew = nil, nil, nil

	counts := book.audit()
	for o, n := range counts {
		if n > 0 {
			t.Logf("%9d %v", n, outcome(o))
		}
	}
	if few := (calls - counts[deadlinePassed]) / 4; counts[answered] < few { // a busy machine has more calls late
		t.Errorf("only %d of %d calls were answered: that proves little", counts[answered], calls)
	}
	for _, s := range book.troubles {
		t.Error(s)
	}
	if n := book.trouble - len(book.troubles); n > 0 {
		t.Errorf("and %d more", n)
	}
	before.compare(t)
}

// chaos is the run of the test: the callers and the one who breaks things.
type chaos struct {
	*world
	client *cocaine.Client
	calls  uint64
	next   atomic.Uint64
}

// run makes all calls.
func (c *chaos) run() {
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for id := c.next.Add(1); id <= c.calls; id = c.next.Add(1) {
				c.call(id)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	c.sabotage(done)
	c.calm.Store(true)
	<-done
}

// sabotage breaks something each time that a number of calls has ended, until all
// have. Calls that do not end fail the test.
func (c *chaos) sabotage(done <-chan struct{}) {
	r := rand.New(rand.NewPCG(c.seed, 6))
	every := int64(defaultCalls / strikes)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	at, since := every, time.Now()
	seen := int64(0)
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		n := c.book.finished.Load()
		if n != seen {
			seen, since = n, time.Now()
		}
		if time.Since(since) > 2*patience {
			var b bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
			panic(fmt.Sprintf("%d of %d calls have ended, and no more do (%s=%d)\n%s", n, c.calls, faultnet.SeedVariable, c.seed, b.Bytes()))
		}
		if n >= at {
			c.strike(c.client, r)
			at = c.book.finished.Load() + every
		}
	}
}

// settle waits until neither side has anything under way.
func (c *chaos) settle() {
	limit := time.Now().Add(patience)
	for {
		ours, theirs, running := 0, 0, c.running.Load()
		for _, p := range c.places {
			ours += cocaine.OpenChannels(c.client.Service(p.name))
			theirs += p.channels()
		}
		if ours == 0 && theirs == 0 && running == 0 {
			return
		}
		if time.Now().After(limit) {
			c.t.Errorf("when all calls have ended, the client has %d channels open, the services %d and %d methods running", ours, theirs, running)
			return
		}
		time.Sleep(5 * time.Millisecond) // there is no event for it
	}
}

// call makes one call as planned.
func (c *chaos) call(id uint64) {
	p := c.book.plan(id)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	switch p.ending {
	case endsLate:
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, p.after)
		defer stop()
	case endsCanceled:
		timer := time.AfterFunc(p.after, func() { cancel(errChaos) })
		defer timer.Stop()
	}
	err := c.make(ctx, id, p)
	if wrong, ok := err.(wrongError); ok {
		c.book.complain("call %d %+v: %s", id, p, string(wrong))
		err = nil
	}
	c.book.end(ctx, id, p, err)
}

// wrongError is an answer that is not what it must be.
type wrongError string

func (e wrongError) Error() string { return string(e) }

func right(got, want uint64, err error) error {
	if err == nil && got != want {
		return wrongError(fmt.Sprintf("answered with %d, want %d", got, want))
	}
	return err
}

// make makes the call in its shape.
func (c *chaos) make(ctx context.Context, id uint64, p plan) error {
	service, method := p.callee()
	s := c.client.Service(service)
	switch p.shape {
	case shapeGet:
		v, err := cocaine.Get[uint64](ctx, s, method, "c", formatID(id))
		return right(v, answer(id), err)
	case shapeFuture:
		return c.future(ctx, s, id)
	case shapeIdempotent:
		s = s.With(cocaine.CallOptions{Idempotent: true, Retry: &cocaine.RetryPolicy{Attempts: chaosAttempts, Delay: time.Millisecond, Ratio: 1}})
		v, err := cocaine.Get[uint64](ctx, s, method, "c", formatID(id))
		return right(v, answer(id), err)
	case shapeExec:
		return cocaine.Exec(ctx, s, method, "c", formatID(id), "blob")
	case shapeMute:
		return cocaine.Exec(ctx, s, method, 1, "chaos", formatID(id))
	case shapeChunks, shapeLeave:
		return c.chunks(ctx, s, id, p)
	case shapeHold:
		return c.hold(ctx, s, id)
	case shapeRetry:
		s = s.With(cocaine.CallOptions{Retry: &cocaine.RetryPolicy{Attempts: chaosAttempts, Delay: time.Millisecond, Ratio: 1}})
		fallthrough
	case shapeInvoke:
		out, err := cocaine.Invoke[chaosOut](ctx, cocaine.AppOf(s), method, chaosIn{id})
		return right(out.Answer, answer(id), err)
	}
	return c.converse(ctx, id, p)
}

// future calls in a future, and waits for another that takes its value on.
func (c *chaos) future(ctx context.Context, s *cocaine.Service, id uint64) error {
	var runs atomic.Int32
	f := cocaine.Go(ctx, func(ctx context.Context) (uint64, error) {
		runs.Add(1)
		return cocaine.Get[uint64](ctx, s, "read", "c", formatID(id))
	})
	g := cocaine.Then(context.Background(), f, func(_ context.Context, v uint64) (uint64, error) {
		runs.Add(1)
		return v + 1, nil
	})
	v, err := g.Wait(context.Background())
	first, failed := f.Wait(context.Background())
	want := int32(2)
	if err != nil {
		want = 1
	}
	if runs.Load() != want || err == nil && first+1 != v || err != failed {
		return wrongError(fmt.Sprintf("futures came to %d, %v and %d, %v in %d runs", first, failed, v, err, runs.Load()))
	}
	return right(first, answer(id), err)
}

// chunks ranges over a stream, or leaves it after the first value.
func (c *chaos) chunks(ctx context.Context, s *cocaine.Service, id uint64, p plan) error {
	n := 0
	for v, err := range cocaine.Chunks[uint64](ctx, s, "subscribe", formatID(id)) {
		if err != nil {
			return err
		}
		if err := right(v, answer(id)+uint64(n), nil); err != nil {
			return err
		}
		if n++; p.shape == shapeLeave {
			return nil
		}
	}
	if n != p.chunks {
		return wrongError(fmt.Sprintf("%d chunks, want %d", n, p.chunks))
	}
	return nil
}

// hold opens a stream, takes its value and closes it.
func (c *chaos) hold(ctx context.Context, s *cocaine.Service, id uint64) error {
	st, err := s.Call(ctx, "lock", formatID(id))
	if err != nil {
		return err
	}
	defer st.Close()
	var v uint64
	err = st.Decode(ctx, &v)
	return right(v, answer(id), err)
}

// converse sends chunks to an app's event and gets one back for each. The end is the
// same whenever it is asked for.
func (c *chaos) converse(ctx context.Context, id uint64, p plan) error {
	service, _ := p.callee()
	st, err := c.client.App(service).Enqueue(ctx, "stream", formatID(id))
	if err != nil {
		return err
	}
	defer st.Close()
	for i := range p.chunks {
		if i > 0 {
			if err := st.Send(ctx, formatID(id)); err != nil {
				return ended(ctx, st, err)
			}
		}
		m, err := st.Recv(ctx)
		if err != nil {
			if err == io.EOF {
				return wrongError(fmt.Sprintf("the stream ended after %d chunks of %d", i, p.chunks))
			}
			return ended(ctx, st, err)
		}
		if err := right(parseID(m), answer(id)+uint64(i), nil); err != nil {
			return err
		}
	}
	if err := st.CloseSend(ctx); err != nil {
		return ended(ctx, st, err)
	}
	if m, err := st.Recv(ctx); err == nil {
		return wrongError(fmt.Sprintf("a chunk too many: %q", m))
	} else if err != io.EOF {
		return ended(ctx, st, err)
	}
	if _, err := st.Recv(ctx); err != io.EOF && ctx.Err() == nil {
		return wrongError(fmt.Sprintf("after the end: %v", err))
	}
	return nil
}

// ended asks a stream that has failed for its end: a chunk that came before the
// failure may still be there, but then the same error comes again and again.
func ended(ctx context.Context, st *cocaine.AppStream, err error) error {
	if ctx.Err() != nil {
		return err
	}
	var last error
	for range 10 {
		if _, last = st.Recv(ctx); last != nil {
			break
		}
	}
	if last == nil {
		return wrongError("a stream goes on after: " + err.Error())
	}
	_, again := st.Recv(ctx)
	if ctx.Err() == nil && again.Error() != last.Error() {
		return wrongError(fmt.Sprintf("a stream ended with %v, then with %v", last, again))
	}
	return err
}

// stock is what a process has.
type stock struct {
	goroutines, files int
	heap              uint64
}

func takeStock() stock {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		ln.Close() // the first socket brings files of the Go runtime that stay
	}
	runtime.GC()
	runtime.GC() // what the first has put on the way out
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd") // where there is none, none is counted
	return stock{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// heapSlack is what pools and tables of the runtime may have grown by.
const heapSlack = 8 << 20

// compare waits until the process has no more than before.
func (before stock) compare(t *testing.T) {
	t.Helper()
	limit := time.Now().Add(patience)
	for {
		now := takeStock()
		if now.goroutines <= before.goroutines && now.files <= before.files && now.heap <= before.heap+heapSlack {
			return
		}
		if time.Now().After(limit) {
			t.Errorf("there were %d goroutines, %d files and %d bytes; now %d, %d and %d", before.goroutines, before.files, before.heap,
				now.goroutines, now.files, now.heap)
			t.Logf("the files:\n%s", openFiles())
			return
		}
		time.Sleep(20 * time.Millisecond) // there is no event for it
	}
}

// openFiles tells what the process has open.
func openFiles() string {
	var b strings.Builder
	files, _ := os.ReadDir("/proc/self/fd")
	for _, f := range files {
		target, _ := os.Readlink("/proc/self/fd/" + f.Name())
		fmt.Fprintln(&b, f.Name(), target)
	}
	if sockets, err := os.ReadFile("/proc/self/net/unix"); err == nil {
		for line := range strings.Lines(string(sockets)) {
			if strings.Contains(line, "chaos") {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}
