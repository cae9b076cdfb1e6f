package rpc_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// served is the order in which calls were served, by their first argument.
type servedOrder struct {
	mu    sync.Mutex
	names []string
}

func (o *servedOrder) add(c *rpc.Call) string {
	r := c.Reader()
	name := r.String()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.names = append(o.names, name)
	return name
}

func (o *servedOrder) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := o.names
	o.names = nil
	return names
}

// Whoever asks without pause has to let others have their turn.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order servedOrder
		gate := make(chan struct{})
		m := rpc.NewMux(kinds, rpc.MuxOptions{Turns: rpc.NewTurns(1)})
		m.Inline("inline", func(_ context.Context, c *rpc.Call) ([]byte, error) {
			if order.add(c) == "first" {
				<-gate // no method may block; this one stands for one that takes its time
			}
			return nil, nil
		})
		greedy := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}, Buffer: 1 << 20})
		modest := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		const calls = 1000
		input := frame(1, kindInline, "first")
		for ch := uint64(2); ch <= calls; ch++ {
			input = append(input, frame(ch, kindInline, "greedy")...)
		}
		greedy.Write(input)
		synctest.Wait()
		modest.Send(1, kindInline, "modest")
		modest.WantIdle()
		if names := order.take(); !slices.Equal(names, []string{"first"}) {
			t.Errorf("%q were served in the turn of the first", names)
		}
		close(gate)
		modest.Want(1, idl.Value)
		for range calls {
			greedy.Recv()
		}
		names := order.take()
		if i := slices.Index(names, "modest"); len(names) != calls || i < 0 || i > 100 {
			t.Errorf("the modest one was served after %d of %d calls", i, len(names))
		}
		modest.Send(2, kindInline, "again") // all turns were given back
		modest.Want(2, idl.Value)
	})
}

// A session that ends gives its turn back.
func TestTurnOfLostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kindMux(rpc.MuxOptions{Turns: rpc.NewTurns(1)})
		lost := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		lost.Write(append(frame(1, kindInline, "x"), 0xc1)) // which is no frame
		lost.Session().Wait()
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}})
		p.Send(1, kindInline, "y")
		p.Want(1, idl.Value, "y")
	})
}

// MuxOptions.Calls bounds what runs for all sessions together. They get their turn
// in the order they came, and have one call waiting at most.
func TestCallsOfAllSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order servedOrder
		gate := make(chan struct{})
		m := rpc.NewMux(kinds, rpc.MuxOptions{Calls: 2})
		m.Unary("unary", func(_ context.Context, c *rpc.Call) ([]byte, error) {
			order.add(c)
			<-gate
			return nil, nil
		})
		options := rpctest.Options{Session: rpc.SessionOptions{Acceptor: m}}
		greedy, modest, gone := rpctest.New(t, options), rpctest.New(t, options), rpctest.New(t, options)
		for ch := uint64(1); ch <= 6; ch++ {
			greedy.Send(ch, kindUnary, "greedy")
		}
		synctest.Wait()
		gone.Send(1, kindUnary, "gone")
		synctest.Wait()
		modest.Send(1, kindUnary, "modest")
		synctest.Wait()
		if names := order.take(); !slices.Equal(names, []string{"greedy", "greedy"}) {
			t.Errorf("%q run at once", names)
		}
		gone.Session().Close()
		synctest.Wait()
		for _, want := range []string{"greedy", "modest", "greedy"} {
			gate <- struct{}{}
			synctest.Wait()
			if names := order.take(); !slices.Equal(names, []string{want}) {
				t.Errorf("next is %q, want %s", names, want)
			}
		}
		close(gate)
		modest.Want(1, idl.Value)
		for range 6 {
			greedy.Recv()
		}
		greedy.Send(7, kindUnary, "again") // all turns were given back
		greedy.Want(7, idl.Value)
	})
}

// Answers that wait for a peer to read take memory: a session that has some reads
// nothing that would add to them.
func TestWaitingAnswersStopReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order servedOrder
		m := rpc.NewMux(kinds, rpc.MuxOptions{})
		answer := rpc.AppendError(nil, rpc.Errorf(1, 1, "%01000d", 0)) // any array will do
		m.Unary("unary", func(_ context.Context, c *rpc.Call) ([]byte, error) {
			order.add(c)
			return answer, nil
		})
		p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: m, Buffer: 1 << 10}, Buffer: 1 << 10})
		const calls = 50
		for ch := uint64(1); ch <= calls; ch++ {
			p.Send(ch, kindUnary, "x")
			synctest.Wait()
		}
		// What fits the pipe and the buffer is over the limit by an answer, the next
		// ones wait.
		if n := len(order.take()); n > 10 {
			t.Errorf("%d calls were served for a peer that does not read", n)
		}
		for range calls {
			p.Recv()
		}
	})
}

func TestShared(t *testing.T) {
	var s rpc.Shared
	works := 0
	ask := func(arrived time.Time) string {
		b, err := s.Answer(arrived, func() ([]byte, error) {
			works++
			return []byte{byte(works)}, nil
		})
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	asked := time.Now().Add(-time.Second)
	before := func() time.Time { return asked }
	for _, step := range []struct {
		arrived func() time.Time
		want    string
	}{
		{time.Now, "\x01"},
		{before, "\x01"}, // the answer was begun after the question
		{before, "\x01"},
		{time.Now, "\x02"}, // no answer is older than the question
		{before, "\x02"},
	} {
		if got := ask(step.arrived()); got != step.want {
			t.Errorf("got answer %q, want %q", got, step.want)
		}
	}
}

func TestSharedFails(t *testing.T) {
	var s rpc.Shared
	want := errors.New("no answer")
	if _, err := s.Answer(time.Now(), func() ([]byte, error) { return nil, want }); err != want {
		t.Errorf("got %v", err)
	}
	asked := time.Now()
	func() {
		defer func() { _ = recover() }()
		_, _ = s.Answer(time.Now(), func() ([]byte, error) { panic("while working it out") })
	}()
	if b, err := s.Answer(asked, func() ([]byte, error) { return nil, nil }); err == nil {
		t.Errorf("after a panic those who asked before get %q", b)
	}
}
