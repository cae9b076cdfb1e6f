package cocaine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/cocaine/cocaine-go"
)

// What a service can do, without calling it.
func ExampleService_Methods() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	methods, err := client.Service("storage").Methods(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range methods {
		fmt.Println(m.ID, m.Name, m.Accepts, m.Replies)
	}
}

// Is the service there? Connect does nothing when the connection is up.
func ExampleService_Connect() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	node := client.Service("node")
	if err := node.Connect(ctx); err != nil {
		log.Fatal("unhealthy: ", err)
	}
	fmt.Println(node.State(), node.RemoteAddr())
}

// Waiting for an answer without taking it.
func ExampleStream_Peek() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	stream, err := client.Service("echo").Enqueue(ctx, "echo")
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	switch _, err := stream.Peek(short); {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("nothing yet; a later Recv gets it")
	case err == io.EOF:
		fmt.Println("there will be nothing")
	case err == nil:
		fmt.Println(stream.Buffered(), "messages are there")
	}
}

// A request that cannot be finished ends with an error, so that the handler does
// not take what it has got for all of it.
func ExampleStream_Fail() {
	upload := func(ctx context.Context, stream *cocaine.Stream, file io.Reader) error {
		piece := make([]byte, 64<<10)
		for {
			n, err := file.Read(piece)
			if n > 0 {
				if err := stream.Send(ctx, piece[:n]); err != nil {
					return err
				}
			}
			switch {
			case err == io.EOF:
				return stream.CloseSend(ctx)
			case err != nil:
				return stream.Fail(ctx, cocaine.Errorf(cocaine.CategoryUser, 1, "cannot read the file: %v", err))
			}
		}
	}
	_ = upload
}

// Calls that are refused, or cannot be made, are made again up to twice; as many as
// a tenth of all calls.
func ExampleRetryPolicy() {
	client, err := cocaine.New(cocaine.Options{Retry: cocaine.RetryPolicy{Attempts: 3}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	// Reading does no harm, however often: a lost connection is no reason to give up.
	reader := client.Service("storage").With(cocaine.CallOptions{Idempotent: true})
	blob, err := cocaine.Get[[]byte](context.Background(), reader, "read", "collection", "key")
	fmt.Println(len(blob), err)
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
