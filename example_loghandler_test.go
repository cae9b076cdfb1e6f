package cocaine_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
)

// A program whose log goes to the runtime's logging service.
func ExampleNewLogHandler() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Service("logging", cocainetest.Methods{
			"verbosity": cocainetest.Answer(cocaine.SeverityInfo),
			"emit": cocainetest.Mute(func(_ context.Context, c *cocainetest.Call) error {
				var severity cocaine.Severity
				var source, message string
				var attrs any
				err := c.Bind(&severity, &source, &message, &attrs)
				fmt.Println(severity, source, message, attrs)
				return err
			}),
		})
	})
	defer stop()

	ctx := context.Background()
	handler := cocaine.NewLogHandler(client, cocaine.LogHandlerOptions{Source: "app/shop"})
	logger := slog.New(handler) // or slog.SetDefault
	logger.Info("order taken", "order", 17, slog.Group("customer", "name", "Ann"))
	if err := handler.Close(ctx); err != nil { // sends what is queued
		fmt.Fprintln(os.Stderr, err)
	}
	// Output: info app/shop order taken [[order 17] [customer.name Ann]]
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
