// Download fetches pages all at once and prints how long each took, in the order
// in which they come.
//
//	$ go run ./examples/download https://go.dev https://example.com
//	   0.108 s  https://example.com
//	   0.214 s  https://go.dev
//
// It needs no runtime: futures work with anything that takes its time.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/cocaine/cocaine-go"
)

// fetch reads a page and measures the time until it was there.
func fetch(ctx context.Context, url string) (time.Duration, error) {
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("cannot get %s: %s", url, resp.Status)
	}
	return time.Since(start), nil
}

var errSome = errors.New("cannot download all pages")

func run(ctx context.Context, urls []string, out io.Writer) error {
	pages := make([]*cocaine.Future[time.Duration], len(urls))
	for i, url := range urls {
		pages[i] = cocaine.Go(ctx, func(ctx context.Context) (time.Duration, error) { return fetch(ctx, url) })
	}
	var failed error
	for i, page := range cocaine.AsCompleted(ctx, pages...) {
		if page.Err != nil {
			fmt.Fprintf(out, "  failed    %s: %v\n", urls[i], page.Err)
			failed = errSome
			continue
		}
		fmt.Fprintf(out, "%8.3f s  %s\n", page.Value.Seconds(), urls[i])
	}
	return failed
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: download URL...")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
