package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/cocaine/cocaine-go"
)

// All application names, from the node service of a runtime on this machine.
func ExampleGet() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
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
}

// A node of the coordination service, each time it changes.
func ExampleChunks() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	type versioned struct { // two results, taken by position
		Value   any
		Version int
	}
	for v, err := range cocaine.Chunks[versioned](context.Background(), client.Service("unicorn"), "subscribe", "/config") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(v.Version, v.Value)
	}
}

// One value to an app and one back.
func ExampleInvoke() {
	type person struct {
		Name string `json:"name"`
	}
	type greeting struct {
		Text string `json:"text"`
	}
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	g, err := cocaine.Invoke[greeting](context.Background(), client.Service("hello"), "greet", person{"Ann"})
	if errors.Is(err, cocaine.ErrServiceNotFound) {
		log.Fatal("the app does not run: cocaine dev examples/hello")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(g.Text)
}

// A conversation with an app.
func ExampleService_Enqueue() {
	client, err := cocaine.New(cocaine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := client.Service("echo").Enqueue(ctx, "echo")
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for _, word := range []string{"one", "two"} {
		if err := stream.Send(ctx, word); err != nil {
			log.Fatal(err)
		}
	}
	if err := stream.CloseSend(ctx); err != nil {
		log.Fatal(err)
	}
	for {
		m, err := stream.Recv(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", m.Bytes())
	}
}

func ExampleParseLocators() {
	fmt.Println(cocaine.ParseLocators("localhost, [::1]:10054"))
	// Output: [localhost:10053 [::1]:10054] <nil>
}
