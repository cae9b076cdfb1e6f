package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// Every request that is served, for a metric.
func ExampleObserve() {
	w, while := demo()
	w.Use(worker.Observe(func(_ context.Context, r *worker.RequestInfo) {
		fmt.Printf("%s: %v, %d in flight\n", r.Event, r.Outcome(), r.InFlight)
	}))
	worker.Handle(w, "greet", func(_ context.Context, name string) (string, error) {
		if name == "" {
			return "", cocaine.Errorf(cocaine.CategoryUser, 1, "who are you?")
		}
		return "hello " + name, nil
	})
	while(func(ctx context.Context, app cocaine.App) {
		_, _ = cocaine.Invoke[string](ctx, app, "greet", "Ann")
		_, _ = cocaine.Invoke[string](ctx, app, "greet", "")
	})
	// Output:
	// greet: ok, 1 in flight
	// greet: error, 1 in flight
}

// The log of a worker: one record for each request, and what handlers log says which
// one it belongs to.
func ExampleLogRequests() {
	log := slog.New(cocaine.NewContextHandler(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key { // what differs from run to run
			case slog.TimeKey, "duration", "worker", "channel":
				return slog.Attr{}
			}
			return a
		},
	})))
	w, while := demo()
	w.Use(worker.Observe(worker.LogRequests(log)))
	worker.Handle(w, "greet", func(ctx context.Context, name string) (string, error) {
		log.InfoContext(ctx, "greeting", "name", name)
		return "hello " + name, nil
	})
	while(func(ctx context.Context, app cocaine.App) {
		_, _ = cocaine.Invoke[string](cocaine.WithTrace(ctx, cocaine.Trace{ID: 5, Span: 5}), app, "greet", "Ann")
	})
	// Output:
	// level=INFO msg=greeting name=Ann event=greet app=demo trace_id=0000000000000005
	// level=INFO msg="request ok" event=greet outcome=ok trace_id=0000000000000005 app=demo
}
