package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// numbers is an app of typed handlers, and how many requests they have under way.
func numbers(t *testing.T) (app cocaine.App, most *atomic.Int32) {
	rt := cocainetest.NewRuntime(t)
	var now atomic.Int32
	most = new(atomic.Int32)
	rt.Worker("numbers", func(w *worker.Worker) {
		worker.Handle(w, "double", func(_ context.Context, n int) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			if n == 13 {
				return 0, cocaine.Errorf(cocaine.CategoryUser, 13, "bad luck")
			}
			return 2 * n, nil
		})
		worker.Handle(w, "slow", func(ctx context.Context, n int) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			select {
			case <-time.After(time.Duration(10-n) * time.Second): // the later, the faster
			case <-ctx.Done():
			}
			return n, ctx.Err()
		})
	})
	return rt.Client().App("numbers"), most
}

func upTo(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func TestInvokeEach(t *testing.T) {
	app, _ := numbers(t)
	for _, n := range []int{-1, 1, 2, 64} {
		next := 0
		for got, err := range cocaine.InvokeEach[int](t.Context(), app, "double", n, upTo(1000)) {
			var e *cocaine.CallError
			switch {
			case next == 13:
				if !errors.As(err, &e) || e.Method != "double" || !errors.Is(err, &cocaine.Error{Category: cocaine.CategoryUser, Code: 13}) {
					t.Fatalf("%d at once: 13 gave %v, %v", n, got, err)
				}
			case err != nil || got != 2*next:
				t.Fatalf("%d at once: %d gave %v, %v", n, next, got, err)
			}
			next++
		}
		if next != 1000 {
			t.Fatalf("%d at once: %d results", n, next)
		}
	}
}

// What is slow holds up the order of the results, not the calls behind it; no more
// than n are under way.
func TestInvokeEachWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, most := numbers(t)
		start := time.Now()
		got, err := cocaine.Collect(cocaine.InvokeEach[int](t.Context(), app, "slow", 3, upTo(9)))
		if err != nil || !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}) {
			t.Fatal(got, err)
		}
		// 0 to 2 begin at once; each further one when the oldest has answered, after 10 s:
		// 3 after 10, 4 and 5 with it, because 1 and 2 have answered by then; and so on.
		if took := time.Since(start); took != (10+7+4)*time.Second || most.Load() != 3 {
			t.Errorf("it took %v with %d at once", took, most.Load())
		}
	})
}

// A sequence that waits keeps no call that it has made from being sent.
func TestInvokeEachSlowSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, most := numbers(t)
		calls := func(yield func(int, error) bool) {
			if !yield(1, nil) {
				return
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if most.Load() != 1 {
				t.Error("the call had not left within a second")
			}
		}
		if got, err := cocaine.Collect(cocaine.InvokeEach[int](t.Context(), app, "double", 8, calls)); err != nil || !slices.Equal(got, []int{2}) {
			t.Error(got, err)
		}
	})
}

func TestInvokeEachErrors(t *testing.T) {
	app, _ := numbers(t)
	broken := errors.New("broken item")
	items := func(yield func(any, error) bool) {
		_ = yield(1, nil) && yield(nil, broken) && yield("two", nil) && yield(func() {}, nil) && yield(4, nil)
	}
	var errs []error
	for _, err := range cocaine.InvokeEach[int](t.Context(), app, "double", 2, items) {
		errs = append(errs, err)
	}
	if len(errs) != 5 || errs[0] != nil || errs[1] != broken || errs[2] == nil || !errors.Is(errs[3], cocaine.ErrBadArgument) || errs[4] != nil {
		t.Errorf("got %v", errs)
	}
	one := func(app cocaine.App, ctx context.Context) (errs []error) {
		for _, err := range cocaine.InvokeEach[string](ctx, app, "double", 4, upTo(1)) {
			errs = append(errs, err)
		}
		return errs
	}
	if errs := one(app, t.Context()); len(errs) != 1 || !errors.Is(errs[0], cocaine.ErrBadAnswer) {
		t.Errorf("an answer of another type: %v", errs)
	}
	if errs := one(cocaine.App{}, t.Context()); len(errs) != 1 || !errors.Is(errs[0], cocaine.ErrBadArgument) {
		t.Errorf("an app of no client: %v", errs)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if errs := one(app, over); len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("a context that has ended: %v", errs)
	}
}

// The end of the context ends the calls under way and then the sequence.
func TestInvokeEachContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _ := numbers(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var errs []error
		for _, err := range cocaine.InvokeEach[int](ctx, app, "slow", 3, upTo(9)) {
			errs = append(errs, err)
		}
		if len(errs) < 3 || len(errs) > 4 || slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, context.Canceled) }) {
			t.Errorf("got %v", errs)
		}
	})
}

// Who leaves the loop leaves nothing behind: the client's connection is as it was.
func TestInvokeEachLeft(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	rt.Worker("numbers", func(w *worker.Worker) {
		worker.Handle(w, "same", func(_ context.Context, n int) (int, error) { return n, nil })
	})
	var over atomic.Int32
	client := rt.NewClient(cocaine.Options{Observer: func(_ context.Context, c *cocaine.CallInfo) {
		if c.Event != "" {
			over.Add(1)
		}
	}})
	app := client.App("numbers")
	made := 0
	counted := func(yield func(int, error) bool) {
		for yield(made, nil) {
			made++
		}
	}
	for got, err := range cocaine.InvokeEach[int](t.Context(), app, "same", 16, counted) {
		if err != nil {
			t.Fatal(err)
		}
		if got == 100 {
			break
		}
	}
	if n := int(over.Load()); n < 101 || n > made+1 {
		t.Errorf("%d calls are over, %d were made", n, made)
	}
	if got, err := cocaine.Invoke[int](t.Context(), app, "same", 7); got != 7 || err != nil {
		t.Error(got, err)
	}
}

// A connection that is lost costs the calls that were under way, and no other.
func TestInvokeEachConnectionLost(t *testing.T) {
	app, _ := numbers(t)
	failed, good := 0, 0
	for got, err := range cocaine.InvokeEach[int](t.Context(), app, "double", 4, cocaine.Filter(upTo(200), func(n int) bool { return n != 13 })) {
		switch {
		case err == nil:
			good++
		case errors.Is(err, cocaine.ErrClosed): // that is what Disconnect says
			failed++
		default:
			t.Fatal(got, err)
		}
		if good == 50 && failed == 0 {
			app.Service().Disconnect()
		}
	}
	if good+failed != 199 || failed > 4 {
		t.Errorf("%d answers, %d lost", good, failed)
	}
}

func ExampleInvokeEach() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("words", func(w *worker.Worker) {
			worker.Handle(w, "length", func(_ context.Context, word string) (int, error) { return len(word), nil })
		})
	})
	defer stop()

	words := cocaine.Values("a", "few", "short", "words")
	for n, err := range cocaine.InvokeEach[int](context.Background(), client.App("words"), "length", 64, words) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(n)
	}
	// Output:
	// 1
	// 3
	// 5
	// 5
}
