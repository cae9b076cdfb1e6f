// Echo is an app that converses: what comes is sent back, chunk by chunk, for as
// long as the caller likes.
//
//	$ cocaine dev examples/echo
//	$ cocaine call echo ping
//	pong
//
// "echo" has a stream handler: it gets the chunks as they come and may answer at
// any time. "ping" has a typed one.
package main

import (
	"context"
	"log"

	"github.com/cocaine/cocaine-go/worker"
)

// echo sends every chunk back. The end of the caller's half ends the loop, and the
// return of the handler ends the answer. A caller that is slow to read holds Send
// up; one that goes away ends ctx.
func echo(ctx context.Context, s *worker.Stream) error {
	for chunk, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		if err := s.Send(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func ping(context.Context, any) (string, error) { return "pong", nil }

func main() {
	w, err := worker.New(worker.Options{})
	if err != nil {
		log.Fatal(err)
	}
	w.HandleStream("echo", echo)
	worker.Handle(w, "ping", ping)
	w.Main()
}
