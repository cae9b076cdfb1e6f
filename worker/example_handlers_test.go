package worker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// One handler for all events without another, and one for those that begin alike.
func ExampleWorker_HandleDefault() {
	w, while := demo()
	w.HandleDefault(worker.Func(func(ctx context.Context, _ any) (string, error) {
		return "nobody handles " + worker.Event(ctx), nil
	}))
	w.HandlePrefix("user.", worker.Func(func(ctx context.Context, name string) (string, error) {
		return strings.TrimPrefix(worker.Event(ctx), "user.") + " " + name, nil
	}))
	while(func(ctx context.Context, app cocaine.App) {
		for _, event := range []string{"user.greet", "user.forget", "unknown"} {
			text, err := cocaine.Invoke[string](ctx, app, event, "Ann")
			fmt.Println(text, err)
		}
	})
	// Output:
	// greet Ann <nil>
	// forget Ann <nil>
	// nobody handles unknown <nil>
}

// Bytes as they come, bytes as they go.
func ExampleWorker_HandleRaw() {
	w, while := demo()
	w.HandleRaw("reverse", func(_ context.Context, chunk []byte) ([]byte, error) {
		for i, j := 0, len(chunk)-1; i < j; i, j = i+1, j-1 {
			chunk[i], chunk[j] = chunk[j], chunk[i]
		}
		return chunk, nil
	})
	while(func(ctx context.Context, app cocaine.App) {
		app = app.With(cocaine.CallOptions{ContentType: cocaine.ContentBytes})
		text, err := cocaine.Invoke[string](ctx, app, "reverse", "\xc1 no msgpack")
		fmt.Printf("%q %v\n", text, err)
	})
	// Output: "kcapgsm on \xc1" <nil>
}

// A stream as an io.Reader and an io.Writer: here the lines of a text, in whatever
// pieces it comes.
func ExampleStream_Reader() {
	w, while := demo()
	w.HandleStream("lines", func(ctx context.Context, s *worker.Stream) error {
		lines := bufio.NewScanner(s.Reader(ctx))
		for n := 1; lines.Scan(); n++ {
			if _, err := fmt.Fprintf(s.Writer(ctx), "%d: %s", n, lines.Text()); err != nil {
				return err
			}
		}
		return lines.Err()
	})
	while(func(ctx context.Context, app cocaine.App) {
		st, err := app.Enqueue(ctx, "lines")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer st.Close()
		for _, piece := range []string{"one\ntw", "o\nthr", "ee"} {
			if err := st.Send(ctx, []byte(piece)); err != nil {
				fmt.Println(err)
			}
		}
		if err := st.CloseSend(ctx); err != nil {
			fmt.Println(err)
		}
		for chunk, err := range st.All(ctx) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf("%s\n", chunk)
		}
	})
	// Output:
	// 1: one
	// 2: two
	// 3: three
}

// At most one report is made at a time; the others wait for it.
func ExampleLimit() {
	w, while := demo()
	working := 0 // guarded by the limit
	worker.Handle(w, "report", func(_ context.Context, name string) (int, error) {
		working++
		defer func() { working-- }()
		return working, nil
	}, worker.Limit(1))
	while(func(ctx context.Context, app cocaine.App) {
		var all []*cocaine.Future[int]
		for range 3 {
			all = append(all, cocaine.Go(ctx, func(ctx context.Context) (int, error) {
				return cocaine.Invoke[int](ctx, app, "report", "sales")
			}))
		}
		for _, f := range all {
			n, err := f.Wait(ctx)
			fmt.Println(n, "at once,", err)
		}
	})
	// Output:
	// 1 at once, <nil>
	// 1 at once, <nil>
	// 1 at once, <nil>
}

// A handler that takes too long: its caller gets a definite error, and it learns
// why from its context.
func ExampleTimeout() {
	w, while := demo()
	worker.Handle(w, "ponder", func(ctx context.Context, _ any) (any, error) {
		<-ctx.Done()
		fmt.Println("handler:", context.Cause(ctx))
		return nil, ctx.Err()
	}, worker.Timeout(time.Millisecond))
	while(func(ctx context.Context, app cocaine.App) {
		_, err := cocaine.Invoke[any](ctx, app, "ponder", nil)
		if e, ok := errors.AsType[*cocaine.Error](err); ok {
			defer fmt.Println("caller:", e)
		}
	}) // which waits for the handler
	// Unordered output:
	// handler: handler has used up its time
	// caller: handler of event "ponder" took longer than 1ms [12, 110]
}

// What handlers need is opened before the first request and closed after the last.
func ExampleWorker_OnStart() {
	w, while := demo()
	var greeting string
	w.OnStart(func(context.Context) error {
		greeting = "hello " // read from a file, say
		return nil
	})
	w.OnStop(func(context.Context) error {
		fmt.Println("all requests are done")
		return nil
	})
	worker.Handle(w, "greet", func(_ context.Context, name string) (string, error) { return greeting + name, nil })
	while(func(ctx context.Context, app cocaine.App) {
		fmt.Println(cocaine.Invoke[string](ctx, app, "greet", "Ann"))
	})
	// Output:
	// hello Ann <nil>
	// all requests are done
}
