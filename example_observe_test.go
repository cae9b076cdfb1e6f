package cocaine_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
)

// observedClient is a client of a runtime with an app that greets, and whose storage is
// not there.
func observedClient(o cocaine.Options) (client *cocaine.Client, stop func()) {
	t := &exampleT{}
	rt := cocainetest.NewRuntime(t)
	rt.Service("node", cocainetest.Methods{"list": cocainetest.Answer([]string{"hello"})})
	return rt.NewClient(o), func() {
		for _, f := range t.cleanups {
			f()
		}
	}
}

// Every call that is over, for a metric or a trace of your own: finding the service is
// one as well.
func ExampleObserver() {
	client, stop := observedClient(cocaine.Options{
		Observer: func(_ context.Context, c *cocaine.CallInfo) {
			fmt.Printf("%s.%s: %v, %d attempt\n", c.Service, c.Method, c.Outcome(), c.Attempts)
		},
	})
	defer stop()
	ctx := context.Background()
	_, _ = client.Node().List(ctx)
	_ = cocaine.Exec(ctx, client.Service("node"), "lst")
	_, _ = client.Storage().Read(ctx, "things", "one")
	// Output:
	// locator.resolve: ok, 1 attempt
	// node.list: ok, 1 attempt
	// node.lst: invalid, 1 attempt
	// locator.resolve: error, 1 attempt
	// storage.read: unavailable, 1 attempt
}

// All failures of calls, in the log of the program.
func ExampleLogCalls() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { // what differs from run to run
			if a.Key == slog.TimeKey || a.Key == "duration" {
				return slog.Attr{}
			}
			return a
		},
	}))
	client, stop := observedClient(cocaine.Options{Observer: cocaine.LogCalls(log)})
	defer stop()
	_, _ = client.Node().List(context.Background())
	_ = cocaine.Exec(context.Background(), client.Service("node"), "lst")
	// Output:
	// level=ERROR msg="call invalid" service=node method=lst outcome=invalid error="cannot call node.lst: service has no such method"
}

// The counters of a client. For the page of expvar, /debug/vars:
//
//	expvar.Publish("cocaine", expvar.Func(func() any { return client.Stats() }))
func ExampleClient_Stats() {
	client, stop := observedClient(cocaine.Options{})
	defer stop()
	_, _ = client.Node().List(context.Background())
	_ = cocaine.Exec(context.Background(), client.Service("node"), "lst")
	stats := client.Stats()
	fmt.Println(stats.Connections, "connections,", stats.OK, "calls went well,", stats.Invalid, "did not fit")
	// Output: 2 connections, 2 calls went well, 1 did not fit
}

// What a context is about, in all records that are logged with it.
func ExampleNewContextHandler() {
	json := slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime})
	log := slog.New(cocaine.NewContextHandler(json))

	ctx := cocaine.WithLogAttrs(context.Background(), slog.String("user", "Ann"))
	ctx = cocaine.WithTrace(ctx, cocaine.Trace{ID: 0xabc, Span: 1})
	log.InfoContext(ctx, "sold", "item", "tea")
	// Output: {"level":"INFO","msg":"sold","item":"tea","user":"Ann","trace_id":"0000000000000abc"}
}

// Credentials for all calls, from a source that may fetch new ones. A handle may have
// others.
func ExampleTokenSource() {
	client, stop := observedClient(cocaine.Options{Token: cocaine.StaticToken("Bearer s3cret")})
	defer stop()
	fresh := func(context.Context) (string, error) { return os.Getenv("SHOP_TOKEN"), nil }
	storage := client.Service("storage").With(cocaine.CallOptions{Token: fresh})
	_, err := cocaine.Get[[]byte](context.Background(), storage, "read", "things", "one")
	fmt.Println(err)
	// Output: cannot call storage.read: cannot resolve service "storage": nobody serves it [10, 1]
}
