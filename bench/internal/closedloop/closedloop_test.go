package closedloop

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server that takes 10 ms for everything answers 100 requests a second for
// each one in flight, and neither the warm-up nor what comes late counts.
func TestRateAndLatency(t *testing.T) {
	o := Options{Connections: 2, InFlight: 4, WarmUp: 95 * time.Millisecond, Duration: time.Second}
	check := func(t *testing.T, r *Result, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		// Answers come at 10, 20, ... ms: 10..109 of each lie in 95..1095 ms.
		if r.Requests != 400 || r.Rate() != 400 || r.Total != 4*110 || r.Latency.Count() != 400 {
			t.Errorf("%d counted of %d, %v/s", r.Requests, r.Total, r.Rate())
		}
		if got := r.Latency.Quantile(0.5); got < 9900*time.Microsecond || got > 10100*time.Microsecond {
			t.Errorf("median %v, want 10 ms", got)
		}
	}
	t.Run("callbacks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var l *Loop
			l = New(o, func(conn, slot int) error {
				if conn != slot%2 {
					t.Errorf("slot %d on connection %d", slot, conn)
				}
				time.AfterFunc(10*time.Millisecond, func() { l.Done(slot) })
				return nil
			})
			r, err := l.Run()
			check(t, r, err)
		})
	})
	t.Run("blocking", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, err := RunBlocking(o, func(int) error {
				time.Sleep(10 * time.Millisecond)
				return nil
			})
			check(t, r, err)
		})
	})
}

func TestFewerRequestsThanConnectionsTakeTurns(t *testing.T) {
	o := Options{Connections: 4, InFlight: 1, Duration: 100 * time.Millisecond}
	var used [4]atomic.Int64
	even := func(t *testing.T) {
		t.Helper()
		for i := range used {
			if n := used[i].Swap(0); n < 2 || n > 3 {
				t.Errorf("connection %d had %d of 10 requests", i, n)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var l *Loop
		l = New(o, func(conn, slot int) error {
			used[conn].Add(1)
			time.AfterFunc(10*time.Millisecond, func() { l.Done(slot) })
			return nil
		})
		if _, err := l.Run(); err != nil {
			t.Fatal(err)
		}
		even(t)
		if _, err := RunBlocking(o, func(conn int) error {
			used[conn].Add(1)
			time.Sleep(10 * time.Millisecond)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		even(t)
	})
}

func TestFailuresEndTheRun(t *testing.T) {
	broken := errors.New("broken")
	o := Options{Connections: 1, InFlight: 2, Duration: time.Second}
	synctest.Test(t, func(t *testing.T) {
		if _, err := New(o, func(int, int) error { return broken }).Run(); !errors.Is(err, broken) {
			t.Errorf("a send that fails: %v", err)
		}
		var l *Loop
		var wg sync.WaitGroup
		l = New(o, func(int, int) error {
			wg.Go(func() { l.Fail(broken) })
			return nil
		})
		if _, err := l.Run(); !errors.Is(err, broken) {
			t.Errorf("an answer that fails: %v", err)
		}
		wg.Wait()
		l = New(o, func(int, int) error { return nil })
		if _, err := l.Run(); err == nil || !strings.Contains(err.Error(), "2 requests got no answer") {
			t.Errorf("no answers: %v", err)
		}
		l = New(o, func(int, int) error { return nil })
		time.AfterFunc(time.Millisecond, func() { l.Done(7) })
		if _, err := l.Run(); err == nil || !strings.Contains(err.Error(), "request 7") {
			t.Errorf("an answer for a request that was not sent: %v", err)
		}
		if _, err := RunBlocking(o, func(int) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("a call that fails: %v", err)
		}
	})
}
