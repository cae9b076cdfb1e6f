package worker_test

import (
	"context"
	"log"
	"log/slog"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// A worker whose own log, and that of its handlers, goes to the logging service, so
// that it is kept with what the runtime logs about the app. In the context of a
// request each record carries the request's trace. Without the service it goes to
// standard error, which the runtime keeps too.
func ExampleOptions_logger() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	handler := cocaine.NewLogHandler(client, cocaine.LogHandlerOptions{Source: "app/shop"})
	defer handler.Close(context.Background()) // with the last words of the worker
	logger := slog.New(handler)
	w, err := worker.New(worker.Options{Logger: logger})
	if err != nil {
		log.Fatal(err)
	}
	worker.Handle(w, "order", func(ctx context.Context, number int) (string, error) {
		logger.InfoContext(ctx, "order taken", "order", number)
		return "thanks", nil
	})
	if err := w.Run(context.Background()); err != nil {
		logger.Error("worker has failed", "error", err)
	}
}
