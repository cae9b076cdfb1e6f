package cocaine_test

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/cocaine/cocaine-go"
)

// A sequence among other things that a select waits for. The end of the context
// ends the goroutine that feeds the channel, wherever the loop is left.
func ExampleChan() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	items := cocaine.Chan(ctx, cocaine.Map(cocaine.Values("1", "x"), strconv.Atoi))
	for {
		select {
		case item, ok := <-items:
			if !ok {
				return
			}
			fmt.Println(item.Value, item.Err)
		case <-time.After(time.Minute):
			fmt.Println("nothing for a minute")
		}
	}
	// Output:
	// 1 <nil>
	// 0 strconv.Atoi: parsing "x": invalid syntax
}

func ExampleFromChan() {
	ctx := context.Background()
	ages := make(chan string, 2)
	ages <- "41"
	ages <- "17"
	close(ages)
	fmt.Println(cocaine.Collect(cocaine.Map(cocaine.FromChan(ctx, ages), strconv.Atoi)))
	// Output: [41 17] <nil>
}

// A channel of Results, such as Chan makes, becomes the sequence that it was.
func ExampleFromChan_results() {
	ctx := context.Background()
	c := cocaine.Chan(ctx, cocaine.Map(cocaine.Values("1", "x", "3"), strconv.Atoi))
	for v, err := range cocaine.Map(cocaine.FromChan(ctx, c), cocaine.Result[int].Get) {
		fmt.Println(v, err)
	}
	// Output:
	// 1 <nil>
	// 0 strconv.Atoi: parsing "x": invalid syntax
	// 3 <nil>
}

// A command as a future: its output comes line by line, its exit status is the
// result.
func ExampleLineWriter() {
	ctx := context.Background()
	run := func(ctx context.Context) (int, error) {
		out := cocaine.LineWriter(func(line string) { fmt.Printf("out: %s\n", line) })
		defer out.Close()
		cmd := exec.CommandContext(ctx, "sh", "-c", "echo one; echo two; exit 3")
		cmd.Stdout, cmd.Stderr = out, out
		err := cmd.Run()
		return cmd.ProcessState.ExitCode(), err
	}
	fmt.Println(cocaine.Go(ctx, run).Wait(ctx))
	// Output:
	// out: one
	// out: two
	// 3 exit status 3
}
