package worker_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// A worker whose own log, and that of its handlers, goes to the logging service, so
// that it is kept with what the runtime logs about the app. In the context of a
// request each record carries the request's trace. Without the service it goes to
// standard error, which the runtime keeps too.
func ExampleOptions_logger() {
	client, err := cocaine.New(cocaine.Options{Locators: []string{"127.0.0.1:1"}}) // nobody is there
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	handler := cocaine.NewLogHandler(client, cocaine.LogHandlerOptions{Source: "app/shop", Fallback: messages{}})
	logger := slog.New(handler)
	w, err := worker.New(worker.Options{App: "shop", Listen: "127.0.0.1:0", Logger: logger, Announce: func(string) {}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	worker.Handle(w, "order", func(ctx context.Context, number int) (string, error) {
		logger.InfoContext(ctx, "order taken", "order", number)
		return "thanks", nil
	})
	w.OnStart(func(context.Context) error {
		logger.Info("shop opens")
		stop() // so that the example ends
		return nil
	})
	if err := w.Run(ctx); err != nil {
		logger.Error("worker has failed", "error", err)
	}
	_ = handler.Close(context.Background()) // with the last words of the worker
	// Output: shop opens
}

// messages prints those of the example from lines of text.
type messages struct{}

func (messages) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "shop opens") {
		fmt.Println("shop opens")
	}
	return len(line), nil
}
