package cocaine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestGo(t *testing.T) {
	f := cocaine.Go(context.Background(), func(context.Context) (int, error) { return 7, nil })
	for range 2 {
		if v, err := f.Wait(patient(t)); v != 7 || err != nil {
			t.Fatalf("got %d, %v", v, err)
		}
	}
	<-f.Done()
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if v, err := f.Wait(done); v != 7 || err != nil {
		t.Errorf("a result that is there, with an ended context: %d, %v", v, err)
	}
	boom := errors.New("boom")
	f = cocaine.Go(context.Background(), func(context.Context) (int, error) { return 0, boom })
	if _, err := f.Wait(patient(t)); err != boom {
		t.Errorf("got %v", err)
	}
}

func TestGoPassesTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := cocaine.Go(ctx, func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	short, stop := context.WithTimeout(context.Background(), time.Millisecond)
	defer stop()
	if _, err := f.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	cancel()
	if _, err := f.Wait(patient(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The value of a plain function is there for whoever asks, as often as they ask:
// it is no stream, and has no end.
func TestGoValue(t *testing.T) {
	for name, f := range map[string]*cocaine.Future[int]{
		"Go":    cocaine.Go(t.Context(), func(context.Context) (int, error) { return 7, nil }),
		"Ready": cocaine.Ready(7),
	} {
		for range 3 {
			if v, err := f.Wait(patient(t)); v != 7 || err != nil {
				t.Errorf("%s: %d, %v", name, v, err)
			}
		}
		await(t, f.Done(), name)
		f.Cancel()
		if v, err := f.Wait(patient(t)); v != 7 || err != nil {
			t.Errorf("%s, canceled when done: %d, %v", name, v, err)
		}
	}
	boom := errors.New("boom")
	f := cocaine.Failed[int](boom)
	await(t, f.Done(), "a future that has failed")
	if _, err := f.Wait(patient(t)); err != boom {
		t.Errorf("got %v", err)
	}
}

func TestGoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 3
		var running, most atomic.Int32
		work := func(context.Context) (int, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(time.Second)
			return int(n), nil
		}
		g, ctx := errgroup.WithContext(t.Context())
		g.SetLimit(limit)
		began := time.Now()
		for range 4 * limit {
			g.Go(func() error {
				_, err := cocaine.Go(ctx, work).Wait(ctx)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); most.Load() != limit || took != 4*time.Second {
			t.Errorf("%d ran at once, all took %v", most.Load(), took)
		}
	})
}

func TestCancel(t *testing.T) {
	f := cocaine.Go(t.Context(), func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	for range 2 {
		f.Cancel()
	}
	if _, err := f.Wait(patient(t)); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	late := cocaine.Go(t.Context(), func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 7, nil
	})
	late.Cancel()
	if v, err := late.Wait(patient(t)); v != 7 || err != nil {
		t.Errorf("a function that has a value all the same: %d, %v", v, err)
	}
}

func TestRunStopsOnCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := 0
		loop := func(ctx context.Context) (int, error) {
			for tick := time.NewTicker(time.Second); ; turns++ {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return turns, nil
				}
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond) // run for a time
		defer stop()
		if n, err := cocaine.Go(ctx, loop).Wait(t.Context()); n != 3 || err != nil {
			t.Errorf("it ran %d times, %v", n, err)
		}
	})
}

// A stream must not be opened with a context that ends before it, and who does so
// is told.
func TestContextEndsWithTheFunction(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(func(ctx context.Context, _ string, _ *rpc.Call, _ *rpc.Stream) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	svc := newClient(t, r).Service("app")
	f := cocaine.Go(t.Context(), func(ctx context.Context) (*cocaine.Stream, error) {
		return svc.Call(ctx, "enqueue", "e")
	})
	s, err := f.Wait(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Recv(patient(t))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "has returned") {
		t.Errorf("got %v", err)
	}
}

// The error of a service is there where its future is waited for, as it was sent.
func TestErrorAtCallSite(t *testing.T) {
	svc := counter(t)
	f := cocaine.Go(t.Context(), count(svc, 3))
	vs, err := f.Wait(patient(t))
	remote, ok := errors.AsType[*cocaine.Error](err)
	if !ok || remote.Message != "three is too many" || !strings.HasPrefix(err.Error(), "cannot call counter.notify_every: ") {
		t.Errorf("got %v", err)
	}
	if len(vs) != 3 {
		t.Errorf("what came before it is %v", vs)
	}
}

func TestThen(t *testing.T) {
	ctx := t.Context()
	half := func(_ context.Context, v int) (float64, error) { return float64(v) / 2, nil }
	text := func(_ context.Context, v float64) (string, error) { return fmt.Sprint(v), nil }
	s, err := cocaine.Then(ctx, cocaine.Then(ctx, cocaine.Ready(7), half), text).Wait(patient(t))
	if s != "3.5" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	boom := errors.New("boom")
	never := func(context.Context, float64) (string, error) { t.Error("a step got an error"); return "", nil }
	if _, err := cocaine.Then(ctx, cocaine.Then(ctx, cocaine.Failed[int](boom), half), never).Wait(patient(t)); err != boom {
		t.Errorf("got %v", err)
	}
	bad := func(context.Context, float64) (string, error) { panic("step") }
	_, err = cocaine.Then(ctx, cocaine.Ready(1.5), bad).Wait(patient(t))
	if _, ok := errors.AsType[*cocaine.PanicError](err); !ok {
		t.Errorf("got %v", err)
	}
}

func TestThenCancel(t *testing.T) {
	release := make(chan struct{})
	f := cocaine.Go(t.Context(), func(ctx context.Context) (int, error) {
		select {
		case <-release:
			return 7, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	byMethod := cocaine.Then(t.Context(), f, func(context.Context, int) (int, error) { return 0, io.EOF })
	byContext := cocaine.Then(ctx, f, func(context.Context, int) (int, error) { return 0, io.EOF })
	byMethod.Cancel()
	cancel()
	for _, g := range []*cocaine.Future[int]{byMethod, byContext} {
		if _, err := g.Wait(patient(t)); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	}
	close(release)
	if v, err := f.Wait(patient(t)); v != 7 || err != nil {
		t.Errorf("the first future: %d, %v", v, err)
	}
}

func TestPanicBecomesAnError(t *testing.T) {
	cause := errors.New("cause")
	for _, v := range []any{"text", cause} {
		f := cocaine.Go(context.Background(), func(context.Context) (int, error) { panic(v) })
		_, err := f.Wait(patient(t))
		p, ok := errors.AsType[*cocaine.PanicError](err)
		if !ok || p.Value != v || !strings.Contains(string(p.Stack), "TestPanicBecomesAnError") {
			t.Errorf("got %v", err)
		}
		if errors.Is(err, cause) != (v == any(cause)) {
			t.Errorf("the panic's error is lost: %v", err)
		}
	}
	f := cocaine.Go(context.Background(), func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
	if _, err := f.Wait(patient(t)); err != cocaine.ErrGoexit {
		t.Errorf("got %v", err)
	}
}

// captured redirects slog.Default while the test runs.
type captured struct {
	mu  sync.Mutex
	buf bytes.Buffer
	hit chan struct{}
}

func (c *captured) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf.Write(p)
	select {
	case c.hit <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (c *captured) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

func capture(t *testing.T) *captured {
	c := &captured{hit: make(chan struct{}, 1)}
	old, out, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(c, nil))) // and package log goes there, too
	t.Cleanup(func() {
		slog.SetDefault(old)
		log.SetOutput(out)
		log.SetFlags(flags)
	})
	return c
}

// collect runs the garbage collector until the log has a record.
func (c *captured) collect(t *testing.T) {
	t.Helper()
	deadline := time.After(patience)
	for {
		runtime.GC()
		select {
		case <-c.hit:
			return
		case <-deadline:
			t.Fatal("nothing was reported")
		case <-time.After(time.Millisecond): // cleanups run some time after the collection
		}
	}
}

// line is the file and line where it is called, as a report shows them.
func line() string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("made=%s:%d", file, line)
}

func TestUnobservedErrorIsLogged(t *testing.T) {
	var here string
	lost := func(context.Context) (int, error) { return 0, errors.New("lost and found") }
	for name, start := range map[string]func(){
		"Go":     func() { _, here = cocaine.Go(t.Context(), lost), line() },
		"Failed": func() { _, here = cocaine.Failed[int](errors.New("lost and found")), line() },
		"Then": func() { // the error has passed two futures by, and is reported for the last
			double := func(_ context.Context, v int) (int, error) { return 2 * v, nil }
			f := cocaine.Then(t.Context(), cocaine.Go(t.Context(), lost), double)
			_, here = cocaine.Then(t.Context(), f, double), line()
		},
	} {
		t.Run(name, func(t *testing.T) {
			logged := capture(t)
			start()
			logged.collect(t)
			for range 5 {
				runtime.GC()
			}
			got := logged.String()
			if strings.Count(got, "lost and found") != 1 || !strings.Contains(got, "level=ERROR") {
				t.Errorf("the log says %q", got)
			}
			if !strings.Contains(got, here+"\n") {
				t.Errorf("the log says %q, which does not say %q", got, here)
			}
		})
	}
}

func TestWithLogger(t *testing.T) {
	standard := capture(t)
	own := &captured{hit: make(chan struct{}, 1)}
	ctx := cocaine.WithLogger(t.Context(), slog.New(slog.NewTextHandler(own, &slog.HandlerOptions{AddSource: true})))
	fail := func(context.Context) (int, error) { return 0, errors.New("lost") }
	cocaine.Go(ctx, fail)
	own.collect(t)
	if got := own.String(); !strings.Contains(got, "error=lost") || !strings.Contains(got, "future_test.go") {
		t.Errorf("the logger got %q", got)
	}
	quiet := cocaine.WithLogger(t.Context(), slog.New(slog.DiscardHandler))
	cocaine.Go(quiet, fail)
	cocaine.Go(t.Context(), func(context.Context) (int, error) { return 0, errors.New("marker") })
	standard.collect(t)
	if got := standard.String(); strings.Contains(got, "lost") {
		t.Errorf("slog.Default got %q", got)
	}
}

func TestUnobservedErrorOfARunningFunction(t *testing.T) {
	logged := capture(t)
	release := make(chan struct{})
	func() {
		cocaine.Go(context.Background(), func(context.Context) (int, error) {
			<-release
			panic("late")
		})
	}()
	for range 5 {
		runtime.GC() // the future goes, the function runs on
	}
	close(release)
	logged.collect(t)
	if got := logged.String(); strings.Count(got, "panic: late") != 1 || !strings.Contains(got, "stack=") {
		t.Errorf("the log says %q", got)
	}
}

func TestObservedErrorIsNotReported(t *testing.T) {
	logged := capture(t)
	fail := func(context.Context) (int, error) { return 0, errors.New("seen") }
	func() {
		_, _ = cocaine.Go(context.Background(), fail).Wait(patient(t))
		for range cocaine.AsCompleted(patient(t), cocaine.Go(context.Background(), fail)) {
		}
		f := cocaine.Go(context.Background(), func(context.Context) (int, error) { return 0, context.Canceled })
		<-f.Done()
	}()
	// A marker shows that the collector has come by.
	cocaine.Go(context.Background(), func(context.Context) (int, error) { return 0, errors.New("marker") })
	logged.collect(t)
	if got := logged.String(); strings.Contains(got, "seen") || strings.Contains(got, "canceled") {
		t.Errorf("the log says %q", got)
	}
}

// sleeper gives a future that is done after a while.
func sleeper(d time.Duration, err error) *cocaine.Future[time.Duration] {
	return cocaine.Go(context.Background(), func(context.Context) (time.Duration, error) {
		time.Sleep(d)
		return d, err
	})
}

func TestAsCompletedOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		futures := []*cocaine.Future[time.Duration]{sleeper(3*time.Second, nil), sleeper(time.Second, boom), sleeper(2*time.Second, nil)}
		var order []int
		for i, r := range cocaine.AsCompleted(t.Context(), futures...) {
			order = append(order, i)
			if i == 1 && r.Err != boom || i != 1 && r.Err != nil || r.Value == 0 {
				t.Errorf("future %d: %+v", i, r)
			}
		}
		if len(order) != 3 || order[0] != 1 || order[1] != 2 || order[2] != 0 {
			t.Errorf("they came in the order %v", order)
		}
		n := 0
		for range cocaine.AsCompleted(t.Context(), futures...) { // all are done: once more, at once
			n++
		}
		for range cocaine.AsCompleted[int](t.Context()) {
			t.Error("something came of nothing")
		}
		if n != 3 {
			t.Errorf("the second time %d came", n)
		}
	})
}

func TestAsCompletedStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		futures := []*cocaine.Future[time.Duration]{sleeper(time.Hour, nil), sleeper(time.Second, nil)}
		for range cocaine.AsCompleted(t.Context(), futures...) {
			break
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := make(map[int]cocaine.Result[time.Duration])
		for i, r := range cocaine.AsCompleted(ctx, futures...) {
			got[i] = r
		}
		if got[1].Err != nil || got[1].Value != time.Second || !errors.Is(got[0].Err, context.DeadlineExceeded) {
			t.Errorf("got %v", got)
		}
		if v, err := futures[0].Wait(t.Context()); v != time.Hour || err != nil {
			t.Errorf("the one that was given up: %v, %v", v, err)
		}
	})
}

func TestResult(t *testing.T) {
	boom := errors.New("boom")
	for _, r := range []cocaine.Result[error]{{Value: io.EOF}, {Err: boom}} { // an error may be a value
		if v, err := r.Get(); v != r.Value || err != r.Err {
			t.Errorf("got %v, %v of %+v", v, err, r)
		}
	}
}
