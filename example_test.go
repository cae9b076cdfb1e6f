package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// A client of whatever runtime there is on this machine. Nothing is dialled before
// the first call.
func ExampleNew() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Service("node").State())
	// Output: idle
}

// All application names, from the node service, if it answers within a second.
func ExampleGet() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Service("node", cocainetest.Methods{"list": cocainetest.Answer([]string{"echo", "hello"})})
	})
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	apps, err := cocaine.Get[[]string](ctx, client.Service("node"), "list")
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		log.Fatal("the node did not answer within a second")
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(apps)
	// Output: [echo hello]
}

// The first program of every tutorial: which apps are there? The same by name and
// by typed client.
func ExampleService_list() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Service("node", cocainetest.Methods{"list": cocainetest.Answer([]string{"echo", "hello"})})
	})
	defer stop()

	ctx := context.Background()
	fmt.Println(cocaine.Get[[]string](ctx, client.Service("node"), "list"))
	fmt.Println(client.Node().List(ctx))
	// Output:
	// [echo hello] <nil>
	// [echo hello] <nil>
}

// A method with nothing to tell but that it has worked.
func ExampleExec() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Service("storage", cocainetest.Storage())
	})
	defer stop()

	ctx, storage := context.Background(), client.Service("storage")
	fmt.Println(cocaine.Exec(ctx, storage, "write", "pages", "front", []byte("hello"), []string{"public"}))
	fmt.Println(cocaine.Get[string](ctx, storage, "read", "pages", "front"))
	fmt.Println(cocaine.Exec(ctx, storage, "rename", "front", "back"))
	// Output:
	// <nil>
	// hello <nil>
	// cannot call storage.rename: service has no such method
}

// A node of the coordination service, each time it changes. Several results of one
// answer fill a struct by position.
func ExampleChunks() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Service("unicorn", cocainetest.Methods{
			"subscribe": cocainetest.StreamFunc(func(ctx context.Context, _ *cocainetest.Call, ch *cocainetest.Channel) error {
				for version := range 100 {
					if err := ch.Send(ctx, []any{10 * version, version}); err != nil {
						return err
					}
				}
				return nil
			}),
		})
	})
	defer stop()

	type versioned struct{ Value, Version int }
	for v, err := range cocaine.Chunks[versioned](context.Background(), client.Service("unicorn"), "subscribe", "/limit") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(v.Value, "at version", v.Version)
		if v.Version == 2 {
			break // and the service is told
		}
	}
	// Output:
	// 0 at version 0
	// 10 at version 1
	// 20 at version 2
}

// One value to an app and one back.
func ExampleInvoke() {
	type person struct {
		Name string `json:"name"`
	}
	type greeting struct {
		Text string `json:"text"`
	}
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("hello", func(w *worker.Worker) {
			worker.Handle(w, "greet", func(_ context.Context, p person) (greeting, error) {
				return greeting{"hello " + p.Name}, nil
			})
		})
	})
	defer stop()

	ctx := context.Background()
	g, err := cocaine.Invoke[greeting](ctx, client.App("hello"), "greet", person{"Ann"})
	fmt.Println(g.Text, err)

	_, err = cocaine.Invoke[greeting](ctx, client.App("goodbye"), "greet", person{"Ann"})
	fmt.Println("nobody serves it:", errors.Is(err, cocaine.ErrServiceNotFound))
	// Output:
	// hello Ann <nil>
	// nobody serves it: true
}

// One value to an app and many back.
func ExampleInvokeStream() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("numbers", func(w *worker.Worker) {
			w.HandleStream("squares", func(ctx context.Context, s *worker.Stream) error {
				var n int
				if err := s.Decode(ctx, &n); err != nil {
					return err
				}
				for i := range n {
					if err := s.Encode(ctx, i*i); err != nil { // waits for a slow caller
						return err
					}
				}
				return nil
			})
		})
	})
	defer stop()

	for square, err := range cocaine.InvokeStream[int](context.Background(), client.App("numbers"), "squares", 4) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(square)
	}
	// Output:
	// 0
	// 1
	// 4
	// 9
}

// A conversation with an app: a chunk there, a chunk back.
func ExampleApp_Enqueue() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("crowd", func(w *worker.Worker) {
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
		})
	})
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := client.App("crowd").Enqueue(ctx, "shout")
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for _, word := range []string{"one", "two"} {
		if err := stream.Send(ctx, []byte(word)); err != nil {
			log.Fatal(err)
		}
		chunk, err := stream.Recv(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", chunk)
	}
	if err := stream.CloseSend(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = stream.Recv(ctx)
	fmt.Println(err == io.EOF)
	// Output:
	// ONE
	// TWO
	// true
}

// Errors of a service have a category and a code.
func ExampleError() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("shop", func(w *worker.Worker) {
			worker.Handle(w, "buy", func(_ context.Context, what string) (string, error) {
				return "", cocaine.Errorf(cocaine.CategoryUser, 7, "%s is sold out", what)
			})
		})
	})
	defer stop()

	_, err := cocaine.Invoke[string](context.Background(), client.App("shop"), "buy", "milk")
	fmt.Println(err)
	if e, ok := errors.AsType[*cocaine.Error](err); ok && e.Category == cocaine.CategoryUser {
		fmt.Println(e.Code, e.Message)
	}
	// Output:
	// cannot call shop.buy: milk is sold out [43, 7]
	// 7 milk is sold out
}

// A call's headers, its content type and more belong to a handle.
func ExampleApp_With() {
	client, stop := withRuntime(func(rt *cocainetest.Runtime) {
		rt.Worker("hello", func(w *worker.Worker) {
			worker.Handle(w, "who", func(ctx context.Context, _ any) (string, error) {
				return worker.Headers(ctx).Get("user") + " speaks " + worker.Headers(ctx).Get("content-type"), nil
			})
		})
	})
	defer stop()

	ann := client.App("hello").With(cocaine.CallOptions{
		Headers:     cocaine.Headers{{Name: "user", Value: "ann"}},
		ContentType: cocaine.ContentJSON,
	})
	fmt.Println(cocaine.Invoke[string](context.Background(), ann, "who", nil))
	// Output: ann speaks application/json <nil>
}

func ExampleParseLocators() {
	fmt.Println(cocaine.ParseLocators("localhost, [::1]:10054"))
	// Output: [localhost:10053 [::1]:10054] <nil>
}
