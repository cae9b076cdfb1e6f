package cocaine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"testing"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// nonsense are arguments of an answer, by what is wrong with them. That of one method
// is sense for another: see typedAnswers.
var nonsense = map[string][]byte{
	"nothing":            {0x90},
	"nil":                {0x91, 0xc0},
	"two nils":           {0x92, 0xc0, 0xc0},
	"number":             {0x91, 5},
	"negative number":    {0x91, 0xff},
	"fraction":           {0x91, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0},
	"text":               {0x91, 0xa1, 'x'},
	"yes":                {0x91, 0xc3},
	"no":                 {0x91, 0xc2},
	"empty array":        {0x91, 0x90},
	"short array":        {0x91, 0x91, 5},
	"array of nils":      {0x91, 0x92, 0xc0, 0xc0},
	"array of numbers":   {0x91, 0x92, 5, 6},
	"array of texts":     {0x91, 0x92, 0xa1, 'x', 0xa1, 'y'},
	"array of maps":      {0x91, 0x91, 0x81, 0xa1, 'x', 5},
	"empty map":          {0x91, 0x80},
	"map for an array":   {0x91, 0x82, 0xa5, 'V', 'a', 'l', 'u', 'e', 5, 0xa7, 'V', 'e', 'r', 's', 'i', 'o', 'n', 6},
	"map of nils":        {0x91, 0x81, 0xa1, 'x', 0xc0},
	"map of texts":       {0x91, 0x81, 0xa1, 'x', 0xa1, 'y'},
	"map of arrays":      {0x91, 0x81, 0xa1, 'x', 0x91, 0xc0},
	"map of short pairs": {0x91, 0x81, 0xa1, 'x', 0x91, 0x91, 5},
	"map under numbers":  {0x91, 0x81, 5, 6},
}

// firstOf gives the first pair of a sequence.
func firstOf[T any](seq iter.Seq2[T, error]) (v T, err error) {
	for v, err = range seq {
		return v, err
	}
	return v, errors.New("the sequence was empty")
}

// typedAnswers are all methods of the typed clients that give a value, and what of
// nonsense is sense to them.
var typedAnswers = []struct {
	service, method string
	call            func(ctx context.Context, c *cocaine.Client) (any, error)
	sense           []string
}{
	{"unicorn", "get", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Unicorn().Get(ctx, "/a") }, []string{"array of numbers"}},
	{"unicorn", "put", func(ctx context.Context, c *cocaine.Client) (any, error) {
		v, done, err := c.Unicorn().Put(ctx, "/a", 1, 1)
		return []any{v, done}, err
	}, nil},
	{"unicorn", "increment", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Unicorn().Increment(ctx, "/a", 1) }, []string{"array of numbers"}},
	{"unicorn", "increment", func(ctx context.Context, c *cocaine.Client) (any, error) {
		return c.Unicorn().IncrementFloat(ctx, "/a", 1)
	}, []string{"array of numbers"}},
	{"unicorn", "subscribe", func(ctx context.Context, c *cocaine.Client) (any, error) {
		return firstOf(c.Unicorn().Subscribe(ctx, "/a"))
	}, []string{"array of numbers"}},
	{"unicorn", "children_subscribe", func(ctx context.Context, c *cocaine.Client) (any, error) {
		return firstOf(c.Unicorn().SubscribeChildren(ctx, "/a"))
	}, nil},
	{"unicorn", "lock", func(ctx context.Context, c *cocaine.Client) (any, error) { return held(c.Unicorn().Lock(ctx, "/a")) }, []string{"yes", "no"}},
	{"unicorn", "named_lock", func(ctx context.Context, c *cocaine.Client) (any, error) {
		return held(c.Unicorn().NamedLock(ctx, "/a", 1))
	}, []string{"yes", "no"}},
	{"node", "list", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Node().List(ctx) }, []string{"empty array", "array of texts"}},
	{"node", "info", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Node().Info(ctx, "a", 0) }, mapsAreSense},
	{"hello", "info", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.App("hello").Info(ctx) }, mapsAreSense},
	{"storage", "read", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Storage().Read(ctx, "c", "k") }, []string{"text"}},
	{"storage", "find", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Storage().Find(ctx, "c", "t") }, []string{"empty array", "array of texts"}},
	{"logging", "verbosity", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Logging().Verbosity(ctx) }, []string{"number", "negative number"}},
	{"locator", "resolve", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Locator().Resolve(ctx, "x") }, nil},
	{"locator", "resolve", func(ctx context.Context, c *cocaine.Client) (any, error) {
		return c.Locator().ResolveSeed(ctx, "x", "s")
	}, nil},
	{"locator", "uuid", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Locator().UUID(ctx) }, []string{"text"}},
	{"locator", "cluster", func(ctx context.Context, c *cocaine.Client) (any, error) { return c.Locator().Cluster(ctx) }, []string{"empty map"}},
	{"locator", "connect", func(ctx context.Context, c *cocaine.Client) (any, error) {
		return firstOf(c.Locator().Synchronize(ctx, "me"))
	}, nil},
	{"locator", "routing", func(ctx context.Context, c *cocaine.Client) (any, error) {
		return firstOf(c.Locator().Routing(ctx, "me"))
	}, []string{"empty map"}},
}

// mapsAreSense is for those who read any map.
var mapsAreSense = []string{"empty map", "map for an array", "map of nils", "map of texts", "map of arrays", "map of short pairs"}

// typedOrders are those that give none: whatever comes, it is the answer.
var typedOrders = []struct {
	service, method string
	call            func(ctx context.Context, c *cocaine.Client) error
}{
	{"unicorn", "create", func(ctx context.Context, c *cocaine.Client) error { return c.Unicorn().Create(ctx, "/a", 1) }},
	{"unicorn", "remove", func(ctx context.Context, c *cocaine.Client) error { return c.Unicorn().Remove(ctx, "/a", 1) }},
	{"node", "start_app", func(ctx context.Context, c *cocaine.Client) error { return c.Node().Start(ctx, "a", "p") }},
	{"node", "pause_app", func(ctx context.Context, c *cocaine.Client) error { return c.Node().Pause(ctx, "a") }},
	{"storage", "write", func(ctx context.Context, c *cocaine.Client) error { return c.Storage().Write(ctx, "c", "k", nil) }},
	{"storage", "remove", func(ctx context.Context, c *cocaine.Client) error { return c.Storage().Remove(ctx, "c", "k") }},
	{"logging", "set_verbosity", func(ctx context.Context, c *cocaine.Client) error { return c.Logging().SetVerbosity(ctx, 1) }},
	{"locator", "refresh", func(ctx context.Context, c *cocaine.Client) error { return c.Locator().Refresh(ctx, "g") }},
	{"locator", "publish", func(ctx context.Context, c *cocaine.Client) error {
		p, err := c.Locator().Publish(ctx, cocaine.Resolution{Name: "x"})
		if err == nil {
			err = p.Close()
		}
		return err
	}},
}

func held(l *cocaine.Lock, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return nil, l.Unlock()
}

// nonsensical is a client of a runtime all of whose methods give the same answer.
func nonsensical(t *testing.T, answer []byte) *cocaine.Client {
	protocols := map[string]*idl.Protocol{
		"unicorn": idl.Unicorn, "node": idl.NodeService, "hello": idl.App, "storage": idl.Storage, "logging": idl.Logging, "locator": idl.Locator,
	}
	addrs := make(map[string]string)
	for name, p := range protocols {
		m := rpc.NewMux(p, rpc.MuxOptions{})
		for _, msg := range p.Messages {
			switch {
			case idl.IsControl(msg.ID) || msg.Reply.Kind == idl.ReplyMute:
			case name == "locator" && msg.Name == "resolve":
				m.Unary(msg.Name, func(_ context.Context, c *rpc.Call) ([]byte, error) {
					r := c.Reader()
					if asked := r.String(); addrs[asked] != "" {
						return exampleResolution(protocols[asked], addrs[asked]), nil
					}
					return answer, nil
				})
			case msg.Reply.Kind == idl.ReplyStream:
				m.Stream(msg.Name, func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error { return s.Send(ctx, idl.Write, answer) })
			case msg.Next != nil && !msg.Next.IsTerminal():
				m.Stream(msg.Name, func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error { return s.Send(ctx, idl.Value, answer) })
			default:
				m.Unary(msg.Name, func(context.Context, *rpc.Call) ([]byte, error) { return answer, nil })
			}
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server, done := rpc.NewServer(rpc.ServerOptions{}), make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(context.Background(), ln, m)
		}()
		t.Cleanup(func() {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			_ = server.Shutdown(now)
			<-done
		})
		addrs[name] = ln.Addr().String()
	}
	locator := addrs["locator"]
	delete(addrs, "locator")
	client, err := cocaine.New(cocaine.Options{Locators: []string{locator}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// What a typed client cannot read is ErrBadAnswer, whatever is wrong with it: never a
// value, and never a panic.
func TestTypedClientsRefuseNonsense(t *testing.T) {
	for what, answer := range nonsense {
		t.Run(what, func(t *testing.T) {
			if rest, err := msgpack.Skip(answer, 8); err != nil || len(rest) > 0 {
				t.Fatal("that is no msgpack at all")
			}
			client, ctx := nonsensical(t, answer), patient(t)
			for _, c := range typedAnswers {
				sense := bytes.Contains(fmt.Appendf(nil, "%q", c.sense), fmt.Appendf(nil, "%q", what))
				v, err := c.call(ctx, client)
				if sense == errors.Is(err, cocaine.ErrBadAnswer) {
					t.Errorf("%s.%s gave %v, %v", c.service, c.method, v, err)
				}
				if call, ok := err.(*cocaine.CallError); err != nil && (!ok || call.Service != c.service || call.Method != c.method) {
					t.Errorf("%s.%s: the error is %#v", c.service, c.method, err)
				}
			}
			for _, c := range typedOrders {
				if err := c.call(ctx, client); err != nil {
					t.Errorf("%s.%s: %v", c.service, c.method, err)
				}
			}
		})
	}
}
