package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// counting is an app that sends as many chunks as its event says, 0 first, and
// fails after them if the event ends in "!".
func counting(ctx context.Context, event string, _ *rpc.Call, s *rpc.Stream) error {
	var n int
	var bang string
	_, _ = fmt.Sscanf(event, "%d%s", &n, &bang)
	for i := range n {
		if err := s.Send(ctx, idl.Write, chunk(fmt.Sprint(i))); err != nil {
			return err
		}
	}
	if bang != "" {
		return rpc.Errorf(idl.CategoryUser, 7, "bang")
	}
	return nil
}

// enqueue starts an event of a counting app.
func enqueue(t *testing.T, event string) *cocaine.Stream {
	t.Helper()
	r := standin.New(t)
	r.Serve("app", app(counting))
	st, err := newClient(t, r).Service("app").Call(patient(t), "enqueue", event)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// next receives a chunk as text, or an error.
func next(t *testing.T, st *cocaine.Stream) string {
	t.Helper()
	m, err := st.Recv(patient(t))
	if err != nil {
		return err.Error()
	}
	return string(m.Bytes())
}

func TestRecvRepeated(t *testing.T) {
	st := enqueue(t, "3")
	for i := range 3 {
		if got := next(t, st); got != fmt.Sprint(i) {
			t.Errorf("chunk %d is %q", i, got)
		}
	}
}

func TestEOFSticky(t *testing.T) {
	st := enqueue(t, "1")
	next(t, st)
	for range 3 {
		if _, err := st.Recv(patient(t)); err != io.EOF {
			t.Errorf("got %v, want io.EOF itself", err)
		}
		if _, err := st.Peek(patient(t)); err != io.EOF {
			t.Errorf("Peek: %v, want io.EOF itself", err)
		}
	}
}

func TestRecvPastEmpty(t *testing.T) {
	st := enqueue(t, "0")
	for range 2 {
		if _, err := st.Recv(patient(t)); err != io.EOF {
			t.Errorf("got %v", err)
		}
	}
}

func TestRecvErrorSecond(t *testing.T) {
	st := enqueue(t, "1!")
	if got := next(t, st); got != "0" {
		t.Fatalf("got %q", got)
	}
	for range 2 {
		if _, err := st.Recv(patient(t)); !errors.Is(err, &cocaine.Error{Category: idl.CategoryUser, Code: 7}) {
			t.Errorf("got %v", err)
		}
	}
}

func TestMessagesAfterRecv(t *testing.T) {
	st := enqueue(t, "4")
	got := []string{next(t, st)}
	for m, err := range st.All(patient(t)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m.Bytes()))
		if len(got) == 3 {
			break // leaves the stream open
		}
	}
	got = append(got, next(t, st))
	if fmt.Sprint(got) != "[0 1 2 3]" {
		t.Errorf("got %v", got)
	}
}

func TestInterleavedStreams(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(counting))
	svc := newClient(t, r).Service("app")
	var sts [2]*cocaine.Stream
	for i := range sts {
		var err error
		if sts[i], err = svc.Call(patient(t), "enqueue", "3"); err != nil {
			t.Fatal(err)
		}
		defer sts[i].Close()
	}
	for i, which := range []int{1, 0, 0, 1, 1, 0} {
		if got, want := next(t, sts[which]), []string{"0", "0", "1", "1", "2", "2"}[i]; got != want {
			t.Errorf("read %d, of stream %d: %q, want %q", i, which, got, want)
		}
	}
}

func TestPeek(t *testing.T) {
	r := standin.New(t)
	release := make(chan struct{})
	r.Serve("app", app(func(ctx context.Context, event string, c *rpc.Call, s *rpc.Stream) error {
		<-release
		return counting(ctx, event, c, s)
	}))
	st, err := newClient(t, r).Service("app").Call(patient(t), "enqueue", "2")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	short, cancel := context.WithTimeout(patient(t), time.Millisecond)
	defer cancel()
	if _, err := st.Peek(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before there is anything: %v", err)
	}
	if n := st.Buffered(); n != 0 {
		t.Errorf("%d messages are there before any was sent", n)
	}
	close(release)
	for i := range 2 {
		for range 3 {
			if m, err := st.Peek(patient(t)); err != nil || string(m.Bytes()) != fmt.Sprint(i) || m.Name != "write" {
				t.Fatalf("peeked %q %q, %v, want %d", m.Name, m.Bytes(), err, i)
			}
		}
		if st.Buffered() == 0 {
			t.Error("what was peeked at is not there")
		}
		if got := next(t, st); got != fmt.Sprint(i) {
			t.Errorf("received %q, want %d", got, i)
		}
	}
	if _, err := st.Peek(patient(t)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestBuffered(t *testing.T) {
	r := standin.New(t)
	sent := make(chan struct{})
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		for range 3 {
			if err := s.Send(ctx, idl.Write, chunk("x")); err != nil {
				return err
			}
		}
		close(sent)
		<-ctx.Done()
		return ctx.Err()
	}))
	r.Serve("node", standin.NodeList())
	client := newClient(t, r)
	st, err := client.Service("app").Call(patient(t), "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	await(t, sent, "the chunks")
	for left := 3; left > 0; left-- {
		for st.Buffered() != left { // the last may be on its way
			if st.Buffered() > left {
				t.Fatalf("%d are buffered, want %d", st.Buffered(), left)
			}
			runtime.Gosched()
		}
		next(t, st)
	}
	if n := st.Buffered(); n != 0 {
		t.Errorf("%d are buffered after all were taken", n)
	}
}

// A chunk that comes after 100 ms is not there after 90, and is after 101.
func TestWaitWithTimeout(t *testing.T) {
	inVirtualTime(t, app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		time.Sleep(100 * time.Millisecond)
		return s.Send(ctx, idl.Write, chunk("x"))
	}), func(t *testing.T, svc *cocaine.Service) {
		st, err := svc.Call(t.Context(), "enqueue", "e")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		start := time.Now()
		for _, at := range []time.Duration{50, 90, 101} {
			ctx, cancel := context.WithDeadline(t.Context(), start.Add(at*time.Millisecond))
			_, err := st.Peek(ctx)
			cancel()
			if late := at > 100; late && err != nil || !late && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %d ms: %v", at, err)
			}
		}
	})
}

// inVirtualTime runs a test against an app, called "node", in a network in memory.
func inVirtualTime(t *testing.T, m *rpc.Mux, f func(t *testing.T, svc *cocaine.Service)) {
	r := standin.New(t) // for its answers; its port is not used
	r.Publish("node", m.Protocol(), nodeAddr)
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		stopLocator := n.serve(locatorAddr, r.Acceptor())
		stopNode := n.serve(nodeAddr, m)
		client, err := cocaine.New(cocaine.Options{Locators: []string{locatorAddr}, Dial: n.dial, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		f(t, client.Service("node"))
		client.Close()
		stopNode()
		stopLocator()
	})
}

// The deadline of a call is that of its whole stream, however it trickles.
func TestCallDeadlineWholeStream(t *testing.T) {
	ended := make(chan error, 1)
	inVirtualTime(t, app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		for {
			if err := s.Send(ctx, idl.Write, chunk("tick")); err != nil {
				ended <- err
				return err
			}
			pause, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			_, err := s.Recv(pause) // nothing, until the caller gives up
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				ended <- err
				return nil
			}
		}
	}), func(t *testing.T, svc *cocaine.Service) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start, ticks := time.Now(), 0
		st, err := svc.Call(ctx, "enqueue", "e")
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err = st.Recv(t.Context()); err != nil { // a context of its own
				break
			}
			ticks++
		}
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second || ticks != 4 {
			t.Errorf("%d ticks in %v, then %v", ticks, took, err)
		}
		synctest.Wait()
		select {
		case err := <-ended:
			if want := (&cocaine.Error{Category: idl.CategoryGeneric, Code: 110}); !errors.Is(err, want) {
				t.Errorf("the app was told %v, want %v", err, want)
			}
		default:
			t.Error("the app was not told")
		}
	})
}

// A call that its deadline ended holds nothing any more, on neither side.
func TestSessionsFreed(t *testing.T) {
	r := standin.New(t)
	mux, begun, ended := hanging()
	r.Serve("node", mux)
	svc := newClient(t, r).Service("node")
	for range 50 {
		ctx, cancel := context.WithCancel(patient(t))
		call := beside(func() (any, error) { return nil, cocaine.Exec(ctx, svc, "list") })
		await(t, begun, "the call")
		cancel()
		if a := await(t, call, "its end"); !errors.Is(a.err, context.Canceled) {
			t.Fatal(a.err)
		}
		await(t, ended, "the end of the method")
	}
	deadline := time.Now().Add(patience)
	for cocaine.OpenChannels(svc) > 0 { // the answers to the revocations are on their way
		if time.Now().After(deadline) {
			t.Fatalf("%d channels are still open", cocaine.OpenChannels(svc))
		}
		runtime.Gosched()
	}
}

// A call that was in time leaves no timer and no goroutine behind.
func TestDeadlineDoesNotLeak(t *testing.T) {
	inVirtualTime(t, app(echo), func(t *testing.T, svc *cocaine.Service) {
		if err := svc.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		patient, err := svc.Call(ctx, "enqueue", "e") // waits all the while, and none of the deadlines is its own
		if err != nil {
			t.Fatal(err)
		}
		defer patient.Close()
		waiting := beside(func() (cocaine.Message, error) { return patient.Recv(ctx) })
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range 20 {
			st, err := svc.Call(ctx, "enqueue", "e")
			if err != nil {
				t.Fatal(err)
			}
			short, cancel := context.WithTimeout(ctx, time.Second)
			if err := st.Send(short, "x"); err != nil {
				t.Fatal(err)
			}
			if _, err := st.Recv(short); err != nil {
				t.Fatal(err)
			}
			cancel()
			time.Sleep(2 * time.Second) // the deadline of that Recv is no concern of the next
			if err := st.Send(ctx, "y"); err != nil {
				t.Fatal(err)
			}
			if _, err := st.Recv(ctx); err != nil {
				t.Fatal(err)
			}
			st.Close()
		}
		synctest.Wait()
		// Those of other tests come and go.
		if after := runtime.NumGoroutine(); after >= before+20 {
			t.Errorf("%d goroutines after 20 calls, %d before", after, before)
		}
		if err := patient.Send(ctx, "at last"); err != nil {
			t.Fatal(err)
		}
		if a := <-waiting; a.err != nil || string(a.v.Bytes()) != "at last" {
			t.Errorf("who waited got %q, %v", a.v.Bytes(), a.err)
		}
	})
}

func TestRecvBlocksUntilChunk(t *testing.T) {
	r := standin.New(t)
	release := make(chan struct{})
	r.Serve("app", app(func(ctx context.Context, event string, c *rpc.Call, s *rpc.Stream) error {
		<-release
		return counting(ctx, event, c, s)
	}))
	st, err := newClient(t, r).Service("app").Call(patient(t), "enqueue", "1")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	got := beside(func() (cocaine.Message, error) { return st.Recv(patient(t)) })
	select {
	case a := <-got:
		t.Fatalf("got %q, %v before anything was sent", a.v.Bytes(), a.err)
	case <-time.After(10 * time.Millisecond):
	}
	close(release)
	if a := await(t, got, "the chunk"); a.err != nil || string(a.v.Bytes()) != "0" {
		t.Errorf("got %q, %v", a.v.Bytes(), a.err)
	}
}

// A goroutine that waits blocks nobody else on the same connection.
func TestConcurrentCallsOneConnection(t *testing.T) {
	r := standin.New(t)
	release := make(chan struct{})
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
	m.Unary("list", func(context.Context, *rpc.Call) ([]byte, error) {
		<-release
		return standin.Value([]string{"slow"}), nil
	})
	m.Unary("info", func(context.Context, *rpc.Call) ([]byte, error) {
		return standin.Value(map[string]any{"state": "running"}), nil
	})
	node := r.Serve("node", m)
	client := newClient(t, r)
	slow := beside(func() ([]string, error) { return client.Node().List(patient(t)) })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := client.Node().Info(patient(t), "a", 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(release)
	if a := await(t, slow, "the slow call"); a.err != nil {
		t.Error(a.err)
	}
	if node.Sessions() != 1 {
		t.Errorf("%d connections", node.Sessions())
	}
}

// A receiver that is slower than the service stops the reading of the connection;
// when it goes on, everything is there.
func TestReceiverBackpressure(t *testing.T) {
	const pieces, size = 64, 1 << 20
	r := standin.New(t)
	var mu sync.Mutex
	sent := 0
	full := make(chan struct{}, 1)
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		piece := chunk(string(make([]byte, size)))
		for range pieces {
			watch := time.AfterFunc(100*time.Millisecond, func() {
				select {
				case full <- struct{}{}:
				default:
				}
			})
			err := s.Send(ctx, idl.Write, piece)
			watch.Stop()
			if err != nil {
				return err
			}
			mu.Lock()
			sent++
			mu.Unlock()
		}
		return nil
	}))
	st, err := newClient(t, r).Service("app").Call(patient(t), "enqueue", "e")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	await(t, full, "the sender to be held up")
	mu.Lock()
	if sent == pieces {
		t.Error("everything was sent before anything was received")
	}
	mu.Unlock()
	got := 0
	for m, err := range st.All(patient(t)) {
		if err != nil || len(m.Bytes()) != size {
			t.Fatalf("chunk %d has %d bytes, %v", got, len(m.Bytes()), err)
		}
		got++
	}
	if got != pieces {
		t.Errorf("%d chunks came, want %d", got, pieces)
	}
}

// The caller's half ends with an error that the app sees; the answer still comes.
func TestFail(t *testing.T) {
	r := standin.New(t)
	how := make(chan error, 1)
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		if _, err := s.Recv(ctx); err != nil {
			return err
		}
		_, err := s.Recv(ctx)
		how <- err
		return s.Send(ctx, idl.Write, chunk("answer"))
	}))
	svc := newClient(t, r).Service("app")
	for _, c := range []struct {
		err  error
		want string
	}{
		{cocaine.Errorf(cocaine.CategoryUser, 7, "no more"), "no more [43, 7]"},
		{fmt.Errorf("outer: %w", cocaine.Errorf(cocaine.CategoryUser, 7, "no more")), "no more [43, 7]"},
		{errors.New("plain"), "plain [12, 22]"},
		{context.DeadlineExceeded, "context deadline exceeded [12, 110]"},
	} {
		ctx := patient(t)
		st, err := svc.Call(ctx, "enqueue", "e")
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Send(ctx, "some"); err != nil {
			t.Fatal(err)
		}
		if err := st.Fail(ctx, c.err); err != nil {
			t.Fatal(err)
		}
		if err := await(t, how, "the error"); err == nil || err.Error() != c.want {
			t.Errorf("the app got %v, want %s", err, c.want)
		}
		if got := next(t, st); got != "answer" {
			t.Errorf("the answer is %q", got)
		}
		for what, err := range map[string]error{"Send": st.Send(ctx, "more"), "Fail": st.Fail(ctx, c.err)} {
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s after Fail: %v", what, err)
			}
		}
		if err := st.CloseSend(ctx); err != nil {
			t.Errorf("CloseSend after Fail: %v", err)
		}
		st.Close()
	}
}

// Leaving the loop over Chunks ends the call, as far as the service is concerned.
func TestRangeBreakCloses(t *testing.T) {
	r := standin.New(t)
	ended := make(chan error, 1)
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
		for ctx.Err() == nil {
			if err := s.Send(ctx, idl.Write, chunk("x")); err != nil {
				break
			}
		}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil
	}))
	for v, err := range cocaine.Chunks[string](patient(t), newClient(t, r).Service("app"), "enqueue", "e") {
		if err != nil || v != "x" {
			t.Fatalf("got %q, %v", v, err)
		}
		break
	}
	await(t, ended, "the end of the app's context")
}
