// Package sdkecho is the echo as a user of the framework writes it: package cocaine
// on the client's side, package worker on the other, and the runtime between them.
//
// There are two ways. By value is cocaine.Invoke of a typed handler of []byte: what
// most programs do. By stream is Enqueue, a chunk there, a chunk back, and both ends:
// what is left of the framework when nothing is encoded. Both are a goroutine for
// each request in flight, which all share one client, as it is meant to be.
package sdkecho

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
	"github.com/cocaine/cocaine-go/worker"
)

// Events of the worker.
const (
	Value  = "value"  // takes one []byte as msgpack and answers with it
	Stream = "stream" // answers each chunk with itself
	Each   = "each"   // value, called by one goroutine that has many calls under way
	counts = "counts" // answers with the heap allocations that the worker has made
)

// Bind binds the worker's handlers.
func Bind(w *worker.Worker) {
	worker.Handle(w, Value, func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	w.HandleStream(Stream, func(ctx context.Context, s *worker.Stream) error {
		for chunk, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, chunk); err != nil {
				return err
			}
		}
		return nil
	})
	worker.Handle(w, counts, func(context.Context, struct{}) (uint64, error) { return mallocs(), nil })
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// Allocs are heap allocations per request, of everything in the process.
type Allocs struct{ Client, Worker float64 }

// Run keeps requests in flight to an event of an app, found by a locator. Each
// connection is a client of its own.
func Run(locator, app, event string, o closedloop.Options, payload []byte) (*closedloop.Result, Allocs, error) {
	var apps []cocaine.App
	for range o.Connections {
		client, err := cocaine.New(cocaine.Options{Locators: []string{locator}})
		if err != nil {
			return nil, Allocs{}, err
		}
		defer client.Close()
		apps = append(apps, client.App(app))
	}
	call := byValue
	if event == Stream {
		call = byStream
	}
	ctx := context.Background()
	for _, a := range apps { // connects, and sees that a worker is there
		if err := patiently(ctx, a, call, payload); err != nil {
			return nil, Allocs{}, err
		}
	}
	worker, client := remote(ctx, apps[0]), mallocs()
	var r *closedloop.Result
	var err error
	if event == Each {
		r, err = closedloop.RunPipelined(o, func(conn, n int, next func() bool, done func()) error {
			return each(ctx, apps[conn], n, payload, next, done)
		})
	} else {
		r, err = closedloop.RunBlocking(o, func(conn int) error { return call(ctx, apps[conn], payload) })
	}
	if err != nil {
		return nil, Allocs{}, err
	}
	client, worker = mallocs()-client, remote(ctx, apps[0])-worker
	n := float64(r.Total)
	return r, Allocs{Client: float64(client) / n, Worker: float64(worker) / n}, nil
}

// patiently makes the first call, for which a process may have to start.
func patiently(ctx context.Context, a cocaine.App, call func(context.Context, cocaine.App, []byte) error, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return call(ctx, a, payload)
}

// remote asks the worker for its allocations. What cannot be read counts as none: it
// only costs a figure.
func remote(ctx context.Context, a cocaine.App) uint64 {
	n, err := cocaine.Invoke[uint64](ctx, a, counts, struct{}{})
	if err != nil {
		return 0
	}
	return n
}

var errOther = errors.New("an answer that is not what was sent")

func byValue(ctx context.Context, a cocaine.App, payload []byte) error {
	got, err := cocaine.Invoke[[]byte](ctx, a, Value, payload)
	if err == nil && !bytes.Equal(got, payload) {
		err = errOther
	}
	return err
}

// each makes calls as long as next wants one, n of them under way at a time, and tells
// done of each answer.
func each(ctx context.Context, a cocaine.App, n int, payload []byte, next func() bool, done func()) error {
	calls := func(yield func([]byte, error) bool) {
		for next() && yield(payload, nil) {
		}
	}
	for got, err := range cocaine.InvokeEach[[]byte](ctx, a, Value, n, calls) {
		if err == nil && !bytes.Equal(got, payload) {
			err = errOther
		}
		if err != nil {
			return err
		}
		done()
	}
	return nil
}

func byStream(ctx context.Context, a cocaine.App, payload []byte) error {
	st, err := a.Enqueue(ctx, Stream, payload)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.CloseSend(ctx); err != nil {
		return err
	}
	got, err := st.Recv(ctx)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, payload) {
		return errOther
	}
	if more, err := st.Recv(ctx); err != io.EOF {
		return fmt.Errorf("after the answer came %q, %w", more, err)
	}
	return nil
}
