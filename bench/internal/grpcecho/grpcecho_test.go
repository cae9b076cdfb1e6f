package grpcecho

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEcho(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	addrs := make(chan string, 1)
	wg.Go(func() {
		if err := Serve(ctx, func(addr string) { addrs <- addr }); err != nil {
			t.Error(err)
			close(addrs)
		}
	})
	addr := <-addrs
	for _, o := range []closedloop.Options{{Connections: 1, InFlight: 1}, {Connections: 2, InFlight: 50}, {Connections: 2, InFlight: 1}} {
		o.Duration = 100 * time.Millisecond
		r, err := Run(addr, o, make([]byte, 10000))
		if err != nil || r.Total < uint64(o.InFlight) {
			t.Errorf("%+v: %+v, %v", o, r, err)
		}
	}
}

func TestNoServerIsAnError(t *testing.T) {
	o := closedloop.Options{Connections: 1, InFlight: 1, Duration: time.Millisecond}
	if _, err := Run("127.0.0.1:1", o, nil); err == nil {
		t.Error("connected to nothing")
	}
}
