package cocaine_test

import (
	"context"
	"crypto/tls"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"testing/iotest"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// What a service can do, without calling it.
func ExampleService_Methods() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Service("storage", cocainetest.Storage())
	})
	defer stop()

	methods, err := client.Service("storage").Methods(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range methods {
		fmt.Println(m.ID, m.Name, m.Accepts, m.Replies)
	}
	// Output:
	// 0 read [] [value error]
	// 1 write [] [value error]
	// 2 remove [] [value error]
	// 3 find [] [value error]
}

// Is the service there? Connect does nothing when the connection is up.
func ExampleService_Connect() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Service("node", nil)
	})
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	node := client.Service("node")
	fmt.Println(node.State())
	if err := node.Connect(ctx); err != nil {
		log.Fatal("unhealthy: ", err)
	}
	fmt.Println(node.State())
	// Output:
	// idle
	// connected
}

// Waiting for an answer without taking it.
func ExampleAppStream_Peek() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("echo", func(w *worker.Worker) {
			w.HandleRaw("echo", func(_ context.Context, chunk []byte) ([]byte, error) { return chunk, nil })
		})
	})
	defer stop()

	ctx := context.Background()
	stream, err := client.App("echo").Enqueue(ctx, "echo")
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = stream.Peek(short)
	fmt.Println("nothing yet:", errors.Is(err, context.DeadlineExceeded))

	if err := stream.Send(ctx, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	chunk, err := stream.Peek(ctx)
	fmt.Printf("it will be %s, %v; there is %d\n", chunk, err, stream.Buffered())
	chunk, err = stream.Recv(ctx)
	fmt.Printf("it was %s, %v\n", chunk, err)
	// Output:
	// nothing yet: true
	// it will be hello, <nil>; there is 1
	// it was hello, <nil>
}

// A conversation in values: each is a chunk, in the format that the content type of
// the handle names.
func ExampleAppStream_Decode() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("sum", func(w *worker.Worker) {
			w.HandleStream("running", func(ctx context.Context, s *worker.Stream) error {
				sum, n := 0, 0
				for {
					if err := s.Decode(ctx, &n); err == io.EOF {
						return nil
					} else if err != nil {
						return err
					}
					sum += n
					if err := s.Encode(ctx, sum); err != nil {
						return err
					}
				}
			})
		})
	})
	defer stop()

	ctx := context.Background()
	stream, err := client.App("sum").With(cocaine.CallOptions{ContentType: cocaine.ContentJSON}).Enqueue(ctx, "running")
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for _, n := range []int{2, 3, 5} {
		if err := stream.Encode(ctx, n); err != nil {
			log.Fatal(err)
		}
		var sum int
		if err := stream.Decode(ctx, &sum); err != nil {
			log.Fatal(err)
		}
		fmt.Println(sum)
	}
	// Output:
	// 2
	// 5
	// 10
}

// A request that cannot be finished ends with an error, so that the handler does
// not take what it has got for all of it.
func ExampleAppStream_Fail() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("disk", func(w *worker.Worker) {
			w.HandleStream("keep", func(ctx context.Context, s *worker.Stream) error {
				_, err := io.Copy(io.Discard, s.Reader(ctx))
				fmt.Println("handler:", err)
				return err
			})
		})
	})
	defer stop()

	ctx := context.Background()
	upload := func(file io.Reader) error {
		stream, err := client.App("disk").Enqueue(ctx, "keep")
		if err != nil {
			return err
		}
		defer stream.Close()
		for piece := make([]byte, 64<<10); ; {
			n, err := file.Read(piece)
			if n > 0 {
				if err := stream.Send(ctx, piece[:n]); err != nil {
					return err
				}
			}
			if err == io.EOF {
				err = stream.CloseSend(ctx)
			} else if err != nil {
				err = stream.Fail(ctx, cocaine.Errorf(cocaine.CategoryUser, 1, "cannot read the file: %v", err))
			} else {
				continue
			}
			if err != nil {
				return err
			}
			_, err = stream.Recv(ctx)
			return err
		}
	}
	err := upload(io.MultiReader(strings.NewReader("the first half"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	fmt.Println("caller: ", err)
	// Output:
	// handler: caller ended the request: cannot read the file: unexpected EOF [43, 1]
	// caller:  cannot call disk.keep: cannot read the file: unexpected EOF [43, 1]
}

// Calls that cannot be made are made again, up to twice here; a handle for reading
// repeats those too whose connection was lost, because reading twice does no harm.
func ExampleRetryPolicy() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		var s *cocainetest.Service
		calls := 0
		s = rt.Service("storage", cocainetest.Methods{
			"read": cocainetest.Func(func(context.Context, *cocainetest.Call) (any, error) {
				if calls++; calls < 3 {
					s.Drop() // the connection, twice
				}
				return "contents", nil
			}),
		})
	})
	defer stop()

	reader := client.Service("storage").With(cocaine.CallOptions{
		Idempotent: true,
		Retry:      &cocaine.RetryPolicy{Attempts: 3},
	})
	fmt.Println(cocaine.Get[string](context.Background(), reader, "read", "collection", "key"))
	// Output: contents <nil>
}

// TLS, or any other way of making connections.
func ExampleOptions_tls() {
	client, err := cocaine.New(cocaine.Options{
		Locators: []string{"cocaine.example.org:10053"},
		Dial:     (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13}}).DialContext,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Service("node").State()) // nothing has been dialled
	// Output: idle
}

// Which of the many things that can go wrong did.
func ExampleCallError() {
	err := error(&cocaine.CallError{Service: "storage", Method: "read", Err: cocaine.ErrNotFound})
	fmt.Println(err)
	var call *cocaine.CallError
	switch {
	case errors.Is(err, cocaine.ErrNotFound):
		fmt.Println("there is no such key")
	case errors.Is(err, cocaine.ErrDisconnected):
		fmt.Println("it may have been carried out")
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("too late")
	}
	if errors.As(err, &call) {
		fmt.Println(call.Service, call.Method)
	}
	// Output:
	// cannot call storage.read: not found [12, 2]
	// there is no such key
	// storage read
}

// A request that came over HTTP goes on under the same trace.
func ExampleParseTraceparent() {
	trace, err := cocaine.ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if err != nil {
		log.Fatal(err)
	}
	ctx := cocaine.WithTrace(context.Background(), trace) // calls made with ctx are spans below it
	fmt.Printf("%x %x\n", cocaine.TraceOf(ctx).ID, cocaine.TraceOf(ctx).Span)
	fmt.Println(trace.Traceparent())
	// Output:
	// a3ce929d0e0e4736 f067aa0ba902b7
	// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
}

// A conversation as bytes: a file goes out, whatever its size, and what comes back is
// read like any other.
func ExampleAppStream_Writer() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("echo", func(w *worker.Worker) {
			w.HandleStream("echo", func(ctx context.Context, s *worker.Stream) error {
				_, err := io.Copy(s.Writer(ctx), s.Reader(ctx))
				return err
			})
		})
	})
	defer stop()
	ctx := context.Background()
	stream, err := client.App("echo").Enqueue(ctx, "echo")
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	file := strings.NewReader("name,age\nAnn,41\nBob,17\n")
	if _, err := io.Copy(stream.Writer(ctx), file); err != nil {
		log.Fatal(err)
	}
	if err := stream.CloseSend(ctx); err != nil {
		log.Fatal(err)
	}
	rows, err := csv.NewReader(stream.Reader(ctx)).ReadAll()
	fmt.Println(rows, err)
	// Output: [[name age] [Ann 41] [Bob 17]] <nil>
}
