package cocaine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
	"github.com/cocaine/cocaine-go/worker"
)

// counts answers with the numbers below the one it gets, in the format of the
// request.
func counts(ctx context.Context, s *worker.Stream) error {
	var n int
	if err := s.Decode(ctx, &n); err != nil {
		return err
	}
	for i := range n {
		if err := s.Encode(ctx, i); err != nil {
			return err
		}
	}
	if n == 3 {
		return cocaine.Errorf(cocaine.CategoryUser, 3, "three is too many")
	}
	return nil
}

func TestInvokeStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Worker("app", func(w *worker.Worker) { w.HandleStream("count", counts) })
		for _, content := range []string{"", cocaine.ContentJSON} {
			app := rt.Client().App("app").With(cocaine.CallOptions{ContentType: content})
			for n, want := range map[int][]int{0: nil, 1: {0}, 2: {0, 1}, 3: {0, 1, 2}} {
				got, err := cocaine.Collect(cocaine.InvokeStream[int](t.Context(), app, "count", n))
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %d: got %v, want %v", content, n, got, want)
				}
				wantErr := "<nil>"
				if n == 3 {
					wantErr = "cannot call app.count: three is too many [43, 3]"
				}
				if fmt.Sprint(err) != wantErr {
					t.Errorf("%s, %d: got %v, want %s", content, n, err, wantErr)
				}
			}
			numbers := cocaine.InvokeStream[int](t.Context(), app, "count", 2)
			for range 2 { // a call for each loop
				if got, err := cocaine.Collect(numbers); len(got) != 2 || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
			}
		}
	})
}

// Whoever leaves the loop, and in whatever way, gives the call up, and the runtime is
// told.
func TestInvokeStreamLeft(t *testing.T) {
	for name, leave := range map[string]func(seq iter.Seq2[int, error], cancel context.CancelFunc){
		"break": func(seq iter.Seq2[int, error], _ context.CancelFunc) {
			for range seq {
				break
			}
		},
		"panic": func(seq iter.Seq2[int, error], _ context.CancelFunc) {
			defer func() { _ = recover() }()
			for range seq {
				panic("enough")
			}
		},
		"context": func(seq iter.Seq2[int, error], cancel context.CancelFunc) {
			for _, err := range seq {
				if cancel(); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "app", idl.App)
			ctx, cancel := context.WithCancel(patient(t))
			defer cancel()
			a := s.client.App("app")
			left := background(func() (any, error) {
				leave(cocaine.InvokeStream[int](ctx, a, "e", 1), cancel)
				return nil, nil
			})
			s.Want(1, idl.AppEnqueue, "e")
			s.Want(1, idl.Write, "\x01")
			s.Want(1, idl.Close)
			s.Send(1, idl.Write, "\x05")
			s.Want(2, idl.Revoke, 1, []any{idl.CategorySocket, idl.SocketCanceled})
			await(t, left, "the end of the loop")
			s.Send(2, idl.Value)
			s.Send(1, idl.Write, "\x06") // and is dropped
			got := background(func() (int, error) { return cocaine.Invoke[int](patient(t), a, "e", 1) })
			s.Want(3, idl.AppEnqueue, "e")
			s.Want(3, idl.Write, "\x01")
			s.Want(3, idl.Close)
			s.Send(3, idl.Write, "\x07")
			s.Send(3, idl.Close)
			if r := await(t, got, "the next call"); r.Value != 7 || r.Err != nil {
				t.Errorf("the next call: %v, %v", r.Value, r.Err)
			}
			for ctx := patient(t); cocaine.OpenChannels(a.Service()) != 0; runtime.Gosched() { // the reader forgets a channel after it has woken its caller
				if ctx.Err() != nil {
					t.Fatalf("%d channels are open", cocaine.OpenChannels(a.Service()))
				}
			}
		})
	}
}

// A loop over what somebody holds takes from it and leaves the rest, at either end of
// a conversation and on the channel below it.
func TestAllLeavesTheRest(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	rt.Worker("app", func(w *worker.Worker) {
		w.HandleStream("second", func(ctx context.Context, s *worker.Stream) error {
			for _, err := range s.All(ctx) {
				if err != nil {
					return err
				}
				break
			}
			for chunk, err := range s.All(ctx) {
				if err != nil {
					return err
				}
				if err := s.Send(ctx, chunk); err != nil {
					return err
				}
			}
			return nil
		})
	})
	st, err := rt.Client().App("app").Enqueue(t.Context(), "second", []byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("e"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var got []string
	for chunk, err := range st.All(t.Context()) {
		got = append(got, fmt.Sprintf("%s %v", chunk, err))
		break
	}
	for m, err := range st.Stream().All(t.Context()) {
		got = append(got, fmt.Sprintf("%s %v", m.Bytes(), err))
		break
	}
	if err := st.Send(t.Context(), []byte("f")); err != nil { // the call goes on
		t.Error(err)
	}
	if err := st.CloseSend(t.Context()); err != nil {
		t.Error(err)
	}
	for chunk, err := range st.All(t.Context()) {
		got = append(got, fmt.Sprintf("%s %v", chunk, err))
	}
	if want := []string{"b <nil>", "c <nil>", "d <nil>", "e <nil>", "f <nil>"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// The caller's end as bytes: what a worker echoes comes back whole, in whatever pieces.
func TestAppStreamReader(t *testing.T) {
	rt := cocainetest.NewRuntime(t)
	sizes := make(chan int, 100)
	rt.Worker("app", func(w *worker.Worker) {
		w.HandleStream("echo", func(ctx context.Context, s *worker.Stream) error {
			for chunk, err := range s.All(ctx) {
				if err != nil {
					return err
				}
				sizes <- len(chunk)
				if err := s.Send(ctx, chunk); err != nil {
					return err
				}
			}
			return nil
		})
	})
	text := strings.Repeat("0123456789", 10)
	open := func() *cocaine.AppStream {
		st, err := rt.Client().App("app").Enqueue(t.Context(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		return st
	}
	st := open()
	for _, piece := range []string{text[:33], "", text[33:]} {
		if n, err := io.WriteString(st.Writer(t.Context()), piece); n != len(piece) || err != nil {
			t.Errorf("%d bytes were written, %v", n, err)
		}
	}
	if err := st.CloseSend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(st.Reader(t.Context()), []byte(text)); err != nil {
		t.Error(err)
	}
	if a, b := await(t, sizes, "a chunk"), await(t, sizes, "a chunk"); a != 33 || b != 67 {
		t.Errorf("chunks of %d and %d bytes", a, b)
	}

	// What is large leaves in pieces, so that a handler can start with the first.
	st = open()
	large := bytes.Repeat([]byte("x"), 5<<19)
	sent := background(func() (int64, error) {
		n, err := io.Copy(st.Writer(t.Context()), bytes.NewReader(large))
		return n, errors.Join(err, st.CloseSend(t.Context()))
	})
	got, err := io.ReadAll(st.Reader(t.Context()))
	if !bytes.Equal(got, large) || err != nil {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if r := await(t, sent, "the end of the copy"); r.Value != int64(len(large)) || r.Err != nil {
		t.Errorf("%d bytes were sent, %v", r.Value, r.Err)
	}
	if a, b, c := await(t, sizes, "a chunk"), await(t, sizes, "a chunk"), await(t, sizes, "a chunk"); a != 1<<20 || b != 1<<20 || c != 1<<19 {
		t.Errorf("chunks of %d, %d and %d bytes", a, b, c)
	}
	if _, err := st.Writer(t.Context()).Write([]byte("late")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("written after CloseSend: %v", err)
	}

	st = open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := st.Reader(ctx).Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("read without time: %v", err)
	}
	if _, err := st.Writer(ctx).Write([]byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("written without time: %v", err)
	}
}

func TestInvokeStreamRefusesNonsense(t *testing.T) {
	r := standin.New(t)
	r.Serve("app", app(func(ctx context.Context, event string, _ *rpc.Call, s *rpc.Stream) error {
		if err := s.Send(ctx, idl.Write, chunk("\x05")); err != nil {
			return err
		}
		switch event {
		case "number":
			return s.Send(ctx, idl.Write, standin.Value(5))
		case "nothing":
			return s.Send(ctx, idl.Write, standin.Value())
		}
		return s.Send(ctx, idl.Write, chunk("\xa1x"))
	}))
	a := newClient(t, r).App("app")
	for _, event := range []string{"text", "number", "nothing"} {
		got, err := cocaine.Collect(cocaine.InvokeStream[int](patient(t), a, event, nil))
		if !errors.Is(err, cocaine.ErrBadAnswer) || !reflect.DeepEqual(got, []int{5}) {
			t.Errorf("%s: got %v, %v", event, got, err)
		}
		st, err := a.Enqueue(patient(t), event)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		var n int
		if err := st.Decode(patient(t), &n); err != nil || n != 5 {
			t.Errorf("%s: decoded %d, %v", event, n, err)
		}
		if err := st.Decode(patient(t), &n); !errors.Is(err, cocaine.ErrBadAnswer) {
			t.Errorf("%s: decoded %d, %v", event, n, err)
		}
		if _, err := st.Recv(patient(t)); err != io.EOF {
			t.Errorf("%s: what was refused is still there: %v", event, err)
		}
	}
	if got := firstError(cocaine.InvokeStream[int](patient(t), a, "text", cocaine.Raw{0x93})); !errors.Is(got, cocaine.ErrBadArgument) {
		t.Errorf("broken msgpack was sent: %v", got)
	}
	if got := firstError(cocaine.InvokeStream[int](patient(t), cocaine.App{}, "text", 1)); !errors.Is(got, cocaine.ErrBadArgument) {
		t.Errorf("an app of nobody: %v", got)
	}
}

// Both ends of a conversation have the same methods, and what one sends the other
// receives.
func TestAppStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type pair struct {
			A int    `json:"a"`
			B []byte `json:"b"`
		}
		broken := map[string]any{"": cocaine.Raw{0x93}, cocaine.ContentJSON: func() {}}
		rt := cocainetest.NewRuntime(t)
		rt.Worker("app", func(w *worker.Worker) {
			w.HandleStream("echo", func(ctx context.Context, s *worker.Stream) error {
				for {
					var p pair
					if err := s.Decode(ctx, &p); err == io.EOF {
						return s.Send(ctx, []byte("bye"))
					} else if err != nil {
						return err
					}
					if err := s.Encode(ctx, p); err != nil {
						return err
					}
				}
			})
		})
		for _, content := range []string{"", cocaine.ContentJSON} {
			ctx := t.Context()
			st, err := rt.Client().App("app").With(cocaine.CallOptions{ContentType: content}).Enqueue(ctx, "echo")
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			for _, in := range []pair{{}, {1, []byte{0, 255}}, {-5, bytes.Repeat([]byte{'x'}, 70000)}} {
				if err := st.Encode(ctx, in); err != nil {
					t.Fatal(err)
				}
				seen, err := st.Peek(ctx)
				if err != nil || st.Buffered() != 1 {
					t.Errorf("%s: there are %d, %v", content, st.Buffered(), err)
				}
				var out pair
				if err := st.Decode(ctx, &out); err != nil || out.A != in.A || !bytes.Equal(out.B, in.B) || len(seen) < len(in.B) {
					t.Errorf("%s: got %v after %d bytes, %v", content, out, len(seen), err)
				}
			}
			if err := st.Encode(ctx, broken[content]); !errors.Is(err, cocaine.ErrBadArgument) {
				t.Errorf("what cannot be encoded was sent: %v", err)
			}
			for range 2 {
				if err := st.CloseSend(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if err := st.Send(ctx, nil); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("sent after the end: %v", err)
			}
			var rest []string
			for chunk, err := range st.All(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				rest = append(rest, string(chunk))
			}
			if !reflect.DeepEqual(rest, []string{"bye"}) || st.Stream().Buffered() != 0 {
				t.Errorf("at last: %q", rest)
			}
		}
	})
}

// Every error of a call of an event names the event, in whatever way it is called.
func TestErrorsNameTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Worker("app", func(w *worker.Worker) {
			w.HandleStream("e", func(context.Context, *worker.Stream) error { return errors.New("no") })
		})
		rt.Service("storage", nil)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		apps := map[string]cocaine.App{"app": rt.Client().App("app"), "storage": rt.Client().App("storage"), "nobody": rt.Client().App("nobody")}
		for name, a := range apps {
			for _, ctx := range []context.Context{t.Context(), ended} {
				for _, content := range []string{"", "text/html"} {
					a := a.With(cocaine.CallOptions{ContentType: content})
					enqueue := func() error {
						st, err := a.Enqueue(ctx, "e", []byte("x"), []byte("y"))
						if err == nil {
							defer st.Close()
							_, err = st.Recv(ctx)
						}
						return err
					}
					for way, err := range map[string]error{
						"Invoke": second(cocaine.Invoke[int](ctx, a, "e", 1)), "InvokeStream": firstError(cocaine.InvokeStream[int](ctx, a, "e", 1)),
						"Enqueue": enqueue(),
					} {
						call, ok := err.(*cocaine.CallError)
						if way == "Enqueue" && content != "" && name == "app" && ctx.Err() == nil {
							ok = ok && errors.Is(err, &cocaine.Error{Category: 42, Code: 100}) // whatever the chunks are
						}
						if !ok || call.Service != name || call.Method != "e" {
							t.Errorf("%s of %s with %q: %v", way, name, content, err)
						}
					}
				}
			}
		}
	})
}
