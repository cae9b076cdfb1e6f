package worker_test

import (
	"context"
	"log"
	"log/slog"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// demo makes a worker that stands alone, on any port, and a function that runs it
// while something calls its app.
func demo() (w *worker.Worker, while func(calls func(ctx context.Context, app cocaine.App))) {
	running := make(chan struct{})
	w, err := worker.New(worker.Options{
		App: "demo", Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Announce: func(string) { close(running) },
	})
	if err != nil {
		log.Fatal(err)
	}
	return w, func(calls func(ctx context.Context, app cocaine.App)) {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		<-running
		client, err := w.Client()
		if err != nil {
			log.Fatal(err)
		}
		calls(ctx, client.App("demo"))
		stop()
		if err := <-ended; err != nil {
			log.Fatal(err)
		}
	}
}
