package cocaine_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
)

// exampleRuntime stands in for the runtime on this machine, so that examples run
// anywhere. The rest of an example is what a program does.
func exampleRuntime(name string, service *rpc.Mux) (client *cocaine.Client, stop func()) {
	serve := func(m *rpc.Mux) (addr string, stop func()) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		server, done := rpc.NewServer(rpc.ServerOptions{}), make(chan struct{})
		go func() {
			defer close(done)
			if err := server.Serve(context.Background(), ln, m); err != nil {
				log.Fatal(err)
			}
		}()
		return ln.Addr().String(), func() {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			_ = server.Shutdown(now)
			<-done
		}
	}
	if name == "locator" {
		return exampleClient(serve(service))
	}
	addr, stopService := serve(service)
	locator := rpc.NewMux(idl.Locator, rpc.MuxOptions{})
	locator.Unary("resolve", func(context.Context, *rpc.Call) ([]byte, error) {
		return exampleResolution(service.Protocol(), addr), nil
	})
	client, stopLocator := exampleClient(serve(locator))
	return client, func() {
		stopLocator()
		stopService()
	}
}

func exampleClient(locator string, stop func()) (*cocaine.Client, func()) {
	client, err := cocaine.New(cocaine.Options{Locators: []string{locator}})
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		client.Close()
		stop()
	}
}

func exampleResolution(p *idl.Protocol, addr string) []byte {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	b := msgpack.AppendArray(nil, 3)
	b = msgpack.AppendArray(msgpack.AppendArray(b, 1), 2)
	b = msgpack.AppendInt(msgpack.AppendString(b, tcp.IP.String()), int64(tcp.Port))
	return p.AppendGraph(msgpack.AppendInt(b, int64(p.Version)))
}

// answers is a service that answers each method with fixed values.
func answers(p *idl.Protocol, values map[string][]any) *rpc.Mux {
	m := rpc.NewMux(p, rpc.MuxOptions{})
	for name, v := range values {
		if p.Method(name).Reply.Kind == idl.ReplyStream {
			m.Stream(name, func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
				for _, each := range v {
					if err := s.Send(ctx, idl.Write, standin.Value(each)); err != nil {
						return err
					}
				}
				<-ctx.Done()
				return nil
			})
			continue
		}
		m.Unary(name, func(context.Context, *rpc.Call) ([]byte, error) { return standin.Value(v...), nil })
	}
	return m
}

// What runs, and how it does.
func ExampleNode() {
	client, stop := exampleRuntime("node", answers(idl.NodeService, map[string][]any{
		"list": {[]string{"echo", "hello"}},
		"info": {map[string]any{"state": "running", "pool": map[string]any{"active": 2, "capacity": 10}}},
	}))
	defer stop()
	ctx := context.Background()
	apps, err := client.Node().List(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range apps {
		info, err := client.Node().Info(ctx, name, cocaine.InfoOverseer)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name, info.State, info.Pool.Active, "of", info.Pool.Capacity)
	}
	// Output:
	// echo running 2 of 10
	// hello running 2 of 10
}

// A pool that is larger for a while.
func ExampleNode_Control() {
	sizes := make(chan int64)
	m := rpc.NewMux(idl.NodeService, rpc.MuxOptions{})
	m.Stream("control", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
		defer close(sizes)
		for {
			m, err := s.Recv(ctx)
			if err != nil {
				return nil
			}
			r := msgpack.NewReader(m.Args)
			r.Array()
			sizes <- r.Int()
		}
	})
	client, stop := exampleRuntime("node", m)
	defer stop()
	ctx := context.Background()
	pool, err := client.Node().Control(ctx, "hello")
	if err != nil {
		log.Fatal(err)
	}
	if err := pool.Resize(ctx, 20); err != nil {
		log.Fatal(err)
	}
	fmt.Println("workers:", <-sizes)
	if err := pool.Close(); err != nil { // and the load decides again
		log.Fatal(err)
	}
	_, more := <-sizes
	fmt.Println("more:", more)
	// Output:
	// workers: 20
	// more: false
}

// A blob that is one value.
func ExampleStorage() {
	kept := make(map[string][]byte)
	m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
	m.Unary("write", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		collection, key := r.String(), r.String()
		kept[collection+"/"+key] = append([]byte(nil), r.Bytes()...)
		return nil, nil
	})
	m.Unary("read", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		return standin.Value(kept[r.String()+"/"+r.String()]), nil
	})
	client, stop := exampleRuntime("storage", m)
	defer stop()
	ctx := context.Background()
	weights, err := cocaine.Encode(map[string]int{"app_v1": 90, "app_v2": 10})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Storage().Write(ctx, "groups", "app", weights, "group", "active"); err != nil {
		log.Fatal(err)
	}
	blob, err := client.Storage().Read(ctx, "groups", "app")
	if err != nil {
		log.Fatal(err)
	}
	var read map[string]int
	if err := cocaine.Raw(blob).Decode(&read); err != nil {
		log.Fatal(err)
	}
	fmt.Println(read)
	// Output: map[app_v1:90 app_v2:10]
}

// A record with attributes.
func ExampleLogging() {
	records := make(chan string, 1)
	m := rpc.NewMux(idl.Logging, rpc.MuxOptions{})
	m.Mute("emit", func(_ context.Context, c *rpc.Call) error {
		r := c.Reader()
		records <- fmt.Sprint(r.Int(), " ", r.String(), ": ", r.String(), " ", r.Value())
		return nil
	})
	client, stop := exampleRuntime("logging", m)
	defer stop()
	err := client.Logging().Emit(context.Background(), cocaine.SeverityWarning, "app/hello", "slow request",
		slog.Int("ms", 250), slog.String("path", "/"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-records)
	// Output: 2 app/hello: slow request [[ms 250] [path /]]
}

// One event with its data, chunk by chunk.
func ExampleApp() {
	m := rpc.NewMux(idl.App, rpc.MuxOptions{})
	m.Stream("enqueue", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error { return echo(ctx, "", c, s) })
	client, stop := exampleRuntime("echo", m)
	defer stop()
	ctx := context.Background()
	stream, err := client.App("echo").Enqueue(ctx, "echo", []byte("one"), []byte("two"))
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	if err := stream.CloseSend(ctx); err != nil {
		log.Fatal(err)
	}
	for chunk, err := range stream.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", chunk)
	}
	// Output:
	// one
	// two
}

// A node of the tree, each time it changes.
func ExampleUnicorn_Subscribe() {
	client, stop := exampleRuntime("unicorn", answers(idl.Unicorn, map[string][]any{
		"subscribe": {[]any{nil, -1}, []any{10, 0}, []any{20, 1}},
	}))
	defer stop()
	for limit, err := range client.Unicorn().Subscribe(context.Background(), "/config/limit") {
		if err != nil {
			log.Fatal(err)
		}
		if !limit.Exists() {
			fmt.Println("not set")
			continue
		}
		var n int
		if err := limit.Decode(&n); err != nil {
			log.Fatal(err)
		}
		fmt.Println(n, "at version", limit.Version)
		if n == 20 {
			break
		}
	}
	// Output:
	// not set
	// 10 at version 0
	// 20 at version 1
}

// A change that depends on what was there is tried until nobody was faster.
func ExampleUnicorn_Put() {
	client, stop := exampleRuntime("unicorn", answers(idl.Unicorn, map[string][]any{
		"get": {[]any{[]any{"ann"}, 7}},
		"put": {true, []any{[]any{"ann", "bob"}, 8}},
	}))
	defer stop()
	ctx, u := context.Background(), client.Unicorn()
	members, err := u.Get(ctx, "/members")
	for done := false; err == nil && !done; {
		var names []string
		if err := members.Decode(&names); err != nil {
			log.Fatal(err)
		}
		members, done, err = u.Put(ctx, "/members", append(names, "bob"), members.Version)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("version", members.Version)
	// Output: version 8
}

// Work that only one may do at a time.
func ExampleUnicorn_Lock() {
	client, stop := exampleRuntime("unicorn", answers(idl.Unicorn, map[string][]any{"lock": {true}}))
	defer stop()
	ctx := context.Background()
	lock, err := client.Unicorn().Lock(ctx, "/locks/leader")
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range []string{"first", "second"} {
		select {
		case <-lock.Done():
			log.Fatal("somebody else may lead now: ", lock.Err())
		default:
			fmt.Println(step, "step")
		}
	}
	if err := lock.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// first step
	// second step
}

// A database that programs find by name.
func ExampleLocator_Publish() {
	m := rpc.NewMux(idl.Locator, rpc.MuxOptions{})
	m.Stream("publish", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
		return s.Send(ctx, idl.Value, nil)
	})
	client, stop := exampleRuntime("locator", m)
	defer stop()
	db, err := client.Locator().Publish(context.Background(),
		cocaine.Resolution{Name: "db", Endpoints: []string{"10.0.0.7:5432"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(db.Name(), "is published")
	if err := db.Close(); err != nil { // and not any more
		log.Fatal(err)
	}
	// Output: db is published
}

// The member of a group that serves a user, without asking the locator each time.
func ExampleLocator_Routing() {
	client, stop := exampleRuntime("locator", answers(idl.Locator, map[string][]any{
		"routing": {map[string]any{"app": []any{[]any{1 << 31, "app_v1"}, []any{1<<32 - 1, "app_v2"}}}},
	}))
	defer stop()
	for table, err := range client.Locator().Routing(context.Background(), "my-router") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(table.Pick("app", "user1"), table.Pick("app", "user2"))
		break
	}
	// Output: app_v2 app_v1
}
