package cocaine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// circular is a value without an end.
type circular struct{ Next *circular }

// What a caller can do wrong, and which error says so. None of it costs the
// connection, or anybody else anything.
func TestBadInput(t *testing.T) {
	r := standin.New(t)
	m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
	m.Unary("read", func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value("blob"), nil })
	m.Unary("remove", func(context.Context, *rpc.Call) ([]byte, error) { return nil, nil })
	m.Unary("find", func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value(5), nil })
	m.Unary("write", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		return nil, rpc.BadArgs(c, errors.New("want more"))
	})
	service := r.Serve("storage", m)
	r.Serve("app", app(func(ctx context.Context, event string, c *rpc.Call, s *rpc.Stream) error {
		switch event {
		case "nothing":
			return nil
		case "number":
			return s.Send(ctx, idl.Write, standin.Value(5))
		case "twice":
			if err := s.Send(ctx, idl.Write, chunk("\xa1a")); err != nil {
				return err
			}
			return s.Send(ctx, idl.Write, chunk("\xa1b"))
		}
		return echo(ctx, event, c, s)
	}))
	client := newClient(t, r, func(o *cocaine.Options) { o.MaxFrame = 1 << 20 })
	storage, svc := client.Service("storage"), client.Service("app")
	if err := storage.Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	expired, cancel := context.WithTimeout(context.Background(), -1)
	defer cancel()
	closed := newClient(t, r)
	closed.Close()
	loop := new(circular)
	loop.Next = loop
	get := func(ctx context.Context, s *cocaine.Service, method string, args ...any) error {
		_, err := cocaine.Get[string](ctx, s, method, args...)
		return err
	}
	enqueued := func(f func(ctx context.Context, st *cocaine.Stream) error) error {
		st, err := svc.Call(patient(t), "enqueue", "e")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		return f(patient(t), st)
	}
	once := func(f func(ctx context.Context, st *cocaine.Stream) error) error {
		st, err := storage.Call(patient(t), "read", "c", "k")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		return f(patient(t), st)
	}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"nil service", get(patient(t), nil, "read"), cocaine.ErrBadArgument},
		{"zero service", get(patient(t), new(cocaine.Service), "read"), cocaine.ErrBadArgument},
		{"nil service, Exec", cocaine.Exec(patient(t), nil, "read"), cocaine.ErrBadArgument},
		{"nil service, Invoke", second(cocaine.Invoke[int](patient(t), cocaine.App{}, "e", 1)), cocaine.ErrBadArgument},
		{"nil service, Call", second((*cocaine.Service)(nil).Call(patient(t), "read")), cocaine.ErrBadArgument},
		{"nil service, Connect", (*cocaine.Service)(nil).Connect(patient(t)), cocaine.ErrBadArgument},
		{"nil service, Methods", second(new(cocaine.Service).Methods(patient(t))), cocaine.ErrBadArgument},
		{"zero storage", second(cocaine.Storage{}.Read(patient(t), "c", "k")), cocaine.ErrBadArgument},
		{"zero locator", second(cocaine.Locator{}.Resolve(patient(t), "node")), cocaine.ErrBadArgument},
		{"nil context", get(context.Context(nil), storage, "read"), cocaine.ErrBadArgument},
		{"nil context, Connect", storage.Connect(context.Context(nil)), cocaine.ErrBadArgument},
		{"ended context", get(ended, storage, "read"), context.Canceled},
		{"expired context", get(expired, storage, "read"), context.DeadlineExceeded},
		{"closed client", get(patient(t), closed.Service("storage"), "read"), cocaine.ErrClosed},
		{"closed client is net.ErrClosed", get(patient(t), closed.Service("storage"), "read"), net.ErrClosed},
		{"no such service", get(patient(t), client.Service("wat"), "read"), cocaine.ErrServiceNotFound},
		{"empty service name", get(patient(t), client.Service(""), "read"), cocaine.ErrServiceNotFound},
		{"no such method", get(patient(t), storage, "red"), cocaine.ErrNoMethod},
		{"empty method", get(patient(t), storage, ""), cocaine.ErrNoMethod},
		{"event of a service that is no app", second(cocaine.Invoke[int](patient(t), cocaine.AppOf(storage), "e", 1)), cocaine.ErrNoMethod},
		{"argument is broken msgpack", get(patient(t), storage, "read", cocaine.Raw{0x93}), cocaine.ErrBadArgument},
		{"argument without an end", get(patient(t), storage, "read", loop), cocaine.ErrBadArgument},
		{"argument of an event without an end", second(cocaine.Invoke[int](patient(t), cocaine.AppOf(svc), "e", loop)), cocaine.ErrBadArgument},
		{"argument too large", get(patient(t), storage, "read", make([]byte, 2<<20)), cocaine.ErrTooLarge},
		{"argument of an event too large", second(cocaine.Invoke[int](patient(t), cocaine.AppOf(svc), "e", make([]byte, 2<<20))), cocaine.ErrTooLarge},
		{"arguments the service does not take", cocaine.Exec(patient(t), storage, "write", 1), &cocaine.Error{Category: idl.CategoryDispatch, Code: idl.DispatchBadArgs}},
		{"unknown content type", second(cocaine.Invoke[int](patient(t), cocaine.AppOf(svc).With(cocaine.CallOptions{ContentType: "text/html"}), "e", 1)), cocaine.ErrBadArgument},
		{"wrong version", get(patient(t), storage.With(cocaine.CallOptions{Version: 99}), "read"), &cocaine.VersionError{}},
		{"value of another type", second(cocaine.Get[int](patient(t), storage, "read")), cocaine.ErrBadAnswer},
		{"number for a list", second(cocaine.Get[[]string](patient(t), storage, "find")), cocaine.ErrBadAnswer},
		{"result cannot be a function", second(cocaine.Get[func()](patient(t), storage, "read")), cocaine.ErrBadAnswer},
		{"chunks of another type", firstError(cocaine.Chunks[int](patient(t), svc, "enqueue", "twice")), cocaine.ErrBadAnswer},
		{"event answers nothing", second(cocaine.Invoke[string](patient(t), cocaine.AppOf(svc), "nothing", 1)), io.EOF},
		{"event answers a number, not a chunk", second(cocaine.Invoke[string](patient(t), cocaine.AppOf(svc), "number", 1)), cocaine.ErrBadAnswer},
		{"event answers twice", second(cocaine.Invoke[string](patient(t), cocaine.AppOf(svc), "twice", 1)), cocaine.ErrBadAnswer},
		{"event answers another type", second(cocaine.Invoke[string](patient(t), cocaine.AppOf(svc), "e", 1)), cocaine.ErrBadAnswer},
		{"chunk to a method that takes none", once(func(ctx context.Context, st *cocaine.Stream) error { return st.Send(ctx, "x") }), cocaine.ErrNoMessage},
		{"end of no chunks", once(func(ctx context.Context, st *cocaine.Stream) error { return st.CloseSend(ctx) }), cocaine.ErrNoMessage},
		{"error to a method that takes none", once(func(ctx context.Context, st *cocaine.Stream) error { return st.Fail(ctx, io.EOF) }), cocaine.ErrNoMessage},
		{"unknown message", enqueued(func(ctx context.Context, st *cocaine.Stream) error { return st.SendMessage(ctx, "dance") }), cocaine.ErrNoMessage},
		{"no error to fail with", enqueued(func(ctx context.Context, st *cocaine.Stream) error { return st.Fail(ctx, nil) }), cocaine.ErrBadArgument},
		{"broken chunk", enqueued(func(ctx context.Context, st *cocaine.Stream) error { return st.Send(ctx, cocaine.Raw{0x93}) }), cocaine.ErrBadArgument},
		{"chunk too large", enqueued(func(ctx context.Context, st *cocaine.Stream) error { return st.Send(ctx, make([]byte, 2<<20)) }), cocaine.ErrTooLarge},
		{"chunk with an ended context", enqueued(func(_ context.Context, st *cocaine.Stream) error { return st.Send(ended, "x") }), context.Canceled},
		{"receive with an ended context", enqueued(func(_ context.Context, st *cocaine.Stream) error { return second(st.Recv(ended)) }), context.Canceled},
		{"peek with an ended context", enqueued(func(_ context.Context, st *cocaine.Stream) error { return second(st.Peek(ended)) }), context.Canceled},
		{"chunk after the end", enqueued(func(ctx context.Context, st *cocaine.Stream) error {
			return errors.Join(st.CloseSend(ctx), st.Send(ctx, "x"))
		}), io.ErrClosedPipe},
		{"receive on a closed stream", enqueued(func(ctx context.Context, st *cocaine.Stream) error {
			st.Close()
			return second(st.Recv(ctx))
		}), cocaine.ErrClosed},
		{"send on a closed stream", enqueued(func(ctx context.Context, st *cocaine.Stream) error {
			st.Close()
			return st.Send(ctx, "x")
		}), cocaine.ErrClosed},
	} {
		if version, ok := c.want.(*cocaine.VersionError); ok {
			if !errors.As(c.err, &version) || version.Want != 99 || version.Got != idl.Storage.Version {
				t.Errorf("%s: got %v", c.name, c.err)
			}
			continue
		}
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.err, c.want)
		}
	}
	if n := service.Sessions(); n != 1 {
		t.Errorf("%d connections to the storage, want the first one only", n)
	}
}

func second[T any](_ T, err error) error { return err }

func firstError[T any](seq func(func(T, error) bool)) (err error) {
	for _, e := range seq {
		if e != nil {
			return e
		}
	}
	return nil
}

// Handles that no client made are harmless to ask.
func TestZeroHandles(t *testing.T) {
	for _, s := range []*cocaine.Service{nil, {}} {
		if s.Name() != "" || s.State() != cocaine.Idle || s.RemoteAddr() != nil {
			t.Errorf("%v has a name, a state or an address", s)
		}
		s.Disconnect()
	}
}

// Options that cannot be used are told before anything is done.
func TestBadOptions(t *testing.T) {
	for name, o := range map[string]cocaine.Options{
		"no port":     {Locators: []string{"host:"}},
		"no host":     {Locators: []string{":10053"}},
		"empty":       {Locators: []string{""}},
		"unix socket": {Locators: []string{"unix:"}},
		"not a port":  {Locators: []string{"host:http"}},
	} {
		if _, err := cocaine.New(o); err == nil {
			t.Errorf("%s: %+v were taken", name, o.Locators)
		}
	}
	for name, o := range map[string]cocaine.Options{
		"zero":            {},
		"negative limits": {DialTimeout: -1, MaxFrame: -1, Retry: cocaine.RetryPolicy{Attempts: -1, Delay: -1, MaxDelay: -1, Ratio: -1, Burst: -1}},
	} {
		client, err := cocaine.New(o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		client.Close()
	}
}
