package cocaine_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go"
)

// A program whose log goes to the runtime's logging service.
func ExampleNewLogHandler() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	handler := cocaine.NewLogHandler(client, cocaine.LogHandlerOptions{Source: "app/shop", Level: slog.LevelInfo})
	slog.SetDefault(slog.New(handler))
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := handler.Close(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()

	slog.Info("order taken", "order", 17, slog.Group("customer", "name", "Ann"))
}

// While there is no service the records go to the fallback.
func ExampleLogHandler() {
	client, err := cocaine.New(cocaine.Options{Locators: []string{"127.0.0.1:1"}}) // nobody is there
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var lines strings.Builder
	handler := cocaine.NewLogHandler(client, cocaine.LogHandlerOptions{Fallback: &lines})
	logger := slog.New(handler)
	logger.Info("order taken", "order", 17, slog.Group("customer", "name", "Ann"))
	logger.WithGroup("stock").Warn("low", "left", 2)
	if err := handler.Close(context.Background()); err != nil { // waits for the goroutine that writes
		log.Fatal(err)
	}
	for line := range strings.Lines(lines.String()) {
		if _, line, _ = strings.Cut(line, " "); !strings.Contains(line, "away") { // without the time
			io.WriteString(os.Stdout, line)
		}
	}
	fmt.Println(handler.Dropped(), "dropped")
	// Output:
	// level=INFO msg="order taken" order=17 customer.name=Ann
	// level=WARN msg=low stock.left=2
	// 0 dropped
}
