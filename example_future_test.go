package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cocaine/cocaine-go"
)

// A function is started, other work goes on, and its result is waited for where it
// is needed.
func ExampleGo() {
	ctx := context.Background()
	sum := cocaine.Go(ctx, func(context.Context) (int, error) { return 1 + 2, nil })
	// ... something else meanwhile ...
	fmt.Println(sum.Wait(ctx))
	// Output: 3 <nil>
}

// A limit on how many run at once is that of the group that they run in.
func ExampleGo_limit() {
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(2)
	sizes := make([]int, 3)
	for i, name := range []string{"a", "bb", "ccc"} {
		g.Go(func() (err error) {
			size := cocaine.Go(ctx, func(context.Context) (int, error) { return len(name), nil })
			sizes[i], err = size.Wait(ctx) // a panic has become an error
			return err
		})
	}
	fmt.Println(g.Wait(), sizes)
	// Output: <nil> [1 2 3]
}

// A function that panics has failed, and nothing else has.
func ExamplePanicError() {
	ctx := context.Background()
	f := cocaine.Go(ctx, func(context.Context) (int, error) {
		words := strings.Fields("")
		return len(words[0]), nil
	})
	_, err := f.Wait(ctx)
	if p, ok := errors.AsType[*cocaine.PanicError](err); ok {
		fmt.Println(err)
		fmt.Println("there is a stack:", strings.Contains(string(p.Stack), "ExamplePanicError"))
	}
	// Output:
	// panic: runtime error: index out of range [0] with length 0
	// there is a stack: true
}

// A function may end without returning, as one does that calls t.FailNow.
func ExampleErrGoexit() {
	ctx := context.Background()
	f := cocaine.Go(ctx, func(context.Context) (int, error) {
		runtime.Goexit()
		return 1, nil
	})
	_, err := f.Wait(ctx)
	fmt.Println(err == cocaine.ErrGoexit, err)
	// Output: true function ended its goroutine
}

// Waiting may be given up and taken up again: the function runs on.
func ExampleFuture_Wait() {
	ctx := context.Background()
	answer := make(chan int)
	f := cocaine.Go(ctx, func(context.Context) (int, error) { return <-answer, nil })

	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err := f.Wait(short)
	fmt.Println(err)

	answer <- 42
	fmt.Println(f.Wait(ctx))
	// Output:
	// context deadline exceeded
	// 42 <nil>
}

// Done lets a select wait for a future among other things.
func ExampleFuture_Done() {
	ctx := context.Background()
	f := cocaine.Go(ctx, func(context.Context) (string, error) { return "done", nil })
	select {
	case <-f.Done():
		fmt.Println(f.Wait(ctx)) // does not wait any more
	case <-time.After(time.Minute):
		fmt.Println("still running")
	}
	// Output: done <nil>
}

// Cancel asks the function to stop, by its context.
func ExampleFuture_Cancel() {
	ctx := context.Background()
	f := cocaine.Go(ctx, func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	f.Cancel()
	_, err := f.Wait(ctx)
	fmt.Println(err)
	// Output: context canceled
}

// A value that is known already goes where a future is wanted.
func ExampleReady() {
	ctx := context.Background()
	cache := map[string]string{"/": "the front page"}
	get := func(path string) *cocaine.Future[string] {
		if page, ok := cache[path]; ok {
			return cocaine.Ready(page)
		}
		return cocaine.Go(ctx, func(context.Context) (string, error) { return "fetched " + path, nil })
	}
	fmt.Println(get("/").Wait(ctx))
	fmt.Println(get("/news").Wait(ctx))
	// Output:
	// the front page <nil>
	// fetched /news <nil>
}

// So does an error.
func ExampleFailed() {
	ctx := context.Background()
	get := func(path string) *cocaine.Future[string] {
		if path == "" {
			return cocaine.Failed[string](fs.ErrInvalid)
		}
		return cocaine.Go(ctx, func(context.Context) (string, error) { return "fetched " + path, nil })
	}
	_, err := get("").Wait(ctx)
	fmt.Println(err)
	// Output: invalid argument
}

// A chain of steps, each of which gets what the one before it came to. An error
// passes the rest by.
func ExampleThen() {
	ctx := context.Background()
	read := func(name string) *cocaine.Future[string] {
		return cocaine.Go(ctx, func(context.Context) (string, error) {
			if name == "lost" {
				return "", fs.ErrNotExist
			}
			return "three words long", nil
		})
	}
	words := func(_ context.Context, text string) ([]string, error) { return strings.Fields(text), nil }
	count := func(_ context.Context, words []string) (int, error) { return len(words), nil }

	for _, name := range []string{"note", "lost"} {
		n := cocaine.Then(ctx, cocaine.Then(ctx, read(name), words), count)
		fmt.Println(n.Wait(ctx))
	}
	// Output:
	// 3 <nil>
	// 0 file does not exist
}

// Futures in the order in which they finish, which is not that of their start.
func ExampleAsCompleted() {
	ctx := context.Background()
	names := []string{"slow", "quick"}
	turn := make(chan struct{})
	slow := cocaine.Go(ctx, func(context.Context) (int, error) { <-turn; return 2, nil })
	quick := cocaine.Go(ctx, func(context.Context) (int, error) { return 1, nil })
	for i, r := range cocaine.AsCompleted(ctx, slow, quick) {
		fmt.Println(names[i], r.Value, r.Err)
		if names[i] == "quick" {
			close(turn)
		}
	}
	// Output:
	// quick 1 <nil>
	// slow 2 <nil>
}

// Get turns a Result into what a call returns.
func ExampleResult_Get() {
	ctx := context.Background()
	sum := func() (total int, err error) {
		for _, r := range cocaine.AsCompleted(ctx, cocaine.Ready(1), cocaine.Ready(2)) {
			v, err := r.Get()
			if err != nil {
				return 0, err
			}
			total += v
		}
		return total, nil
	}
	fmt.Println(sum())
	// Output: 3 <nil>
}

// Several things at once, of one type. Functions are started, futures are waited
// for.
func ExampleGather() {
	ctx := context.Background()
	length := func(s string) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { return len(s), nil }
	}
	running := cocaine.Go(ctx, length("already running"))
	fmt.Println(cocaine.Gather(ctx, length("one"), running.Wait, cocaine.Ready(7).Wait))
	// Output: [3 15 7] <nil>
}

// The first error ends the others, and is what Gather returns.
func ExampleGather_error() {
	ctx := context.Background()
	hangs := func(ctx context.Context) (int, error) {
		<-ctx.Done()
		fmt.Println("told to stop, for:", context.Cause(ctx))
		return 0, ctx.Err()
	}
	fails := func(context.Context) (int, error) { return 0, fs.ErrPermission }
	_, err := cocaine.Gather(ctx, hangs, fails)
	fmt.Println(err)
	// Output:
	// told to stop, for: permission denied
	// permission denied
}

// A call that answers many times takes part as a slice.
func ExampleGather_streams() {
	ctx := context.Background()
	stream := func(words ...string) func(context.Context) ([]string, error) {
		return func(context.Context) ([]string, error) {
			return cocaine.Collect(cocaine.Values(words...)) // as a rule, of cocaine.Chunks
		}
	}
	fmt.Println(cocaine.Gather(ctx, stream("a", "b"), stream(), stream("c")))
	// Output: [[a b] [] [c]] <nil>
}

// Two things of different types at once. A method that takes a context is such a
// function, client.Node().List for one.
func ExampleGather2() {
	ctx := context.Background()
	list := func(context.Context) ([]string, error) { return []string{"echo", "hello"}, nil }
	uptime := func(context.Context) (time.Duration, error) { return time.Hour, nil }

	apps, up, err := cocaine.Gather2(ctx, list, uptime)
	fmt.Println(apps, up, err)
	// Output: [echo hello] 1h0m0s <nil>
}

func ExampleGather3() {
	ctx := context.Background()
	name := func(context.Context) (string, error) { return "Ann", nil }
	age := func(context.Context) (int, error) { return 41, nil }

	n, a, admin, err := cocaine.Gather3(ctx, name, age, cocaine.Ready(true).Wait)
	fmt.Println(n, a, admin, err)
	// Output: Ann 41 true <nil>
}

// The same thing asked of several: whoever answers first is believed.
func ExampleFirst() {
	ctx := context.Background()
	down := func(context.Context) (string, error) { return "", errors.New("replica 1 is down") }
	busy := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	good := func(context.Context) (string, error) { return "answer of replica 3", nil }
	fmt.Println(cocaine.First(ctx, down, busy, good))

	_, err := cocaine.First(ctx, down, down)
	fmt.Println(err)
	// Output:
	// answer of replica 3 <nil>
	// replica 1 is down
	// replica 1 is down
}

// Nobody waits for this future, and yet its error is not lost: it is reported once
// the future is garbage.
func ExampleWithLogger() {
	reports := make(chan string, 1)
	out := cocaine.LineWriter(func(line string) { reports <- line })
	logger := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: short}))

	ctx := cocaine.WithLogger(context.Background(), logger)
	cocaine.Go(ctx, func(context.Context) (int, error) { return 0, errors.New("disk is full") })

	for { // a program need not do this: the collector comes by itself
		runtime.GC()
		select {
		case line := <-reports:
			fmt.Println(line)
			return
		case <-time.After(time.Millisecond):
		}
	}
	// Output: level=ERROR msg="nobody looked at the error of a future" error="disk is full" made=example_future_test.go
}

// short leaves out of a report what differs from run to run.
func short(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey:
		return slog.Attr{}
	case "made":
		file := a.Value.String()
		file = file[strings.LastIndex(file, "/")+1:]
		return slog.String(a.Key, file[:strings.Index(file, ":")])
	}
	return a
}
