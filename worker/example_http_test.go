package worker_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// A web application behind an HTTP front. Nothing in it knows of Cocaine: the same
// mux works with http.ListenAndServe. What calls it here is what the front does:
// one packed chunk with the request; one with status and headers, then the body.
func ExampleHTTP() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s\n", r.PathValue("name"))
	})
	w, while := demo()
	w.HandleStream("http", worker.HTTP(mux))
	while(func(ctx context.Context, app cocaine.App) {
		request, err := cocaine.Encode([]any{"GET", "/users/ann", "1.1", [][]string{{"Host", "example.org"}}, ""})
		if err != nil {
			log.Fatal(err)
		}
		stream, err := app.Enqueue(ctx, "http")
		if err != nil {
			log.Fatal(err)
		}
		defer stream.Close()
		if err := stream.Send(ctx, []byte(request)); err != nil {
			log.Fatal(err)
		}
		head, err := stream.Recv(ctx)
		if err != nil {
			log.Fatal(err)
		}
		var response struct { // by position
			Status int
			Header [][2]string
		}
		if err := cocaine.Raw(head).Decode(&response); err != nil {
			log.Fatal(err)
		}
		fmt.Println(response.Status, response.Header)
		body, err := stream.Recv(ctx)
		fmt.Printf("%s%v\n", body, err)
	})
	// Output:
	// 200 [[Content-Length 10] [Content-Type text/plain; charset=utf-8]]
	// hello ann
	// <nil>
}

// An event that the runtime emits when a file changes.
func ExampleFileEvent() {
	w, while := demo()
	w.HandleStream("changed", worker.FileEvent(func(_ context.Context, f worker.FileInfo) error {
		fmt.Printf("%v, %d bytes, written at %v\n", f.FileMode(), f.Size, f.Mtime.UTC().Format(time.DateTime))
		return nil
	}))
	while(func(ctx context.Context, app cocaine.App) {
		// mode, inode, device, links, user, group, size, times of access, modification and change
		stat := []int64{0o100644, 4711, 2049, 1, 1000, 1000, 512, 0, 1_600_000_000, 0}
		if _, err := cocaine.Invoke[any](ctx, app, "changed", stat); err != nil {
			fmt.Println("answer:", err) // it has none
		}
	})
	// Output:
	// -rw-r--r--, 512 bytes, written at 2020-09-13 12:26:40
	// answer: cannot call demo.changed: EOF
}
