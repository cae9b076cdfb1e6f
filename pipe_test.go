package cocaine_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
)

// filled makes a pipe that holds these, of which the errors are errors, and is
// closed.
func filled(t *testing.T, list ...any) *cocaine.Receiver[int] {
	t.Helper()
	s, r := cocaine.Pipe[int](len(list))
	for v, err := range items(list...) {
		var sent error
		if err != nil {
			sent = s.Fail(t.Context(), err)
		} else {
			sent = s.Send(t.Context(), v)
		}
		if sent != nil {
			t.Fatal(sent)
		}
	}
	s.Close()
	return r
}

func wantRecv(t *testing.T, r *cocaine.Receiver[int], want int, wantErr error) {
	t.Helper()
	if v, err := r.Recv(patient(t)); v != want || err != wantErr {
		t.Errorf("got %v, %v, want %v, %v", v, err, want, wantErr)
	}
}

func TestSenderOrder(t *testing.T) {
	boom := errors.New("boom")
	r := filled(t, boom, 1, 2, errItem, 3)
	wantItems(t, r.All(patient(t)), "!boom", "1", "2", "!item", "3")

	s, r := cocaine.Pipe[int](2) // it fills up on the way
	f := cocaine.Go(t.Context(), func(ctx context.Context) (int, error) {
		defer s.Close()
		for i := range 100 {
			if err := s.Send(ctx, i); err != nil {
				return i, err
			}
		}
		return 100, nil
	})
	next := 0
	for v, err := range r.All(patient(t)) {
		if v != next || err != nil {
			t.Fatalf("got %v, %v, want %d", v, err, next)
		}
		next++
	}
	if n, err := f.Wait(patient(t)); n != next || err != nil {
		t.Errorf("%d were sent, %v, and %d came", n, err, next)
	}
}

func TestSendAfterClose(t *testing.T) {
	s, r := cocaine.Pipe[int](2)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	other, gone := cocaine.Pipe[int](2)
	gone.Close()
	for name, end := range map[string]*cocaine.Sender[int]{"own": s, "other": other} {
		if err := end.Send(t.Context(), 1); err != io.ErrClosedPipe {
			t.Errorf("Send after the %s end was closed: %v", name, err)
		}
		if err := end.Fail(t.Context(), errItem); err != io.ErrClosedPipe {
			t.Errorf("Fail after the %s end was closed: %v", name, err)
		}
	}
	wantRecv(t, r, 0, io.EOF)
}

func TestCloseDrains(t *testing.T) {
	r := filled(t, 1, errItem, 2)
	wantRecv(t, r, 1, nil)
	wantRecv(t, r, 0, errItem)
	wantRecv(t, r, 2, nil)
	for range 3 {
		wantRecv(t, r, 0, io.EOF)
		if _, err := r.Peek(patient(t)); err != io.EOF {
			t.Errorf("Peek at the end: %v", err)
		}
	}
}

func TestRecvMixed(t *testing.T) {
	r := filled(t, 1, errItem, 2, io.ErrNoProgress, 3)
	wantRecv(t, r, 1, nil)
	wantRecv(t, r, 0, errItem)
	wantRecv(t, r, 2, nil)
	wantRecv(t, r, 0, io.ErrNoProgress)
	wantRecv(t, r, 3, nil)
	wantRecv(t, r, 0, io.EOF)
}

func TestFailIsNoEnd(t *testing.T) {
	wantItems(t, filled(t, io.EOF, 1).All(patient(t)), "!unexpected EOF", "1")
	defer func() {
		if recover() == nil {
			t.Error("a failure without an error was accepted")
		}
	}()
	s, _ := cocaine.Pipe[int](1)
	_ = s.Fail(t.Context(), nil)
}

func TestRange(t *testing.T) {
	wantItems(t, filled(t, 1, 2, 3).All(patient(t)), "1", "2", "3")
	wantItems(t, filled(t, 1).All(patient(t)), "1")
	wantItems(t, filled(t).All(patient(t)))
}

func TestRangeAfterRecv(t *testing.T) {
	r := filled(t, 1, 2, 3)
	wantRecv(t, r, 1, nil)
	wantItems(t, r.All(patient(t)), "2", "3")
}

// Leaving a loop takes nothing more and closes nothing; Close lets the sender go.
func TestPipeRangeBreak(t *testing.T) {
	s, r := cocaine.Pipe[int](1)
	f := cocaine.Go(t.Context(), func(ctx context.Context) (int, error) {
		for i := 0; ; i++ {
			if err := s.Send(ctx, i); err != nil {
				return i, err
			}
		}
	})
	for v := range r.All(patient(t)) {
		if v == 3 {
			break
		}
	}
	wantRecv(t, r, 4, nil)
	for v := range r.All(patient(t)) {
		if v == 6 {
			break
		}
	}
	wantRecv(t, r, 7, nil)
	r.Close()
	if n, err := f.Wait(patient(t)); n < 8 || err != io.ErrClosedPipe {
		t.Errorf("the sender stopped at %d with %v", n, err)
	}
	wantRecv(t, r, 0, io.ErrClosedPipe)
}

func TestPipeRangeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := cocaine.Pipe[int](2)
		if err := s.Send(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantItems(t, r.All(ctx), "1", "!context deadline exceeded")
		if err := s.Send(t.Context(), 2); err != nil {
			t.Errorf("Send when the loop is over: %v", err)
		}
		wantRecv(t, r, 2, nil)
	})
}

func TestPipePeek(t *testing.T) {
	r := filled(t, 1, errItem, 2)
	for range 3 {
		if v, err := r.Peek(patient(t)); v != 1 || err != nil {
			t.Errorf("got %v, %v", v, err)
		}
	}
	wantRecv(t, r, 1, nil)
	if _, err := r.Peek(patient(t)); err != errItem {
		t.Errorf("got %v", err)
	}
	wantRecv(t, r, 0, errItem)
	wantRecv(t, r, 2, nil)
}

func TestPipeBuffered(t *testing.T) {
	s, r := cocaine.Pipe[int](3)
	for want := range 3 {
		if n := r.Buffered(); n != want {
			t.Errorf("%d items wait, want %d", n, want)
		}
		if err := s.Send(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if n := r.Buffered(); n != 3 {
		t.Errorf("%d items wait: the end is none", n)
	}
	r.Close()
	if n := r.Buffered(); n != 0 {
		t.Errorf("%d items wait in a pipe that was given up", n)
	}
}

// Waiting with a timeout takes nothing, and may be repeated.
func TestPipeTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := cocaine.Pipe[int](1)
		f := cocaine.Go(t.Context(), func(ctx context.Context) (int, error) {
			time.Sleep(100 * time.Millisecond)
			return 0, s.Send(ctx, 7)
		})
		within := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		for _, d := range []time.Duration{50, 40} {
			if _, err := r.Peek(within(d * time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || r.Buffered() != 0 {
				t.Errorf("Peek: %v", err)
			}
		}
		if _, err := r.Recv(within(9 * time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Recv: %v", err)
		}
		if v, err := r.Peek(within(2 * time.Millisecond)); v != 7 || err != nil {
			t.Errorf("after 101 ms: %v, %v", v, err)
		}
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(errItem)
		if _, err := r.Recv(ended); err != errItem || r.Buffered() != 1 {
			t.Errorf("with an ended context: %v, and %d wait", err, r.Buffered())
		}
		if err := s.Send(ended, 8); err != errItem {
			t.Errorf("Send with an ended context: %v", err)
		}
		wantRecv(t, r, 7, nil)
		if _, err := f.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestPipeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []int{-1, 0, 1, 3} {
			s, r := cocaine.Pipe[int](limit)
			room := max(limit, 1)
			for i := range room {
				if err := s.Send(t.Context(), i); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := s.Send(ctx, -1); !errors.Is(err, context.DeadlineExceeded) || r.Buffered() != room {
				t.Errorf("limit %d: %v, and %d wait", limit, err, r.Buffered())
			}
			waiting := cocaine.Go(t.Context(), func(ctx context.Context) (int, error) { return 0, s.Send(ctx, room) })
			synctest.Wait()
			wantRecv(t, r, 0, nil)
			if _, err := waiting.Wait(t.Context()); err != nil || r.Buffered() != room {
				t.Errorf("limit %d: %v, and %d wait", limit, err, r.Buffered())
			}
			waiting = cocaine.Go(t.Context(), func(ctx context.Context) (int, error) { return 0, s.Send(ctx, -1) })
			synctest.Wait()
			s.Close()
			if _, err := waiting.Wait(t.Context()); err != io.ErrClosedPipe {
				t.Errorf("limit %d: who waited when the pipe was closed got %v", limit, err)
			}
		}
	})
}

func TestPipeManyGoroutines(t *testing.T) {
	const each, senders, receivers = 200, 4, 3
	s, r := cocaine.Pipe[int](5)
	var sending, receiving sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for i := range each {
				if err := s.Send(patient(t), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sums := make([]int, receivers)
	for i := range receivers {
		receiving.Go(func() {
			for {
				v, err := r.Recv(patient(t))
				if err == io.EOF {
					return
				}
				sums[i] += v
			}
		})
	}
	sending.Wait()
	s.Close()
	receiving.Wait()
	if got, want := sums[0]+sums[1]+sums[2], senders*each*(each-1)/2; got != want {
		t.Errorf("the sum of what came is %d, want %d", got, want)
	}
}

// Two streams may be read in any order.
func TestPipesInterleaved(t *testing.T) {
	a, b := filled(t, 1, 2), filled(t, 3, 4)
	wantRecv(t, b, 3, nil)
	wantRecv(t, a, 1, nil)
	wantRecv(t, a, 2, nil)
	wantRecv(t, b, 4, nil)
}
