package worker_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// An app of one event. In a program worker.New makes w, and w.Main() is the last
// line: the runtime starts the program; started by hand it serves by itself, and
// says so.
func ExampleHandle() {
	type person struct {
		Name string `json:"name"`
	}
	type greeting struct {
		Text string `json:"text"`
	}
	w, while := demo()
	worker.Handle(w, "greet", func(ctx context.Context, p person) (greeting, error) {
		if p.Name == "" { // the caller gets this code; any other error is [42, 100]
			return greeting{}, cocaine.Errorf(cocaine.CategoryUser, 1, "cannot greet: the name is empty")
		}
		return greeting{Text: "hello " + p.Name}, nil
	})
	while(func(ctx context.Context, app cocaine.App) {
		fmt.Println(cocaine.Invoke[greeting](ctx, app, "greet", person{"Ann"}))
		_, err := cocaine.Invoke[greeting](ctx, app, "greet", person{})
		fmt.Println(err)
	})
	// Output:
	// {hello Ann} <nil>
	// cannot call demo.greet: cannot greet: the name is empty [43, 1]
}

// A handler that answers each chunk as it comes.
func ExampleWorker_HandleStream() {
	w, while := demo()
	w.HandleStream("shout", func(ctx context.Context, s *worker.Stream) error {
		for chunk, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, []byte(strings.ToUpper(string(chunk)))); err != nil {
				return err
			}
		}
		return nil
	})
	while(func(ctx context.Context, app cocaine.App) {
		stream, err := app.Enqueue(ctx, "shout")
		if err != nil {
			log.Fatal(err)
		}
		defer stream.Close()
		for _, word := range []string{"one", "two"} {
			if err := stream.Send(ctx, []byte(word)); err != nil {
				log.Fatal(err)
			}
			chunk, err := stream.Recv(ctx)
			fmt.Printf("%s %v\n", chunk, err)
		}
	})
	// Output:
	// ONE <nil>
	// TWO <nil>
}

// Values, one a chunk, as a typed caller takes them.
func ExampleStream_Encode() {
	type line struct {
		Number int    `json:"number"`
		Text   string `json:"text"`
	}
	w, while := demo()
	w.HandleStream("lines", func(ctx context.Context, s *worker.Stream) error {
		var text string
		if err := s.Decode(ctx, &text); err != nil {
			return err
		}
		for i, l := range strings.Split(text, "\n") {
			if err := s.Encode(ctx, line{i + 1, l}); err != nil {
				return err
			}
		}
		return nil
	})
	while(func(ctx context.Context, app cocaine.App) {
		text, err := cocaine.Encode("first\nsecond")
		if err != nil {
			log.Fatal(err)
		}
		stream, err := app.Enqueue(ctx, "lines")
		if err != nil {
			log.Fatal(err)
		}
		defer stream.Close()
		if err := stream.Send(ctx, []byte(text)); err != nil {
			log.Fatal(err)
		}
		for chunk, err := range stream.All(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			var l line
			if err := cocaine.Raw(chunk).Decode(&l); err != nil {
				log.Fatal(err)
			}
			fmt.Println(l.Number, l.Text)
		}
	})
	// Output:
	// 1 first
	// 2 second
}

// A handler of bytes, which come from and go to anything that reads and writes.
func ExampleStream_Writer() {
	w, while := demo()
	w.HandleStream("count", func(ctx context.Context, s *worker.Stream) error {
		n, err := io.Copy(io.Discard, s.Reader(ctx))
		fmt.Fprintf(s.Writer(ctx), "%d bytes", n)
		return err
	})
	while(func(ctx context.Context, app cocaine.App) {
		stream, err := app.Enqueue(ctx, "count")
		if err != nil {
			log.Fatal(err)
		}
		defer stream.Close()
		for _, chunk := range []string{"four", "and nine"} {
			if err := stream.Send(ctx, []byte(chunk)); err != nil {
				log.Fatal(err)
			}
		}
		if err := stream.CloseSend(ctx); err != nil {
			log.Fatal(err)
		}
		chunk, err := stream.Recv(ctx)
		fmt.Printf("%s %v\n", chunk, err)
	})
	// Output: 12 bytes <nil>
}

// A handler that calls a service. The call has the deadline and the trace of the
// request, because it has its context.
func ExampleWorker_Client() {
	w, while := demo()
	client, err := w.Client()
	if err != nil {
		log.Fatal(err)
	}
	worker.Handle(w, "page", func(ctx context.Context, name string) ([]byte, error) {
		page, err := client.Storage().Read(ctx, "pages", name)
		if err != nil {
			return nil, fmt.Errorf("cannot show page %q: %w", name, err)
		}
		return page, nil
	})
	while(func(ctx context.Context, app cocaine.App) { // without a runtime, so there is no storage
		_, err := cocaine.Invoke[[]byte](ctx, app, "page", "front")
		fmt.Println(err)
	})
	// Output: cannot call demo.page: cannot show page "front": cannot call storage.read: cannot resolve service "storage": nobody serves it [10, 1] [42, 100]
}
