package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// after makes a function that takes its time to come to v and err. It ends with
// its context.
func after[T any](d time.Duration, v T, err error) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) {
		select {
		case <-time.After(d):
			return v, err
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

func TestGatherOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		vs, err := cocaine.Gather(t.Context(), after(3*time.Second, "a", nil), after(time.Second, "b", nil), after(2*time.Second, "c", nil))
		if !reflect.DeepEqual(vs, []string{"a", "b", "c"}) || err != nil {
			t.Errorf("got %v, %v", vs, err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		n, s, err := cocaine.Gather2(t.Context(), after(2*time.Second, 1, nil), after(time.Second, "b", nil))
		if n != 1 || s != "b" || err != nil {
			t.Errorf("two: %v, %v, %v", n, s, err)
		}
		n, s, b, err := cocaine.Gather3(t.Context(), after(2*time.Second, 1, nil), after(time.Second, "b", nil), after(0, true, nil))
		if n != 1 || s != "b" || !b || err != nil {
			t.Errorf("three: %v, %v, %v, %v", n, s, b, err)
		}
	})
}

// counter serves a method that answers with 0, 1, ... n-1.
func counter(t *testing.T) *cocaine.Service {
	r := standin.New(t)
	m := rpc.NewMux(idl.Chrono, rpc.MuxOptions{})
	m.Stream("notify_every", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		args := c.Reader()
		n := int(args.Float())
		for i := range n {
			if err := s.Send(ctx, idl.Write, standin.Value(i)); err != nil {
				return err
			}
		}
		if n == 3 {
			return rpc.Errorf(idl.CategoryUser, 1, "three is too many")
		}
		return nil
	})
	r.Serve("counter", m)
	return newClient(t, r).Service("counter")
}

// count is a call of a counter.
func count(svc *cocaine.Service, n int) func(context.Context) ([]int, error) {
	return func(ctx context.Context) ([]int, error) {
		return cocaine.Collect(cocaine.Chunks[int](ctx, svc, "notify_every", float64(n)))
	}
}

func TestGatherMulti(t *testing.T) {
	svc := counter(t)
	got, err := cocaine.Gather(patient(t), count(svc, 4), count(svc, 1), count(svc, 2))
	if !reflect.DeepEqual(got, [][]int{{0, 1, 2, 3}, {0}, {0, 1}}) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	one := func(ctx context.Context) (int, error) { return cocaine.Get[int](ctx, svc, "notify_every", 1.0) }
	v, vs, err := cocaine.Gather2(patient(t), one, count(svc, 2))
	if v != 0 || !reflect.DeepEqual(vs, []int{0, 1}) || err != nil {
		t.Errorf("one value and several: %v, %v, %v", v, vs, err)
	}
}

func TestGatherEmpty(t *testing.T) {
	svc := counter(t)
	got, err := cocaine.Gather(patient(t), count(svc, 0), count(svc, 2), count(svc, 0))
	if len(got) != 3 || len(got[0]) != 0 || len(got[1]) != 2 || len(got[2]) != 0 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestGatherFirstErrorCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom, later := errors.New("boom"), errors.New("later")
		var ended error
		slow := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended = context.Cause(ctx)
			time.Sleep(time.Second) // it takes a while to stop, and is waited for
			return 0, later
		}
		for name, gather := range map[string]func() error{
			"Gather": func() error {
				vs, err := cocaine.Gather(t.Context(), slow, after(time.Second, 0, boom))
				if vs != nil {
					t.Errorf("got %v", vs)
				}
				return err
			},
			"Gather2": func() error {
				a, b, err := cocaine.Gather2(t.Context(), slow, after(time.Second, "value", boom))
				if a != 0 || b != "" {
					t.Errorf("got %v, %v", a, b)
				}
				return err
			},
			"Gather3": func() error {
				a, b, c, err := cocaine.Gather3(t.Context(), after(0, 7, nil), slow, after(time.Second, 0, boom))
				if a != 0 || b != 0 || c != 0 {
					t.Errorf("got %v, %v, %v", a, b, c)
				}
				return err
			},
		} {
			began := time.Now()
			if err := gather(); err != boom || ended != boom {
				t.Errorf("%s: %v, the others were told %v", name, err, ended)
			}
			if took := time.Since(began); took != 2*time.Second {
				t.Errorf("%s took %v", name, took)
			}
		}
	})
}

func TestGatherErrorOfAService(t *testing.T) {
	svc := counter(t)
	_, err := cocaine.Gather(patient(t), count(svc, 1), count(svc, 3))
	if !errors.Is(err, &cocaine.Error{Category: idl.CategoryUser, Code: 1}) {
		t.Errorf("got %v", err)
	}
}

func TestGatherZero(t *testing.T) {
	if vs, err := cocaine.Gather[int](t.Context()); len(vs) != 0 || err != nil {
		t.Errorf("got %v, %v", vs, err)
	}
}

func TestGatherFutures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := cocaine.Go(t.Context(), after(time.Second, "slow", nil))
		for range 2 { // a future may be gathered twice
			vs, err := cocaine.Gather(t.Context(), slow.Wait, cocaine.Ready("ready").Wait, after(0, "function", nil))
			if fmt.Sprint(vs) != "[slow ready function]" || err != nil {
				t.Errorf("got %v, %v", vs, err)
			}
		}
		running := cocaine.Go(t.Context(), after(time.Second, 7, nil))
		boom := errors.New("boom")
		if _, err := cocaine.Gather(t.Context(), running.Wait, cocaine.Failed[int](boom).Wait); err != boom {
			t.Errorf("got %v", err)
		}
		if v, err := running.Wait(t.Context()); v != 7 || err != nil {
			t.Errorf("the future that was gathered with a failure: %v, %v", v, err)
		}
	})
}

func TestGatherPanic(t *testing.T) {
	bad := func(context.Context) (int, error) { panic("gathered") }
	for name, err := range map[string]error{
		"Gather": func() error { _, err := cocaine.Gather(t.Context(), bad); return err }(),
		"First":  func() error { _, err := cocaine.First(t.Context(), bad); return err }(),
	} {
		if p, ok := errors.AsType[*cocaine.PanicError](err); !ok || p.Value != "gathered" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGatherContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := cocaine.Gather(ctx, after(time.Hour, 1, nil)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Gather: %v", err)
		}
		if _, err := cocaine.First(ctx, after(time.Hour, 1, nil)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("First: %v", err)
		}
	})
}

func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom, bang := errors.New("boom"), errors.New("bang")
		began := time.Now()
		v, err := cocaine.First(t.Context(), after(time.Hour, "late", nil), after(2*time.Second, "first", nil), after(time.Second, "", boom))
		if v != "first" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		_, err = cocaine.First(t.Context(), after(2*time.Second, "", boom), after(time.Second, "", bang))
		if !errors.Is(err, boom) || !errors.Is(err, bang) || err.Error() != "boom\nbang" {
			t.Errorf("all failed: %v", err)
		}
		if v, err := cocaine.First[int](t.Context()); err == nil {
			t.Errorf("the first of nothing is %v", v)
		}
	})
}
