package unicorn_test

import (
	"context"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/unicorn"
)

// Whoever names the version that is there replaces the value; who is late is told what
// is there instead. A watch shows the newest.
func Example() {
	s := unicorn.NewMemory()
	defer s.Close()
	ctx := context.Background()
	number := func(n int64) []byte { return msgpack.AppendInt(nil, n) }

	fmt.Println(s.Create(ctx, "/site/limit", number(10)))
	w, _ := s.Subscribe("/site/limit")
	defer w.Close()

	ok, current, _ := s.Put(ctx, "/site/limit", number(20), 0)
	fmt.Println(ok, current.Value, current.Version)
	ok, current, _ = s.Put(ctx, "/site/limit", number(30), 0)
	fmt.Println(ok, current.Value, current.Version)

	seen, _ := w.Next(ctx)
	fmt.Println(seen.Value, seen.Version)
	// Output:
	// <nil>
	// true [20] 1
	// false [20] 1
	// [20] 1
}

// The lock goes from one to the next in the order in which they came.
func ExampleMemory_lock() {
	s := unicorn.NewMemory()
	defer s.Close()
	ctx := context.Background()
	name := func(n string) []byte { return msgpack.AppendString(nil, n) }

	first, _ := s.Lock(ctx, "/site/leader", name("first"))
	second, _ := s.Lock(ctx, "/site/leader", name("second"))
	<-first.Acquired()
	fmt.Println("the first has", first.Path())
	_ = first.Release(ctx)
	<-second.Acquired()
	fmt.Println("the second has", second.Path())
	// Output:
	// the first has /site/leader/lock0000000000
	// the second has /site/leader/lock0000000001
}
