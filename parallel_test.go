package cocaine_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
)

// sleepy takes v seconds to double v, unless its context ends.
func sleepy(ctx context.Context, v int) (int, error) {
	return after(time.Duration(v)*time.Second, 2*v, nil)(ctx)
}

func TestMapParallelOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		wantItems(t, cocaine.MapParallel(t.Context(), 3, items(3, 1, 2), sleepy), "6", "2", "4")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		wantItems(t, cocaine.MapParallel(t.Context(), 0, items(2, 1), sleepy), "4", "2")
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("one at a time, it took %v", took-3*time.Second)
		}
		wantItems(t, cocaine.MapParallel(t.Context(), 3, items(), sleepy))
	})
}

func TestMapParallelErrorPerItem(t *testing.T) {
	odd := func(_ context.Context, v int) (int, error) {
		switch v {
		case 2:
			return 0, errors.New("two")
		case 4:
			panic("four")
		}
		return v, nil
	}
	wantItems(t, cocaine.MapParallel(t.Context(), 2, items(1, 2, 3, errItem, 4, 5), odd), "1", "!two", "3", "!item", "!panic: four", "5")
}

// At most n calls run, and at most n items are taken from the source before their
// turn.
func TestMapParallelIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3
		var running, taken atomic.Int32
		source := func(yield func(int, error) bool) {
			for i := range 20 {
				taken.Add(1)
				if !yield(i, nil) {
					return
				}
			}
		}
		yielded := 0
		for v, err := range cocaine.MapParallel(t.Context(), n, source, func(ctx context.Context, v int) (int, error) {
			if now := running.Add(1); now > n {
				t.Errorf("%d calls at once", now)
			}
			defer running.Add(-1)
			return sleepy(ctx, v%4)
		}) {
			if err != nil || v != yielded%4*2 {
				t.Fatalf("item %d is %v, %v", yielded, v, err)
			}
			yielded++
			synctest.Wait()
			if ahead := int(taken.Load()) - yielded; ahead > n {
				t.Errorf("%d items were read ahead", ahead)
			}
		}
		if yielded != 20 {
			t.Errorf("%d items came", yielded)
		}
	})
}

// A result that is there does not wait for the next item.
func TestMapParallelOfASlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := cocaine.Pipe[int](1)
		if err := s.Send(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		for v, err := range cocaine.MapParallel(t.Context(), 4, r.All(ctx), sleepy) {
			if v != 2 || err != nil {
				t.Errorf("got %v, %v", v, err)
			}
			cancel() // lets go of the source, which waits for the next
			break
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestMapParallelLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, ended := 0, make(chan error, 10)
		f := func(ctx context.Context, v int) (int, error) {
			if v == 0 {
				return v, nil
			}
			<-ctx.Done()
			time.Sleep(time.Second) // the loop waits for it
			ended <- ctx.Err()
			return 0, ctx.Err()
		}
		began := time.Now()
		for v, err := range cocaine.MapParallel(t.Context(), 3, naturals(&left), f) {
			if v != 0 || err != nil {
				t.Errorf("got %v, %v", v, err)
			}
			synctest.Wait()
			break
		}
		if len(ended) != 3 || left != 1 || time.Since(began) != time.Second {
			t.Errorf("%d calls ended, the source was left %d times, after %v", len(ended), left, time.Since(began))
		}
	})
}

func TestMapParallelContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		left := 0
		seq := cocaine.MapParallel(ctx, 2, naturals(&left), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Second) // it does not care for its context
			return v, nil
		})
		wantItems(t, seq, "0", "1", "!context deadline exceeded")
		wantItems(t, seq, "!context deadline exceeded")
		if left != 2 {
			t.Errorf("the source was left %d times", left)
		}
	})
}

func TestMapParallelSourcePanics(t *testing.T) {
	var source iter.Seq2[int, error] = func(yield func(int, error) bool) {
		yield(1, nil)
		panic("source")
	}
	wantItems(t, cocaine.MapParallel(t.Context(), 2, source, func(_ context.Context, v int) (int, error) { return v, nil }), "1", "!panic: source")
}

// What fails after the loop was left is nobody's business.
func TestMapParallelReportsNothing(t *testing.T) {
	log := capture(t)
	func() {
		left := 0
		for range cocaine.MapParallel(t.Context(), 3, naturals(&left), func(context.Context, int) (int, error) { return 0, errors.New("unseen") }) {
			break
		}
		cocaine.Go(t.Context(), func(context.Context) (int, error) { return 0, errors.New("marker") })
	}()
	log.collect(t)
	if got := log.String(); strings.Contains(got, "unseen") {
		t.Errorf("the log says %q", got)
	}
}
