package worker_test

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/worker"
)

// onReader reports whether it is called on the goroutine that reads.
func onReader() bool { return strings.Contains(string(debug.Stack()), "(*Session).readOn") }

// await reads n answers.
func (c *crowd) await(t *testing.T, n int) {
	t.Helper()
	for n > 0 {
		m, err := c.answers()
		if err != nil {
			t.Fatal(err)
		}
		n -= m
	}
	if n < 0 {
		t.Fatalf("%d answers too many", -n)
	}
}

// turn has other handle the next requests of the same connection.
func (c *crowd) turn(other *crowd) {
	other.channel, other.out, c.out = c.channel, c.out, nil
}

// Handlers that take next to nothing run where their requests are read, once that is
// known of them, and those that take their time do not.
func TestBriefHandlersRunWhereTheyAreRead(t *testing.T) {
	var here, others, slow atomic.Int32
	conn := serveSocket(t, func(w *worker.Worker) {
		worker.Handle(w, "brief", func(_ context.Context, in any) (any, error) {
			if onReader() {
				here.Add(1)
			} else {
				others.Add(1)
			}
			worker.Trust(w, "brief") // to look at a stack is not brief
			return in, nil
		})
		worker.Handle(w, "slow", func(_ context.Context, in any) (any, error) {
			if onReader() {
				slow.Add(1)
			}
			for start := time.Now(); time.Since(start) <= worker.Brevity; {
			}
			return in, nil
		})
	})
	c := newCrowd(conn, "brief", "\xc0")
	for here.Load() == 0 { // all of a batch that is cut in two may run elsewhere
		if err := c.ask(20); err != nil {
			t.Fatal(err)
		}
		c.await(t, 20)
	}
	if others.Load() == 0 {
		t.Error("the first ran on the reader's goroutine, before anything was known")
	}
	s := newCrowd(conn, "slow", "\xc0")
	c.turn(s)
	for range 20 {
		if err := s.ask(20); err != nil {
			t.Fatal(err)
		}
		s.await(t, 20)
	}
	if slow.Load() > 0 {
		t.Errorf("%d slow ones ran on the reader's goroutine", slow.Load())
	}
}

// A handler that was always brief and then blocks holds up neither the requests behind
// it nor those that come later.
func TestBriefHandlerBlocks(t *testing.T) {
	var blocked atomic.Int32
	release := make(chan struct{})
	var w *worker.Worker
	conn := serveSocket(t, func(made *worker.Worker) {
		w = made
		worker.Handle(w, "brief", func(_ context.Context, in any) (any, error) { return in, nil })
		worker.Handle(w, "block", func(_ context.Context, in any) (any, error) {
			if onReader() {
				blocked.Add(1)
			}
			<-release
			return in, nil
		})
	})
	brief, block := newCrowd(conn, "brief", "\xc0"), newCrowd(conn, "block", "\xc0")
	waiting := 0
	for blocked.Load() < 2 { // twice: the new reader can be relieved as well
		worker.Trust(w, "brief")
		worker.Trust(w, "block")
		brief.append(10)
		brief.turn(block)
		block.append(1)
		block.turn(brief)
		if err := brief.ask(10); err != nil {
			t.Fatal(err)
		}
		waiting++
		brief.await(t, 20)
	}
	close(release)
	if err := brief.ask(10); err != nil {
		t.Fatal(err)
	}
	brief.await(t, 10+waiting)
}

// What ends a brief handler other than its return costs its request, and no other one.
func TestBriefHandlerEnds(t *testing.T) {
	for name, end := range map[string]func(){
		"goroutine ends": runtime.Goexit,
		"panic":          func() { panic("brief") },
	} {
		t.Run(name, func(t *testing.T) {
			var here atomic.Int32
			var w *worker.Worker
			conn := serveSocket(t, func(made *worker.Worker) {
				w = made
				worker.Handle(w, "end", func(context.Context, any) (any, error) {
					if onReader() {
						here.Add(1)
					}
					end()
					return nil, errors.New("not reached")
				})
			})
			c := newCrowd(conn, "end", "\xc0")
			for here.Load() < 5 {
				worker.Trust(w, "end")
				if err := c.ask(20); err != nil {
					t.Fatal(err)
				}
				c.await(t, 20)
			}
		})
	}
}

// A worker whose reader has been relieved ends like others, though the handler that
// held it up never returns.
func TestBriefHandlerNeverReturns(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) }) // runs after the worker has ended
	var blocked atomic.Int32
	var w *worker.Worker
	conn := serveSocket(t, func(made *worker.Worker) {
		w = made
		worker.Handle(w, "block", func(context.Context, any) (any, error) {
			if onReader() {
				blocked.Add(1)
			}
			<-release
			return nil, nil
		})
		worker.Handle(w, "brief", func(_ context.Context, in any) (any, error) { return in, nil })
	})
	block, brief := newCrowd(conn, "block", "\xc0"), newCrowd(conn, "brief", "\xc0")
	for blocked.Load() == 0 {
		worker.Trust(w, "block")
		block.append(4)
		block.turn(brief)
		if err := brief.ask(1); err != nil {
			t.Fatal(err)
		}
		brief.await(t, 1)
		brief.turn(block)
	}
}
