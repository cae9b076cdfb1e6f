package worker_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// An app of one event. The runtime starts the program; started by hand it serves
// by itself, and says so.
func ExampleHandle() {
	type person struct {
		Name string `json:"name"`
	}
	type greeting struct {
		Text string `json:"text"`
	}
	w, err := worker.New(worker.Options{})
	if err != nil {
		log.Fatal(err)
	}
	worker.Handle(w, "greet", func(ctx context.Context, p person) (greeting, error) {
		if p.Name == "" { // the caller gets this code; any other error is [42, 100]
			return greeting{}, cocaine.Errorf(cocaine.CategoryUser, 1, "cannot greet: the name is empty")
		}
		return greeting{Text: "hello " + p.Name}, nil
	})
	w.Main()
}

// A handler that answers each chunk as it comes.
func ExampleWorker_HandleStream() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		log.Fatal(err)
	}
	w.HandleStream("shout", func(ctx context.Context, s *worker.Stream) error {
		for chunk, err := range s.Chunks(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, []byte(strings.ToUpper(string(chunk)))); err != nil {
				return err
			}
		}
		return nil
	})
	w.Main()
}

// A handler that calls a service. The call has the deadline and the trace of the
// request, because it has its context.
func ExampleWorker_Client() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		log.Fatal(err)
	}
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
	w.Main()
}
