package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// Two loops over one stream: leaving the first leaves the rest.
func ExampleStream_All() {
	w, while := demo()
	w.HandleStream("letter", func(ctx context.Context, s *worker.Stream) error {
		headers, lines := 0, 0
		for chunk, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			if len(chunk) == 0 {
				break // the body follows
			}
			headers++
		}
		for _, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			lines++
		}
		return s.Encode(ctx, fmt.Sprint(headers, " headers, ", lines, " lines"))
	})
	while(func(ctx context.Context, app cocaine.App) {
		stream, err := app.Enqueue(ctx, "letter")
		if err != nil {
			log.Fatal(err)
		}
		defer stream.Close()
		for _, line := range []string{"To: Ann", "From: Bob", "", "Hello,", "how are you?", "Bob"} {
			if err := stream.Send(ctx, []byte(line)); err != nil {
				log.Fatal(err)
			}
		}
		if err := stream.CloseSend(ctx); err != nil {
			log.Fatal(err)
		}
		var text string
		err = stream.Decode(ctx, &text)
		fmt.Println(text, err)
	})
	// Output: 2 headers, 3 lines <nil>
}

// A look at the first chunk decides who gets the stream, with that chunk still in it.
func ExampleStream_Peek() {
	w, while := demo()
	text := worker.Raw(func(_ context.Context, chunk []byte) ([]byte, error) { return bytes.ToUpper(chunk), nil })
	image := worker.Raw(func(_ context.Context, chunk []byte) ([]byte, error) {
		return fmt.Appendf(nil, "an image of %d bytes", len(chunk)), nil
	})
	w.HandleStream("show", func(ctx context.Context, s *worker.Stream) error {
		chunk, err := s.Peek(ctx)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(chunk, []byte("\x89PNG")) {
			return image.Serve(ctx, s)
		}
		return text.Serve(ctx, s)
	})
	while(func(ctx context.Context, app cocaine.App) {
		app = app.With(cocaine.CallOptions{ContentType: cocaine.ContentBytes})
		for _, what := range []string{"hello", "\x89PNG\r\n\x1a\n"} {
			fmt.Println(cocaine.Invoke[string](ctx, app, "show", what))
		}
	})
	// Output:
	// HELLO <nil>
	// an image of 8 bytes <nil>
}

// A handler that passes a conversation on to another app, both ways at a time. It
// speaks the same language at either end.
func ExampleWorker_HandleStream_relay() {
	w, while := demo()
	w.HandleStream("shout", func(ctx context.Context, s *worker.Stream) error {
		for chunk, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			if err := s.Send(ctx, bytes.ToUpper(chunk)); err != nil {
				return err
			}
		}
		return nil
	})
	w.HandleStream("relay", func(ctx context.Context, s *worker.Stream) error {
		client, err := w.Client()
		if err != nil {
			return err
		}
		other, err := client.App("demo").Enqueue(ctx, "shout")
		if err != nil {
			return err
		}
		defer other.Close()
		there := cocaine.Go(ctx, func(ctx context.Context) (struct{}, error) {
			_, err := io.Copy(other.Writer(ctx), s.Reader(ctx))
			if err != nil {
				return struct{}{}, other.Fail(ctx, err)
			}
			return struct{}{}, other.CloseSend(ctx)
		})
		if _, err := io.Copy(s.Writer(ctx), other.Reader(ctx)); err != nil {
			return err
		}
		_, err = there.Wait(ctx)
		return err
	})
	while(func(ctx context.Context, app cocaine.App) {
		stream, err := app.Enqueue(ctx, "relay")
		if err != nil {
			log.Fatal(err)
		}
		defer stream.Close()
		if _, err := io.Copy(stream.Writer(ctx), strings.NewReader("one conversation, two workers")); err != nil {
			log.Fatal(err)
		}
		if err := stream.CloseSend(ctx); err != nil {
			log.Fatal(err)
		}
		answer, err := io.ReadAll(stream.Reader(ctx))
		fmt.Printf("%s %v\n", answer, err)
	})
	// Output: ONE CONVERSATION, TWO WORKERS <nil>
}
