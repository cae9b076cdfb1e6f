package cocaine_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// Every method of unicorn leaves its channel open until the caller closes it.
func TestUnicornFrames(t *testing.T) {
	type limits struct {
		Rate int `json:"rate"`
	}
	none := []any{nil, -1}
	for name, c := range map[string]struct {
		call   func(ctx context.Context, u cocaine.Unicorn) (any, error)
		id     uint64
		args   []any
		answer []any
		want   any
	}{
		"get": {func(ctx context.Context, u cocaine.Unicorn) (any, error) {
			v, err := u.Get(ctx, "/a")
			var l limits
			if err == nil {
				err = v.Decode(&l)
			}
			return []any{v.Version, v.Exists(), l}, err
		}, idl.UnicornGet, []any{"/a"}, []any{[]any{map[string]any{"rate": 5}, 3}},
			[]any{cocaine.Version(3), true, limits{5}}},
		"get nothing": {func(ctx context.Context, u cocaine.Unicorn) (any, error) {
			v, err := u.Get(ctx, "/a")
			return []any{v.Version.String(), v.Exists(), v.Decode(new(int))}, err
		}, idl.UnicornGet, []any{"/a"}, []any{none}, []any{"none", false, cocaine.ErrNoNode}},
		"put": {func(ctx context.Context, u cocaine.Unicorn) (any, error) {
			v, done, err := u.Put(ctx, "/a", limits{7}, 3)
			return []any{v, done}, err
		}, idl.UnicornPut, []any{"/a", map[string]any{"rate": 7}, 3}, []any{true, []any{7, 4}},
			[]any{cocaine.Versioned{Value: cocaine.Raw{7}, Version: 4}, true}},
		"put too late": {func(ctx context.Context, u cocaine.Unicorn) (any, error) {
			v, done, err := u.Put(ctx, "/a", nil, 3)
			return []any{v, done}, err
		}, idl.UnicornPut, []any{"/a", nil, 3}, []any{false, []any{"x", 9}},
			[]any{cocaine.Versioned{Value: cocaine.Raw{0xa1, 'x'}, Version: 9}, false}},
		"create": {func(ctx context.Context, u cocaine.Unicorn) (any, error) {
			return nil, u.Create(ctx, "/a", "v")
		}, idl.UnicornCreate, []any{"/a", "v"}, []any{true}, nil},
		"remove": {func(ctx context.Context, u cocaine.Unicorn) (any, error) {
			return nil, u.Remove(ctx, "/a", 4)
		}, idl.UnicornRemove, []any{"/a", 4}, []any{true}, nil},
		"increment": {func(ctx context.Context, u cocaine.Unicorn) (any, error) {
			return u.Increment(ctx, "/n", -2)
		}, idl.UnicornIncrement, []any{"/n", -2}, []any{[]any{40, 8}}, cocaine.Versioned{Value: cocaine.Raw{40}, Version: 8}},
		"increment by a fraction": {func(ctx context.Context, u cocaine.Unicorn) (any, error) {
			v, err := u.IncrementFloat(ctx, "/n", 2)
			return v.Version, err
		}, idl.UnicornIncrement, []any{"/n", 2.0}, []any{[]any{2.5, 1}}, cocaine.Version(1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "unicorn", idl.Unicorn)
			got := background(func() (any, error) { return c.call(patient(t), s.client.Unicorn()) })
			s.Want(1, c.id, c.args...)
			s.Send(1, idl.Value, c.answer...)
			s.Want(1, idl.UnicornClose)
			if r := await(t, got, "the answer"); r.Err != nil || !reflect.DeepEqual(r.Value, c.want) {
				t.Errorf("got %#v, %v\nwant %#v", r.Value, r.Err, c.want)
			}
		})
	}
}

func TestUnicornBytes(t *testing.T) {
	s := play(t, "unicorn", idl.Unicorn)
	done := background(func() (any, error) { return nil, s.client.Unicorn().Create(patient(t), "/a", map[string]int{"n": 1}) })
	s.Want(1, idl.UnicornCreate, "/a", map[string]any{"n": 1})
	s.Send(1, idl.Value, true)
	await(t, done, "the answer")
	s.Want(1, idl.UnicornClose)
	s.wantBytes(t, "94 01 04 92 a22f61 81a16e01 90"+"94 01 00 90 90")
}

func TestUnicornErrors(t *testing.T) {
	for code, want := range map[int]error{
		idl.UnicornNoNode:          cocaine.ErrNoNode,
		idl.UnicornNodeExists:      cocaine.ErrNodeExists,
		idl.UnicornVersionMismatch: cocaine.ErrBadVersion,
		idl.UnicornHasChildren:     cocaine.ErrHasChildren,
	} {
		s := play(t, "unicorn", idl.Unicorn)
		got := background(func() (any, error) { return nil, s.client.Unicorn().Remove(patient(t), "/a", 1) })
		s.Want(1, idl.UnicornRemove, "/a", 1)
		s.Send(1, idl.Error, []any{idl.CategoryUnicorn, code}, "why")
		if r := await(t, got, "the answer"); !errors.Is(r.Err, want) {
			t.Errorf("code %d gives %v", code, r.Err)
		}
		s.Want(1, idl.UnicornClose)
	}
}

func TestUnicornSubscribe(t *testing.T) {
	s := play(t, "unicorn", idl.Unicorn)
	versions := make(chan cocaine.Version, 10)
	go func() {
		defer close(versions)
		for v, err := range s.client.Unicorn().Subscribe(patient(t), "/a") {
			if err != nil {
				t.Error(err)
			}
			versions <- v.Version
			if v.Version == 1 {
				return
			}
		}
	}()
	s.Want(1, idl.UnicornSubscribe, "/a")
	for i, value := range []any{nil, "x", 5} {
		s.Send(1, idl.Write, []any{value, i - 1})
	}
	for want := cocaine.NoVersion; want <= 1; want++ {
		if got := await(t, versions, "a value"); got != want {
			t.Errorf("got version %v, want %v", got, want)
		}
	}
	s.Want(1, idl.UnicornClose) // the loop was left
	await(t, versions, "the end")
}

func TestUnicornSubscribeChildrenUntilRemoved(t *testing.T) {
	s := play(t, "unicorn", idl.Unicorn)
	got := background(func() (list []cocaine.Children, err error) {
		for c, failed := range s.client.Unicorn().SubscribeChildren(patient(t), "/a") {
			if failed != nil {
				err = failed
				continue
			}
			list = append(list, c)
		}
		return list, err
	})
	s.Want(1, idl.UnicornChildrenSubscribe, "/a")
	s.Send(1, idl.Write, 0, []any{})
	s.Send(1, idl.Write, 2, []any{"b", "c"})
	s.Send(1, idl.StreamError, []any{idl.CategoryUnicorn, idl.UnicornNoNode}, "gone")
	r := await(t, got, "the children")
	want := []cocaine.Children{{0, []string{}}, {2, []string{"b", "c"}}}
	if !reflect.DeepEqual(r.Value, want) || !errors.Is(r.Err, cocaine.ErrNoNode) {
		t.Errorf("got %v, %v", r.Value, r.Err)
	}
	s.Want(1, idl.UnicornClose)
}

// lock gets a lock from the service that the test plays.
func lock(t *testing.T, s *sideline) *cocaine.Lock {
	t.Helper()
	got := background(func() (*cocaine.Lock, error) { return s.client.Unicorn().Lock(patient(t), "/l") })
	s.Want(1, idl.UnicornLock, "/l")
	s.Send(1, idl.Write, true)
	r := await(t, got, "the lock")
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if r.Value.Path() != "/l" || r.Value.Err() != nil {
		t.Errorf("path %q, %v", r.Value.Path(), r.Value.Err())
	}
	return r.Value
}

func TestLockIsHeldUntilUnlock(t *testing.T) {
	s := play(t, "unicorn", idl.Unicorn)
	l := lock(t, s)
	select {
	case <-l.Done():
		t.Fatal("the lock is not held")
	default:
	}
	for range 2 {
		if err := l.Unlock(); err != nil {
			t.Error(err)
		}
	}
	await(t, l.Done(), "the end of the lock")
	if !errors.Is(l.Err(), cocaine.ErrClosed) {
		t.Errorf("the end is %v", l.Err())
	}
	s.Want(1, idl.UnicornClose)
}

func TestLostLock(t *testing.T) {
	for name, lose := range map[string]func(*sideline) error{
		"by the service": func(s *sideline) error {
			s.Send(1, idl.StreamError, []any{idl.CategoryUnicorn, idl.UnicornConnectionLost}, "session lost")
			return &cocaine.Error{Category: idl.CategoryUnicorn, Code: idl.UnicornConnectionLost}
		},
		"with the connection": func(s *sideline) error { s.Close(); return cocaine.ErrDisconnected },
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "unicorn", idl.Unicorn)
			l := lock(t, s)
			want := lose(s)
			await(t, l.Done(), "the loss of the lock")
			if !errors.Is(l.Err(), want) || !errors.Is(l.Unlock(), want) {
				t.Errorf("got %v, and from Unlock %v; want %v", l.Err(), l.Unlock(), want)
			}
		})
	}
	t.Run("without a word", func(t *testing.T) {
		s := play(t, "unicorn", idl.Unicorn)
		l := lock(t, s)
		s.Send(1, idl.Close)
		await(t, l.Done(), "the loss of the lock")
		if err := l.Unlock(); err == nil || errors.Is(err, cocaine.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("with the client", func(t *testing.T) {
		s := play(t, "unicorn", idl.Unicorn)
		l := lock(t, s)
		s.client.Close()
		await(t, l.Done(), "the end of the lock")
		if !errors.Is(l.Err(), cocaine.ErrClosed) {
			t.Errorf("got %v", l.Err())
		}
	})
}

func TestNamedLock(t *testing.T) {
	s := play(t, "unicorn", idl.Unicorn)
	got := background(func() (*cocaine.Lock, error) { return s.client.Unicorn().NamedLock(patient(t), "/l", "me") })
	s.Want(1, idl.UnicornNamedLock, "/l", "me")
	s.Send(1, idl.Write, true)
	if r := await(t, got, "the lock"); r.Err != nil || r.Value.Unlock() != nil {
		t.Error(r.Err)
	}
	s.Want(1, idl.UnicornClose)
}

// Who stops waiting for a lock leaves the queue.
func TestLockGivenUp(t *testing.T) {
	s := play(t, "unicorn", idl.Unicorn)
	ctx, cancel := context.WithCancel(context.Background())
	got := background(func() (*cocaine.Lock, error) { return s.client.Unicorn().Lock(ctx, "/l") })
	s.Want(1, idl.UnicornLock, "/l")
	cancel()
	s.Want(1, idl.UnicornClose)
	if r := await(t, got, "the failure"); !errors.Is(r.Err, context.Canceled) {
		t.Errorf("got %v", r.Err)
	}
}

// A lock outlives the context that it was asked for with.
func TestLockOutlivesItsContext(t *testing.T) {
	s := play(t, "unicorn", idl.Unicorn)
	ctx, cancel := context.WithCancel(context.Background())
	got := background(func() (*cocaine.Lock, error) { return s.client.Unicorn().Lock(ctx, "/l") })
	s.Want(1, idl.UnicornLock, "/l")
	s.Send(1, idl.Write, true)
	r := await(t, got, "the lock")
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	cancel()
	ping := background(func() (any, error) { return nil, s.client.Unicorn().Create(patient(t), "/x", 1) })
	s.Want(2, idl.UnicornCreate, "/x", 1) // and no close of the lock before it
	s.Send(2, idl.Value, true)
	s.Want(2, idl.UnicornClose)
	await(t, ping, "the answer")
	if err := r.Value.Unlock(); err != nil {
		t.Error(err)
	}
	s.Want(1, idl.UnicornClose)
}

func TestLockRefused(t *testing.T) {
	for name, answer := range map[string]func(*sideline){
		"with an error":  func(s *sideline) { s.Send(1, idl.StreamError, []any{12, 13}, "no") },
		"without a word": func(s *sideline) { s.Send(1, idl.Close) },
		"of wrong type":  func(s *sideline) { s.Send(1, idl.Write, "yes") },
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "unicorn", idl.Unicorn)
			got := background(func() (*cocaine.Lock, error) { return s.client.Unicorn().Lock(patient(t), "/l") })
			s.Want(1, idl.UnicornLock, "/l")
			answer(s)
			if r := await(t, got, "the failure"); r.Err == nil || r.Value != nil {
				t.Errorf("got %v, %v", r.Value, r.Err)
			}
			s.Want(1, idl.UnicornClose)
		})
	}
}
