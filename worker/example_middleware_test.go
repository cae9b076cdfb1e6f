package worker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/worker"
)

// logged says how every request ended.
func logged(next worker.Handler) worker.Handler {
	return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
		err := next.Serve(ctx, s)
		fmt.Printf("log: %s: %v\n", s.Event(), err)
		return err
	})
}

// timed measures how long every request took.
func timed(observe func(event string, took time.Duration)) worker.Middleware {
	return func(next worker.Handler) worker.Handler {
		return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
			start := time.Now()
			defer func() { observe(s.Event(), time.Since(start)) }()
			return next.Serve(ctx, s)
		})
	}
}

type userKey struct{}

// authorized lets pass whose token is known, and tells the handlers who it is.
func authorized(users map[string]string) worker.Middleware {
	return func(next worker.Handler) worker.Handler {
		return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
			user, ok := users[s.Headers().Get("token")]
			if !ok {
				return cocaine.Errorf(cocaine.CategoryUser, 401, "who are you?")
			}
			return next.Serve(context.WithValue(ctx, userKey{}, user), s)
		})
	}
}

// Middleware goes around handlers of every kind.
func ExampleWorker_Use() {
	w, while := demo()
	w.Use(logged, authorized(map[string]string{"s3cret": "Ann"}))
	worker.Handle(w, "greet", func(ctx context.Context, greeting string) (string, error) {
		return fmt.Sprintf("%s, %s", greeting, ctx.Value(userKey{})), nil
	})
	while(func(ctx context.Context, app cocaine.App) {
		for _, token := range []string{"s3cret", "guess"} {
			caller := app.With(cocaine.CallOptions{Headers: cocaine.Headers{{Name: "token", Value: token}}})
			text, err := cocaine.Invoke[string](ctx, caller, "greet", "hello")
			e, _ := errors.AsType[*cocaine.Error](err)
			fmt.Printf("caller: %q %v\n", text, e)
		}
	})
	// Output:
	// log: greet: <nil>
	// caller: "hello, Ann" <nil>
	// log: greet: who are you? [43, 401]
	// caller: "" who are you? [43, 401]
}

// Middleware for one event.
func ExampleWith() {
	w, while := demo()
	worker.Handle(w, "now", func(context.Context, any) (string, error) { return "noon", nil }, worker.With(
		timed(func(event string, took time.Duration) {
			fmt.Println(event, "took less than a minute:", took < time.Minute)
		}),
		logged,
	))
	while(func(ctx context.Context, app cocaine.App) {
		fmt.Println(cocaine.Invoke[string](ctx, app, "now", nil))
	})
	// Output:
	// log: now: <nil>
	// now took less than a minute: true
	// noon <nil>
}

// Middleware outside Recover sees a panic as an error.
func ExampleRecover() {
	w, while := demo()
	w.Use(func(next worker.Handler) worker.Handler {
		return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
			err := next.Serve(ctx, s)
			if e, ok := errors.AsType[*cocaine.PanicError](err); ok {
				fmt.Printf("%s panicked with %q, the stack is known: %t\n", s.Event(), e.Value, len(e.Stack) > 0)
			}
			return err
		})
	}, worker.Recover())
	worker.Handle(w, "boom", func(context.Context, any) (any, error) { panic("oh no") })
	while(func(ctx context.Context, app cocaine.App) {
		_, err := cocaine.Invoke[any](ctx, app, "boom", nil)
		e, _ := errors.AsType[*cocaine.Error](err)
		fmt.Println(e)
	})
	// Output:
	// boom panicked with "oh no", the stack is known: true
	// panic: oh no [42, 100]
}
