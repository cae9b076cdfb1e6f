package worker_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/cocaine/cocaine-go/worker"
)

// A web application behind the HTTP front. Nothing in it knows of Cocaine: the same
// mux works with http.ListenAndServe.
func ExampleHTTP() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s from %s\n", r.PathValue("name"), r.RemoteAddr)
	})
	w, err := worker.New(worker.Options{})
	if err != nil {
		log.Fatal(err)
	}
	w.HandleStream("http", worker.HTTP(mux))
	w.Main()
}

// An event that the runtime emits when a file changes.
func ExampleFileEvent() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		log.Fatal(err)
	}
	w.HandleStream("changed", worker.FileEvent(func(_ context.Context, f worker.FileInfo) error {
		log.Printf("the file has %d bytes now, written at %v", f.Size, f.Mtime)
		return nil
	}))
	w.Main()
}
