package natsecho

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
)

// No leak check: the embedded server's own goroutines end after its shutdown.
func TestEcho(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	urls, ready := make(chan string, 1), make(chan struct{})
	wg.Go(func() {
		if err := Serve(ctx, func(url string) { urls <- url }); err != nil {
			t.Error(err)
			close(urls)
		}
	})
	url := <-urls
	wg.Go(func() {
		if err := Work(ctx, url, func() { close(ready) }); err != nil {
			t.Error(err)
		}
	})
	<-ready
	for _, o := range []closedloop.Options{{Connections: 1, InFlight: 1}, {Connections: 2, InFlight: 50}, {Connections: 2, InFlight: 1}} {
		o.Duration = 100 * time.Millisecond
		for name, run := range map[string]func(string, closedloop.Options, []byte) (*closedloop.Result, error){"Run": Run, "RunRequests": RunRequests} {
			r, err := run(url, o, []byte("payload"))
			if err != nil || r.Total < uint64(o.InFlight) {
				t.Errorf("%s %+v: %+v, %v", name, o, r, err)
			}
		}
	}
}

func TestNoServerIsAnError(t *testing.T) {
	o := closedloop.Options{Connections: 1, InFlight: 1, Duration: time.Millisecond}
	if _, err := Run("nats://127.0.0.1:1", o, nil); err == nil {
		t.Error("connected to nothing")
	}
}
