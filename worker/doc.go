// Package worker turns a program into a worker: a process that the runtime starts,
// supervises and gives requests to.
//
//	func main() {
//		w, err := worker.New(worker.Options{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		worker.Handle(w, "greet", greet)
//		w.Main()
//	}
//
//	func greet(ctx context.Context, in Person) (Greeting, error) {
//		return Greeting{Text: "hello " + in.Name}, nil
//	}
//
// # Handlers
//
// A request names an event, and the event's handler serves it. There are three kinds:
//
//	Handle         one value in, one out, packed as the caller's content-type says: msgpack or JSON
//	HandleRaw      one chunk of bytes in, one out
//	HandleStream   the conversation: chunks of bytes in both directions
//
// All are a [Handler], which [Func], [Raw] and [HandlerFunc] make, for w.Handle.
// [Worker.HandlePrefix] serves the events that begin alike, [Worker.HandleDefault] those
// that have no other handler; without it their callers get [42, 200]. [HTTP] serves
// with an http.Handler, [FileEvent] the events of files that change.
//
//	w.HandleStream("count", func(ctx context.Context, s *worker.Stream) error {
//		var n int
//		if err := s.Decode(ctx, &n); err != nil {
//			return err
//		}
//		for i := range n {
//			if err := s.Encode(ctx, i); err != nil { // waits for a slow caller
//				return err
//			}
//		}
//		return nil
//	})
//
// A handler that returns has answered: with its value, with its error, and in either
// case with the end of the stream, so none can be forgotten. An [*cocaine.Error]
// reaches the caller with its own category and code, any other error as [42, 100];
// that of a call which the handler has made is such another one, because what it says
// is about somebody else. Who wants to pass it on returns the *cocaine.Error in it. A
// panic costs its request the same error, and the worker lives; the log has the
// [cocaine.PanicError] with its stack.
//
// # Context
//
// A handler's context has the deadline that the caller set and its trace, so that
// calls made with it, of [Worker.Client] for one, belong to the same request. It ends
// when the handler returns, when the caller gives up or goes away, whether it has said
// everything or not, when the deadline passes, and when the worker has to stop and the handler has used up its time for
// that; context.Cause says which. [Headers] gives the headers of the request, [Event]
// its name.
//
// # Middleware and limits
//
// [Middleware] is a function from Handler to Handler, around all of them with
// [Worker.Use] or around one with the option [With]. [Recover] shows panics to it as
// errors, [Observe] tells of each request when it is over. [Limit] bounds how many
// handlers of an event run at once, [Timeout] how long each may take,
// Options.Concurrency all of them together.
//
//	w.Use(func(next worker.Handler) worker.Handler {
//		return worker.HandlerFunc(func(ctx context.Context, s *worker.Stream) error {
//			err := next.Serve(ctx, s)
//			slog.InfoContext(ctx, "served", "event", s.Event(), "error", err)
//			return err
//		})
//	})
//	worker.Handle(w, "slow", func(ctx context.Context, in Person) (Greeting, error) {
//		return Greeting{}, nil
//	}, worker.Limit(4), worker.Timeout(time.Second))
//
// A handler that goes on after its context has ended is stuck: Options.Stuck later it
// is reported, once and with its stack. It cannot be killed; the worker goes on around
// it.
//
// # Life
//
//	OnStart ─▶ connect ─▶ handshake ─▶ heartbeats ⇄ answers; requests
//	                                      │ terminate, SIGTERM, or the end of Run's context
//	                                      ▼
//	                                   drain: no new requests; those under way have
//	                                      │   Options.Drain, then their contexts end
//	                                      ▼
//	                                   OnStop; terminate is answered; Run returns nil
//
// [Worker.OnStart] opens what handlers need, [Worker.OnStop] closes it. Run returns an
// error, and the process should exit with a status other than 0, when the runtime
// closes the connection ([cocaine.ErrDisconnected]) or does not answer heartbeats any
// more ([ErrDisowned]). Heartbeats have a goroutine of their own: a busy handler does
// not stop them. [Worker.Main] runs the worker and exits with the right status.
//
// # Alone
//
// A program that no runtime started serves its events itself, on a locator of its
// own, and says so:
//
//	$ go run .
//	hello serves on 127.0.0.1:10053; try: cocaine call hello greet '{...}'
//
// Clients and the command line find it as they find an app of a runtime. The flag
// --listen, the environment variable COCAINE_LISTEN and Options.Listen choose
// another address; Ctrl-C drains. There are no other services, unless
// COCAINE_LOCATOR says where a runtime is: then Client calls those.
//
// Inside a test package cocainetest serves a worker, without processes and ports.
//
// # Concurrency
//
// Bind handlers before Run. Handlers run concurrently, each in a goroutine; the
// runtime's profile says how many requests a worker gets at once. A Stream is read by
// one goroutine at a time, written by any, and ends with its handler.
package worker
