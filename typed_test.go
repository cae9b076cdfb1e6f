package cocaine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

func TestNodeFrames(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(ctx context.Context, n cocaine.Node) (any, error)
		id     uint64
		args   []any
		answer []any
		want   any
	}{
		"start": {func(ctx context.Context, n cocaine.Node) (any, error) { return nil, n.Start(ctx, "app", "fast") },
			idl.NodeStartApp, []any{"app", "fast"}, nil, nil},
		"pause": {func(ctx context.Context, n cocaine.Node) (any, error) { return nil, n.Pause(ctx, "app") },
			idl.NodePauseApp, []any{"app"}, nil, nil},
		"list": {func(ctx context.Context, n cocaine.Node) (any, error) { return n.List(ctx) },
			idl.NodeList, nil, []any{[]any{"a", "b"}}, []string{"a", "b"}},
		"info": {func(ctx context.Context, n cocaine.Node) (any, error) {
			i, err := n.Info(ctx, "app", cocaine.InfoOverseer|cocaine.InfoProfile)
			return []any{i.State, i.Pool.Active, i.Published}, err
		}, idl.NodeInfo, []any{"app", 5}, []any{map[string]any{"state": "running", "publushed": true, "pool": map[string]any{"active": 2}}},
			[]any{"running", 2, true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, "node", idl.NodeService)
			got := background(func() (any, error) { return c.call(patient(t), s.client.Node()) })
			s.Want(1, c.id, c.args...)
			s.Send(1, idl.Value, c.answer...)
			if r := await(t, got, "the answer"); r.Err != nil || !reflect.DeepEqual(r.Value, c.want) {
				t.Errorf("got %#v, %v\nwant %#v", r.Value, r.Err, c.want)
			}
		})
	}
}

func TestNodeEnqueue(t *testing.T) {
	s := play(t, "node", idl.NodeService)
	st, err := s.client.Service("node").Call(patient(t), "enqueue", "app", "greet")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s.Want(1, idl.NodeEnqueue, "app", "greet")
	if err := errors.Join(st.Send(patient(t), "Ann"), st.CloseSend(patient(t))); err != nil {
		t.Fatal(err)
	}
	s.Want(1, idl.Write, "Ann")
	s.Want(1, idl.Close)
	s.Send(1, idl.Close)
	if _, err := st.Recv(patient(t)); err != io.EOF {
		t.Error(err)
	}
}

func TestPoolControl(t *testing.T) {
	for name, c := range map[string]struct {
		protocol *idl.Protocol
		open     func(ctx context.Context, c *cocaine.Client) (*cocaine.PoolControl, error)
		id       uint64
		args     []any
	}{
		"node": {idl.NodeService, func(ctx context.Context, c *cocaine.Client) (*cocaine.PoolControl, error) {
			return c.Node().Control(ctx, "app")
		}, idl.NodeControl, []any{"app"}},
		"app": {idl.App, func(ctx context.Context, c *cocaine.Client) (*cocaine.PoolControl, error) {
			return c.App("app").Control(ctx)
		}, idl.AppControl, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t, name, c.protocol)
			ctx, cancel := context.WithCancel(patient(t))
			pool, err := c.open(ctx, s.client)
			if err != nil {
				t.Fatal(err)
			}
			s.Want(1, c.id, c.args...)
			for _, n := range []int{5, 0} {
				if err := pool.Resize(ctx, n); err != nil {
					t.Error(err)
				}
				s.Want(1, idl.Write, n)
			}
			if err := pool.Resize(ctx, -1); err == nil {
				t.Error("a pool of -1 workers")
			}
			cancel() // means nothing to it any more
			if err := pool.Resize(patient(t), 3); err != nil || pool.Err() != nil {
				t.Error(err, pool.Err())
			}
			s.Want(1, idl.Write, 3)
			for range 2 {
				if err := pool.Close(); err != nil {
					t.Error(err)
				}
			}
			s.Want(1, idl.Close)
			await(t, pool.Done(), "the end")
			if err := pool.Resize(patient(t), 1); !errors.Is(err, cocaine.ErrClosed) || !errors.Is(pool.Err(), cocaine.ErrClosed) {
				t.Errorf("after the end: %v, %v", err, pool.Err())
			}
		})
	}
}

// A service that answers the end at once does not make it a failure.
func TestPoolControlCloseIsNoFailure(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.App, rpc.MuxOptions{})
	m.Stream("control", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
		_, err := s.Recv(ctx)
		if err == io.EOF {
			return nil
		}
		return err
	})
	r.Serve("app", m)
	client := newClient(t, r)
	for range 300 {
		pool, err := client.App("app").Control(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPoolControlRefused(t *testing.T) {
	s := play(t, "node", idl.NodeService)
	pool, err := s.client.Node().Control(patient(t), "app")
	if err != nil {
		t.Fatal(err)
	}
	s.Want(1, idl.NodeControl, "app")
	s.Send(1, idl.Error, []any{idl.CategoryNode, idl.NodeNotRunning}, "app is stopped")
	await(t, pool.Done(), "the refusal")
	want := &cocaine.Error{Category: idl.CategoryNode, Code: idl.NodeNotRunning}
	if !errors.Is(pool.Err(), want) || !errors.Is(pool.Close(), want) {
		t.Errorf("got %v", pool.Err())
	}
}

func TestAppEnqueue(t *testing.T) {
	s := play(t, "hello", idl.App)
	app := s.client.App("hello")
	if app.Name() != "hello" || app.Service().Name() != "hello" {
		t.Errorf("the app is called %q", app.Name())
	}
	for i, chunks := range [][][]byte{nil, {[]byte("one")}, {[]byte("one"), nil, []byte("three")}} {
		channel := uint64(i + 1)
		st, err := app.Enqueue(context.Background(), "greet", chunks...)
		if err != nil {
			t.Fatal(err)
		}
		s.Want(channel, idl.AppEnqueue, "greet")
		for _, chunk := range chunks {
			s.Want(channel, idl.Write, chunk)
		}
		if err := st.CloseSend(patient(t)); err != nil {
			t.Error(err)
		}
		s.Want(channel, idl.Close)
		s.Send(channel, idl.Write, "answer")
		s.Send(channel, idl.Close)
		if chunk, err := st.Recv(patient(t)); err != nil || string(chunk) != "answer" {
			t.Errorf("got %q, %v", chunk, err)
		}
		if _, err := st.Recv(patient(t)); err != io.EOF {
			t.Error(err)
		}
		st.Close()
	}
}

// The call and its first chunk leave as one piece, and the bytes are these.
func TestAppEnqueueBytes(t *testing.T) {
	s := play(t, "hello", idl.App)
	st, err := s.client.App("hello").Enqueue(context.Background(), "e", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s.Want(1, idl.AppEnqueue, "e")
	s.Want(1, idl.Write, "x")
	s.wantBytes(t, "94 01 00 91 a165 90"+"94 01 00 91 a178 90")
}

// The end of the context ends the call, whatever else is going on.
func TestAppEnqueueEndsWithItsContext(t *testing.T) {
	s := play(t, "hello", idl.App)
	ctx, cancel := context.WithCancel(context.Background())
	st, err := s.client.App("hello").Enqueue(ctx, "greet", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s.Want(1, idl.AppEnqueue, "greet")
	s.Want(1, idl.Write, "x")
	cancel()
	s.WantError(1, idl.CategorySocket, idl.SocketCanceled)
	if _, err := st.Recv(patient(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A service without enqueue is no app.
func TestNoApp(t *testing.T) {
	s := play(t, "storage", idl.Storage)
	app := s.client.App("storage")
	_, err := app.Enqueue(patient(t), "e", []byte("x"))
	if !errors.Is(err, cocaine.ErrNoMethod) {
		t.Errorf("enqueue: %v", err)
	}
	if _, err := app.Control(patient(t)); !errors.Is(err, cocaine.ErrNoMethod) {
		t.Errorf("control: %v", err)
	}
	if _, err := app.Info(patient(t)); !errors.Is(err, cocaine.ErrNoMethod) {
		t.Errorf("info: %v", err)
	}
	s.wantBytes(t, "")
}

func TestAppInfo(t *testing.T) {
	s := play(t, "hello", idl.App)
	got := background(func() (cocaine.AppInfo, error) {
		return s.client.App("hello").With(cocaine.CallOptions{Headers: cocaine.Headers{{Name: "x", Value: "y"}}}).Info(patient(t))
	})
	f := s.Want(1, idl.AppInfo)
	if cocaine.Headers(f.Headers).Get("x") != "y" {
		t.Errorf("the headers are %v", f.Headers)
	}
	s.Send(1, idl.Value, map[string]any{"state": "running", "queue": map[string]any{"depth": 4, "capacity": 100}})
	r := await(t, got, "the answer")
	if r.Err != nil || r.Value.Queue.Depth != 4 || r.Value.State != "running" {
		t.Errorf("got %+v, %v", r.Value, r.Err)
	}
}

type late struct{ text string }

func (l late) LogValue() slog.Value { return slog.StringValue(l.text) }

func TestLoggingEmit(t *testing.T) {
	s := play(t, "logging", idl.Logging)
	l, ctx := s.client.Logging(), patient(t)
	if err := l.Emit(ctx, cocaine.SeverityInfo, "app/hello", "started"); err != nil {
		t.Fatal(err)
	}
	s.Want(1, idl.LoggingEmit, 1, "app/hello", "started") // and no empty list
	when := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	err := l.Emit(ctx, cocaine.SeverityError, "db", "failed",
		slog.String("s", "text"), slog.Int("i", -1), slog.Uint64("u", 1<<63), slog.Float64("f", 0.5), slog.Bool("b", true),
		slog.Duration("d", time.Second), slog.Time("t", when), slog.Any("e", io.EOF), slog.Any("n", nil), slog.Any("p", []byte("raw")),
		slog.Group("g", slog.Int("x", 1), slog.Group("h", slog.Int("y", 2))), slog.Group("", slog.Int("in", 3)), slog.Group("empty"),
		slog.Any("v", late{"resolved"}), slog.Attr{})
	if err != nil {
		t.Fatal(err)
	}
	s.Want(2, idl.LoggingEmit, 3, "db", "failed", []any{
		[]any{"s", "text"}, []any{"i", -1}, []any{"u", uint64(1 << 63)}, []any{"f", 0.5}, []any{"b", true},
		[]any{"d", "1s"}, []any{"t", "2026-01-02T02:04:05.000006Z"}, []any{"e", "EOF"}, []any{"n", "<nil>"}, []any{"p", "raw"},
		[]any{"g.x", 1}, []any{"g.h.y", 2}, []any{"in", 3}, []any{"v", "resolved"}})
}

func TestLoggingBytes(t *testing.T) {
	s := play(t, "logging", idl.Logging)
	if err := s.client.Logging().Emit(patient(t), cocaine.SeverityWarning, "src", "m", slog.Int("k", 5)); err != nil {
		t.Fatal(err)
	}
	s.Recv()
	s.wantBytes(t, "94 01 00 94 02 a3737263 a16d 91 92 a16b 05 90")
}

func TestLoggingVerbosity(t *testing.T) {
	s := play(t, "logging", idl.Logging)
	l := s.client.Logging()
	got := background(func() (cocaine.Severity, error) { return l.Verbosity(patient(t)) })
	s.Want(1, idl.LoggingVerbosity)
	s.Send(1, idl.Value, 2)
	if r := await(t, got, "the answer"); r.Err != nil || r.Value != cocaine.SeverityWarning {
		t.Errorf("got %v, %v", r.Value, r.Err)
	}
	set := background(func() (any, error) { return nil, l.SetVerbosity(patient(t), cocaine.SeverityError) })
	s.Want(2, idl.LoggingSetVerbosity, 3)
	s.Send(2, idl.Error, []any{idl.CategoryDispatch, idl.DispatchUnbound}, "not served")
	if r := await(t, set, "the refusal"); !errors.Is(r.Err, &cocaine.Error{Category: idl.CategoryDispatch, Code: idl.DispatchUnbound}) {
		t.Errorf("got %v", r.Err)
	}
}

func TestSeverityNames(t *testing.T) {
	for s, want := range map[cocaine.Severity]string{0: "debug", 1: "info", 2: "warning", 3: "error", 7: "severity 7"} {
		if got := s.String(); got != want {
			t.Errorf("%d reads %q", s, got)
		}
	}
}
