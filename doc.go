// Package cocaine calls services and apps of a Cocaine runtime.
//
// A runtime is a set of services that are found by name: the node service runs
// apps, storage keeps blobs, and every app that runs is a service too. This page goes
// from the first call to a worker that streams; each part stands on those before it.
//
// # Finding and calling
//
// A [Client] knows where the locator is, which knows the rest. Neither it nor a
// [Service] does any I/O before the first call; then the name is resolved, and all
// handles of that name and all goroutines share one connection.
//
//	client, err := cocaine.New(cocaine.Options{}) // COCAINE_LOCATOR, or 127.0.0.1:10053
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer client.Close()
//	apps, err := cocaine.Get[[]string](ctx, client.Service("node"), "list")
//
// A service tells its clients its methods, what may follow a call on its channel and
// what comes back. That is why one set of functions calls any service:
//
//	Get[T]        a method that answers once: its value
//	Exec          a method that answers nothing, or nothing of interest
//	Chunks[T]     a method that answers many times: a sequence to range over
//	Service.Call  the channel itself, open in both directions: a Stream
//
// [Service.Ping] asks whether a service answers, without a method of its own.
//
// # Values
//
// Values travel as msgpack. Struct fields are named by the tags codec or json, or are
// taken by position when several results come as one array. A target of type any
// gets Go's own types with string keys, and [Raw] is a value left as it is: Decode
// decodes it later, [Encode] makes one.
//
//	v, err := cocaine.Get[cocaine.Raw](ctx, client.Service("unicorn"), "get", "/limit")
//	var limit struct{ Value, Version int } // of two results
//	err = v.Decode(&limit)
//
// # Streams
//
// Where a method answers many times, range over its values. Leaving the loop gives
// up the rest, and the service is told.
//
//	for v, err := range cocaine.Chunks[cocaine.Raw](ctx, client.Service("unicorn"), "subscribe", "/limit") {
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(v)
//	}
//
// A [Stream] is what lies below: Recv, Peek and All on the one side, Send,
// CloseSend and Fail on the other, which are independent. The end is a bare
// io.EOF, as often as one asks. Received messages wait in memory up to a bound;
// Send waits while the connection takes nothing.
//
// Who begins something ends it. A loop over a function that makes a call, Chunks for
// one, begins the call, and leaving the loop ends it. All ranges over something that
// you hold, a Stream, an AppStream or a Receiver: leaving the loop leaves the rest to
// be received, and Close is yours to call.
//
// # Apps
//
// An app is code that runs as a pool of workers, and its events are what they
// handle. [Client.App] is for calling them. [Invoke] sends one value and returns the
// one that comes back:
//
//	g, err := cocaine.Invoke[Greeting](ctx, client.App("hello"), "greet", Person{Name: "Ann"})
//
// [InvokeStream] ranges over as many as come back. Leaving the loop gives up the
// rest, and the end of ctx either call: the handler's context ends then, too:
//
//	for n, err := range cocaine.InvokeStream[int](ctx, client.App("hello"), "count", 3) {
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(n) // 0, 1, 2
//	}
//
// [InvokeEach] is Invoke for each item of a sequence, with so many calls under way at
// a time. One goroutine does it all, and the calls leave together:
//
//	people := cocaine.Values(Person{Name: "Ann"}, Person{Name: "Bob"})
//	for g, err := range cocaine.InvokeEach[Greeting](ctx, client.App("hello"), "greet", 256, people) {
//		fmt.Println(g.Text, err) // in the order of the people
//	}
//
// [App.Enqueue] is the conversation, in chunks of bytes, any number of them in
// either direction. The caller has an [AppStream], the handler the other end of it:
//
//	stream, err := client.App("hello").Enqueue(ctx, "shout")
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer stream.Close()
//	err = stream.Send(ctx, []byte("hello"))
//	chunk, err := stream.Recv(ctx)
//	fmt.Printf("%s\n", chunk) // HELLO
//	err = stream.CloseSend(ctx)
//
// The handler's end, a worker.Stream, has the same methods, among them Decode and
// Encode for values, Reader and Writer for bytes that go to and come from anything else.
//
// Headers, the format of the values and more belong to a handle: [App.With].
//
// # Workers
//
// The other end is package github.com/cocaine/cocaine-go/worker: a program becomes
// a worker by binding handlers to events. This one answers the calls above, each
// chunk of the last as it comes.
//
//	func main() {
//		w, err := worker.New(worker.Options{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		worker.Handle(w, "greet", func(ctx context.Context, p Person) (Greeting, error) {
//			return Greeting{Text: "hello " + p.Name}, nil
//		})
//		w.HandleStream("count", func(ctx context.Context, s *worker.Stream) error {
//			var n int
//			if err := s.Decode(ctx, &n); err != nil {
//				return err
//			}
//			for i := range n {
//				if err := s.Encode(ctx, i); err != nil {
//					return err
//				}
//			}
//			return nil
//		})
//		w.HandleStream("shout", func(ctx context.Context, s *worker.Stream) error {
//			for chunk, err := range s.All(ctx) {
//				if err != nil {
//					return err
//				}
//				if err := s.Send(ctx, bytes.ToUpper(chunk)); err != nil {
//					return err
//				}
//			}
//			return nil
//		})
//		w.Main()
//	}
//
// A runtime starts it as often as it is needed; go run . serves it without one.
//
// # Futures, sequences, pipes
//
// A call waits. What is to go on meanwhile is a function given to [Go], whose
// [Future] anybody may wait for, any number of times:
//
//	apps := cocaine.Go(ctx, client.Node().List)
//	node := cocaine.Go(ctx, client.Locator().UUID)
//	names, err := apps.Wait(ctx)
//	uuid, err := node.Wait(ctx)
//
// [Gather] waits for several and [First] for one of them, [AsCompleted] ranges over
// them in the order in which they finish, [Then] goes on with the value. A panic is an
// error, a [*PanicError]; an error that nobody looks at is reported once.
//
// Whatever ranges with errors, an iter.Seq2[T, error], is changed on the way by [Map],
// [MapResult], [MapParallel] and [Filter], and gathered by [Collect]. An error in place
// of an item does not end a sequence. [Values], [FromChan] and [Chan] lead from slices
// and channels and back, and [Pipe] is a stream in memory, bounded, with an end to
// send at and an end to receive.
//
// # Errors
//
// An error of a call is a [*CallError], which says what was called, around the cause.
// Match causes with errors.Is and errors.As:
//
//	*Error               a service or worker reported it: Category and Code are the contract
//	ErrNotFound          the storage has no such key, for one
//	ErrServiceNotFound   nobody serves the name; inside a *ResolveError
//	ErrQueueFull         the app has too many requests waiting
//	ErrPermission        the caller may not do this, or has not said who he is
//	ErrNoMethod          the service has no such method; nothing was sent
//	ErrNoMessage         the method does not take this message; nothing was sent
//	*VersionError        the service speaks another version; nothing was sent
//	ErrBadArgument       an argument without a form in msgpack, a nil context; nothing was sent
//	ErrBadAnswer         the answer has another shape than was asked for
//	ErrTooLarge          a message is over Options.MaxFrame
//	*ConnectError        no endpoint could be connected to; every attempt is in it
//	ErrDisconnected      the connection was lost; it may have been carried out
//	ErrClosed            the Client or the Stream was closed
//	the context's error  the call was given up
//
// A worker's handler makes an [*Error] of its own with [Errorf] and [CategoryUser].
//
// A call that may have been carried out is never repeated; one that certainly was
// not sent is repeated once. [RetryPolicy] repeats more of the latter, and says of what
// else if [CallOptions].Idempotent says that it does no harm.
//
// # Deadline and trace
//
// Everything that waits takes a context. That of a call stands for all of it: when it
// ends, whoever waits gets its error and the service is told. Its deadline goes with
// an event of an app, so that runtime and handler give it up at the same time. A
// [Trace] in it goes with every call, each a span of its own; [WithTrace], [NewTrace]
// and, for W3C Trace Context, [ParseTraceparent] put it there.
//
//	ctx, cancel := context.WithTimeout(ctx, time.Second)
//	defer cancel()
//	ctx = cocaine.WithTrace(ctx, cocaine.NewTrace())
//	apps, err := client.Node().List(ctx)
//
// # Tokens and TLS
//
// A runtime may ask who calls. Options.Token says it with every call, and one that
// changes is a [TokenSource] of your own; workers have theirs from the runtime, without
// a line. A refusal is [ErrPermission]. A runtime on another machine speaks TLS, for
// which there is Options.Dial. Services are found as addresses in numbers: name the
// host, unless its certificate is good for those.
//
//	client, err := cocaine.New(cocaine.Options{
//		Locators: []string{"cocaine.example.org:10053"},
//		Token:    cocaine.StaticToken("Bearer " + os.Getenv("COCAINE_TOKEN")),
//		Dial:     (&tls.Dialer{Config: &tls.Config{ServerName: "cocaine.example.org"}}).DialContext,
//	})
//
// # Typed clients
//
// The services of every runtime have clients with types: [Client.Node], [Client.App],
// [Client.Storage], [Client.Unicorn], [Client.Logging] and [Client.Locator]. For
// others cocaine gen SERVICE writes one, from what the service tells of itself.
//
//	blob, err := client.Storage().Read(ctx, "pages", "front")
//	if errors.Is(err, cocaine.ErrNotFound) {
//		err = client.Storage().Write(ctx, "pages", "front", blob, "public")
//	}
//
// # Observing
//
// An [Observer] is told of every call when it is over: what was called, how long it
// took, how it went. [LogCalls] is one that logs, [Client.Stats] counts without one, and
// worker.Observe does the same for requests. docs/OBSERVABILITY.md feeds expvar,
// Prometheus and OpenTelemetry.
//
//	client, err := cocaine.New(cocaine.Options{
//		Observer: func(ctx context.Context, c *cocaine.CallInfo) {
//			slog.DebugContext(ctx, "call", "method", c.Method, "took", c.Duration, "outcome", c.Outcome())
//		},
//	})
//
// # Logging
//
// A [LogHandler] is a slog.Handler over the logging service. Whoever logs neither
// waits nor fails.
//
//	handler := cocaine.NewLogHandler(client, cocaine.LogHandlerOptions{Source: "app/shop"})
//	defer handler.Close(ctx)
//	slog.New(handler).InfoContext(ctx, "order taken", "number", 17)
//
// With a context a record says which request it is about: [WithLogAttrs] adds to that,
// and [NewContextHandler] does it for any other slog.Handler.
//
// # Testing
//
// Package [github.com/cocaine/cocaine-go/cocainetest] is a runtime in memory: services
// that do what the test says, real workers, faults, and virtual time inside a bubble
// of testing/synctest.
//
//	func TestGreet(t *testing.T) {
//		rt := cocainetest.NewRuntime(t)
//		rt.Service("node", cocainetest.Methods{"list": cocainetest.Answer([]string{"hello"})})
//		apps, err := rt.Client().Node().List(t.Context())
//		if err != nil || len(apps) != 1 {
//			t.Errorf("got %v, %v", apps, err)
//		}
//	}
//
// # Concurrency
//
// A Client, its Services, Apps and typed clients, Futures and LogHandlers may be used
// by any number of goroutines, as may both ends of a Pipe. A Stream or an AppStream
// is read by one goroutine at a time, and written and closed by any. Sequences belong
// to one loop. Client.Close ends everything and returns when its goroutines have
// ended.
package cocaine
