package cocaine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
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
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(c, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
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

func TestUnobservedErrorIsReportedOnce(t *testing.T) {
	log := capture(t)
	cocaine.Go(context.Background(), func(context.Context) (int, error) { return 0, errors.New("lost and found") })
	log.collect(t)
	for range 5 {
		runtime.GC()
	}
	if got := log.String(); strings.Count(got, "lost and found") != 1 || !strings.Contains(got, "level=ERROR") {
		t.Errorf("the log says %q", got)
	}
}

func TestUnobservedErrorOfARunningFunction(t *testing.T) {
	log := capture(t)
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
	log.collect(t)
	if got := log.String(); strings.Count(got, "panic: late") != 1 || !strings.Contains(got, "stack=") {
		t.Errorf("the log says %q", got)
	}
}

func TestObservedErrorIsNotReported(t *testing.T) {
	log := capture(t)
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
	log.collect(t)
	if got := log.String(); strings.Contains(got, "seen") || strings.Contains(got, "canceled") {
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

func TestAsCompleted(t *testing.T) {
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
