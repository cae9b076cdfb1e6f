package worker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cocaine/cocaine-go/worker"
)

// However many handlers block, the others run: the last request of a crowd
// releases all.
func TestManyHandlersBlock(t *testing.T) {
	const crowd = 1000
	var waiting atomic.Int32
	all := make(chan struct{})
	arrive := func() {
		if waiting.Add(1) == crowd {
			close(all)
		}
		<-all
	}
	conn := serveSocket(t, func(w *worker.Worker) {
		worker.Handle(w, "value", func(context.Context, any) (any, error) { arrive(); return nil, nil })
	})
	c := newCrowd(conn, "value", "\xc0")
	for range 2 { // the second time with goroutines that are kept
		waiting.Store(0)
		all = make(chan struct{})
		if err := c.ask(crowd); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < crowd; {
			m, err := c.answers()
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
}

// An answer is not held back for the company of others: whatever the handlers
// after it do, block or compute, it reaches its caller.
func TestAnswersDoNotWait(t *testing.T) {
	for _, processors := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("%d processors", processors), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			for _, how := range []string{"block", "compute"} {
				answersDoNotWait(t, how)
			}
		})
	}
}

func answersDoNotWait(t *testing.T, how string) {
	const pairs = 20
	var release sync.WaitGroup
	release.Add(1)
	var released atomic.Bool
	conn := serveSocket(t, func(w *worker.Worker) {
		worker.Handle(w, "quick", func(_ context.Context, in any) (any, error) { return in, nil })
		worker.Handle(w, "block", func(_ context.Context, in any) (any, error) { release.Wait(); return in, nil })
		worker.Handle(w, "compute", func(_ context.Context, in any) (any, error) {
			for !released.Load() {
			}
			return in, nil
		})
	})
	quick, slow := newCrowd(conn, "quick", "\xc0"), newCrowd(conn, how, "\xc0")
	for range pairs { // one write: they come at once
		quick.append(1)
		slow.channel = quick.channel
		slow.out = quick.out
		slow.append(1)
		quick.channel, quick.out = slow.channel, slow.out
	}
	if err := quick.send(); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 2*pairs; {
		m, err := quick.answers()
		if err != nil {
			t.Fatal(err)
		}
		if n += m; n >= pairs && !released.Load() {
			released.Store(true)
			release.Done()
		}
	}
}

// A handler that ends its goroutine costs its request, and no other one.
func TestGoroutineEnds(t *testing.T) {
	conn := serveSocket(t, func(w *worker.Worker) {
		worker.Handle(w, "exit", func(context.Context, any) (any, error) { runtime.Goexit(); return nil, nil })
	})
	c := newCrowd(conn, "exit", "\xc0")
	const crowd = 300
	for range 3 {
		if err := c.ask(crowd); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < crowd; {
			m, err := c.answers()
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
}
