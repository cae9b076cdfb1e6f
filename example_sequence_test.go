package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cocaine/cocaine-go"
)

// A step of a chain sees the values one by one. What it cannot do is an error in
// the place of that value, and the next ones still come.
func ExampleMap() {
	numbers := cocaine.Map(cocaine.Values("1", "two", "3"), strconv.Atoi)
	squares := cocaine.Map(numbers, func(n int) (int, error) { return n * n, nil })
	for n, err := range squares {
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 0 strconv.Atoi: parsing "two": invalid syntax
	// 9 <nil>
}

// A step that takes errors too may turn one into a value.
func ExampleMapResult() {
	numbers := cocaine.Map(cocaine.Values("1", "two", "3"), strconv.Atoi)
	repaired := cocaine.MapResult(numbers, func(n int, err error) (int, error) {
		if errors.Is(err, strconv.ErrSyntax) {
			return -1, nil
		}
		return n, err
	})
	fmt.Println(cocaine.Collect(repaired))
	// Output: [1 -1 3] <nil>
}

// Up to four at a time, and yet in order. With a service to be asked for each, f
// would be a call of it.
func ExampleMapParallel() {
	ctx := context.Background()
	names := cocaine.Values("ann", "bob", "cid")
	greet := func(_ context.Context, name string) (string, error) { return "hello " + name, nil }
	for text, err := range cocaine.MapParallel(ctx, 4, names, greet) {
		fmt.Println(text, err)
	}
	// Output:
	// hello ann <nil>
	// hello bob <nil>
	// hello cid <nil>
}

// When the loop is left, the calls that still run are told so by their context,
// and have ended when the loop is over.
func ExampleMapParallel_break() {
	ctx := context.Background()
	search := func(ctx context.Context, shelf int) (string, error) {
		if shelf == 1 {
			return "the book", nil
		}
		<-ctx.Done() // a long search
		return "", ctx.Err()
	}
	for found, err := range cocaine.MapParallel(ctx, 3, cocaine.Values(1, 2, 3), search) {
		fmt.Println(found, err)
		break
	}
	// Output: the book <nil>
}

func ExampleFilter() {
	apps := cocaine.Values("echo", "hello", "echo-v2")
	echoes := cocaine.Filter(apps, func(name string) bool { return strings.HasPrefix(name, "echo") })
	fmt.Println(cocaine.Collect(echoes))
	// Output: [echo echo-v2] <nil>
}

// Collect stops at the first error, with what has come until then.
func ExampleCollect() {
	fmt.Println(cocaine.Collect(cocaine.Map(cocaine.Values("1", "2", "x", "4"), strconv.Atoi)))
	// Output: [1 2] strconv.Atoi: parsing "x": invalid syntax
}

func ExampleValues() {
	for v, err := range cocaine.Values("a", "b") {
		fmt.Println(v, err)
	}
	// Output:
	// a <nil>
	// b <nil>
}

// A stream in memory: one function makes the items, another takes them as they
// come. At most eight wait between the two.
func ExamplePipe() {
	ctx := context.Background()
	in, out := cocaine.Pipe[string](8)
	defer out.Close() // wherever the loop is left, the sender does not wait for room
	sent := cocaine.Go(ctx, func(ctx context.Context) (int, error) {
		defer in.Close()
		words := strings.Fields("a stream in memory")
		for _, word := range words {
			if err := in.Send(ctx, word); err != nil {
				return 0, err
			}
		}
		return len(words), nil
	})
	for word, err := range out.All(ctx) {
		fmt.Println(word, err)
	}
	fmt.Println(sent.Wait(ctx))
	// Output:
	// a <nil>
	// stream <nil>
	// in <nil>
	// memory <nil>
	// 4 <nil>
}

// An error is an item like another, and does not end the stream.
func ExampleSender_Fail() {
	ctx := context.Background()
	in, out := cocaine.Pipe[int](8)
	_ = in.Send(ctx, 1)
	_ = in.Fail(ctx, errors.New("no second"))
	_ = in.Send(ctx, 3)
	_ = in.Close()
	for v, err := range out.All(ctx) {
		fmt.Println(v, err)
	}
	// Output:
	// 1 <nil>
	// 0 no second
	// 3 <nil>
}

// When nobody receives any more, who sends is told.
func ExampleSender_Send() {
	ctx := context.Background()
	in, out := cocaine.Pipe[int](1)
	fmt.Println(in.Send(ctx, 1))
	out.Close()
	fmt.Println(in.Send(ctx, 2))
	// Output:
	// <nil>
	// io: read/write on closed pipe
}

// What was sent before Close still comes. Then comes the end, again and again.
func ExampleReceiver_Recv() {
	ctx := context.Background()
	in, out := cocaine.Pipe[string](8)
	_ = in.Send(ctx, "last")
	_ = in.Close()
	for range 3 {
		v, err := out.Recv(ctx)
		fmt.Printf("%q %v\n", v, err)
	}
	// Output:
	// "last" <nil>
	// "" EOF
	// "" EOF
}

// Peek waits without taking.
func ExampleReceiver_Peek() {
	ctx := context.Background()
	in, out := cocaine.Pipe[string](8)
	cocaine.Go(ctx, func(ctx context.Context) (int, error) { return 0, in.Send(ctx, "first") })
	fmt.Println(out.Peek(ctx))
	fmt.Println(out.Buffered())
	fmt.Println(out.Recv(ctx))
	fmt.Println(out.Buffered())
	// Output:
	// first <nil>
	// 1
	// first <nil>
	// 0
}

// Some items in a loop, then the rest in another: leaving a loop closes nothing.
func ExampleReceiver_All() {
	ctx := context.Background()
	in, out := cocaine.Pipe[string](8)
	defer out.Close()
	for _, line := range []string{"# people", "name,age", "Ann,41", "Bob,17"} {
		_ = in.Send(ctx, line)
	}
	_ = in.Close()
	for line, err := range out.All(ctx) {
		if err != nil || !strings.HasPrefix(line, "#") {
			fmt.Println("header:", line, err)
			break
		}
	}
	for row, err := range out.All(ctx) {
		fmt.Println("row:", row, err)
	}
	// Output:
	// header: name,age <nil>
	// row: Ann,41 <nil>
	// row: Bob,17 <nil>
}

// How many items wait. The end is not one of them.
func ExampleReceiver_Buffered() {
	ctx := context.Background()
	in, out := cocaine.Pipe[string](8)
	fmt.Println(out.Buffered())
	_ = in.Send(ctx, "a")
	_ = in.Send(ctx, "b")
	_ = in.Close()
	fmt.Println(out.Buffered())
	// Output:
	// 0
	// 2
}

// Who has heard enough closes the receiver. Leaving a loop over All does it too.
func ExampleReceiver_Close() {
	ctx := context.Background()
	in, out := cocaine.Pipe[int](1)
	sent := cocaine.Go(ctx, func(ctx context.Context) (int, error) {
		for i := 0; ; i++ {
			if err := in.Send(ctx, i); err != nil {
				return i, err
			}
		}
	})
	fmt.Println(out.Recv(ctx))
	out.Close()
	_, err := sent.Wait(ctx)
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// io: read/write on closed pipe
}
