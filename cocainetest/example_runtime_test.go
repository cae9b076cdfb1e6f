package cocainetest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/cocainetest"
	"github.com/cocaine/cocaine-go/worker"
)

// asTest runs the body of a test, as go test would.
func asTest(body func(t testing.TB)) {
	t := &exampleT{}
	defer func() {
		for _, f := range t.cleanups {
			f()
		}
	}()
	body(t)
}

type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                      {}
func (t *exampleT) Failed() bool                 { return false }
func (t *exampleT) Logf(string, ...any)          {}
func (t *exampleT) Cleanup(f func())             { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Context() context.Context     { return context.Background() }
func (t *exampleT) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (t *exampleT) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// A test of a worker that asks a service: the worker is real, the service is
// scripted, and there are no processes and no ports.
func ExampleNewRuntime() {
	asTest(func(t testing.TB) { // func TestGreet(t *testing.T) {
		rt := cocainetest.NewRuntime(t)
		rt.Service("storage", cocainetest.Methods{
			"read": cocainetest.Answer("Ann"),
		})
		rt.Worker("hello", func(w *worker.Worker) {
			client, err := w.Client()
			if err != nil {
				t.Fatal(err)
			}
			worker.Handle(w, "greet", func(ctx context.Context, key string) (string, error) {
				name, err := client.Storage().Read(ctx, "names", key)
				return "hello " + string(name), err
			})
		})

		text, err := cocaine.Invoke[string](t.Context(), rt.Client().App("hello"), "greet", "first")
		fmt.Println(text, err)
	})
	// Output: hello Ann <nil>
}

// A service of the test's own. Its methods are found by name, as those of any.
func ExampleRuntime_Service() {
	asTest(func(t testing.TB) {
		rt := cocainetest.NewRuntime(t)
		calc := rt.Service("calc", cocainetest.Methods{
			"add": cocainetest.Func(func(_ context.Context, c *cocainetest.Call) (any, error) {
				var a, b int
				err := c.Bind(&a, &b)
				return a + b, err
			}),
			"divide": cocainetest.Fail(cocaine.Errorf(cocaine.CategoryUser, 1, "not today")),
			"count":  cocainetest.Stream(1, 2, 3, cocainetest.Every(time.Millisecond)),
		})
		ctx, svc := t.Context(), rt.Client().Service("calc")

		fmt.Println(cocaine.Get[int](ctx, svc, "add", 2, 3))
		fmt.Println(cocaine.Exec(ctx, svc, "divide", 1, 0))
		fmt.Println(cocaine.Collect(cocaine.Chunks[int](ctx, svc, "count")))
		fmt.Println(len(calc.Calls()), "calls")
	})
	// Output:
	// 5 <nil>
	// cannot call calc.divide: not today [43, 1]
	// [1 2 3] <nil>
	// 3 calls
}

// What a client does when a service goes away.
func ExampleService_Down() {
	asTest(func(t testing.TB) {
		rt := cocainetest.NewRuntime(t)
		s := rt.Service("calc", cocainetest.Methods{"hang": cocainetest.Hang(), "one": cocainetest.Answer(1)})
		calc := rt.Client().Service("calc")

		call := cocaine.Go(t.Context(), func(ctx context.Context) (int, error) { return cocaine.Get[int](ctx, calc, "hang") })
		_, _ = rt.WaitFrame(t.Context(), func(f cocainetest.Frame) bool { return f.Name == "hang" })
		s.Down()
		_, err := call.Wait(t.Context())
		fmt.Println(errors.Is(err, cocaine.ErrDisconnected))

		s.Up()
		fmt.Println(cocaine.Get[int](t.Context(), calc, "one"))
	})
	// Output:
	// true
	// 1 <nil>
}

// Faults happen to the connections that are made after they were set.
func ExampleService_SetFaults() {
	asTest(func(t testing.TB) {
		rt := cocainetest.NewRuntime(t)
		s := rt.Service("calc", cocainetest.Methods{"one": cocainetest.Answer(1)})
		s.SetFaults(cocainetest.CutAfter(2)) // no answer is that short

		_, err := cocaine.Get[int](t.Context(), rt.Client().Service("calc"), "one")
		fmt.Println(errors.Is(err, cocaine.ErrDisconnected))
	})
	// Output: true
}

// A worker that crashes costs the requests that it has. What waits goes to the next
// one.
func ExampleWorker_Kill() {
	asTest(func(t testing.TB) {
		rt := cocainetest.NewRuntime(t)
		w := rt.Worker("hello", func(w *worker.Worker) {
			worker.Handle(w, "greet", func(ctx context.Context, name string) (string, error) {
				<-ctx.Done()
				return "", ctx.Err()
			})
		})
		hello := rt.Client().App("hello")
		greet := func(ctx context.Context) (string, error) { return cocaine.Invoke[string](ctx, hello, "greet", "Ann") }

		call := cocaine.Go(t.Context(), greet)
		_, _ = rt.WaitFrame(t.Context(), func(f cocainetest.Frame) bool { return f.Name == "invoke" })
		w.Kill()
		_, err := call.Wait(t.Context())
		fmt.Println(err)

		call = cocaine.Go(t.Context(), greet) // waits
		rt.Worker("hello", func(w *worker.Worker) {
			worker.Handle(w, "greet", func(_ context.Context, name string) (string, error) { return "hello " + name, nil })
		})
		fmt.Println(call.Wait(t.Context()))
	})
	// Output:
	// cannot call hello.greet: slave has been discarded [2, 104]
	// hello Ann <nil>
}

// What was on the wire. A test that fails logs it by itself.
func ExampleRuntime_Dump() {
	asTest(func(t testing.TB) {
		rt := cocainetest.NewRuntime(t)
		rt.ServiceLike("names", "storage", cocainetest.Methods{"find": cocainetest.Answer([]string{"ann", "zoe"})})
		ctx := t.Context()
		_ = cocaine.Exec(ctx, rt.Client().Service("names"), "find", "people", []string{"all"})
		_, _ = rt.WaitFrame(ctx, func(f cocainetest.Frame) bool { return f.From == "names" })
		for _, f := range rt.Frames() {
			if f.Conn == 2 {
				fmt.Fprintln(os.Stdout, f)
			}
		}
	})
	// Output:
	// #2 client → names: 1 find(3) ["people", ["all"]]
	// #2 names → client: 1 value(0) [["ann", "zoe"]]
}

// A stream without a service, for what ranges over any.
func ExampleItems() {
	s := cocainetest.Stream("a", errors.New("boom"), "c", cocainetest.Every(time.Millisecond))
	for v, err := range cocainetest.Items[string](context.Background(), s) {
		fmt.Printf("%q %v\n", v, err)
	}
	// Output:
	// "a" <nil>
	// "" boom
	// "c" <nil>
}
