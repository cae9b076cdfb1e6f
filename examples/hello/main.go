// Hello is the smallest app: a worker with one event.
//
//	$ go run ./examples/hello
//	hello serves on 127.0.0.1:10053; try: cocaine call hello greet '{...}'
//	$ cocaine call hello greet '{"name":"Ann"}'
//	{"text":"hello Ann"}
//
// A runtime runs it as a pool of processes:
//
//	$ cocaine dev examples/hello
//	$ cocaine call hello greet '{"name":"Ann"}'
//	{"text":"hello Ann"}
//
// The handler is a function of one value that returns one. The same function
// serves callers that speak msgpack and callers that speak JSON.
package main

import (
	"context"
	"log"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// Person is whom to greet.
type Person struct {
	Name string `json:"name"`
}

// Greeting is what to say.
type Greeting struct {
	Text string `json:"text"`
}

func greet(_ context.Context, p Person) (Greeting, error) {
	if p.Name == "" {
		return Greeting{}, cocaine.Errorf(cocaine.CategoryUser, 1, "cannot greet: the name is empty")
	}
	return Greeting{Text: "hello " + p.Name}, nil
}

func main() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		log.Fatal(err)
	}
	worker.Handle(w, "greet", greet)
	w.Main()
}
