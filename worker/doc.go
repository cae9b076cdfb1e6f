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
// # Events
//
// A request names an event, and the event's handler serves it. [Handle] binds a
// function of one value that answers with one; the caller's content-type header
// decides whether they travel as msgpack, the default, or JSON.
// [Worker.HandleStream] binds a function that gets the whole conversation: chunks
// in both directions.
//
// Each request has a goroutine. A handler that returns has answered: with its
// value, with its error, and in either case with the end of the stream, so none
// can be forgotten. A *cocaine.Error reaches the caller with its own category and
// code, any other error as [42, 100]. A panic costs its request the same error,
// and the worker lives.
//
// # Context
//
// A handler's context has the deadline that the caller set and its trace, so that
// calls made with it belong to the same request. It ends when the handler returns,
// when the caller gives up or goes away, when the deadline passes, and when the
// worker has to stop and the handler has used up its time for that; context.Cause
// says which. [Headers] gives the headers of the request.
//
// # Life
//
//	connect ─▶ handshake ─▶ heartbeats ⇄ answers; requests
//	                           │ terminate, SIGTERM, or the end of Run's context
//	                           ▼
//	                        drain: no new requests; those under way have Options.Drain,
//	                           │   then their contexts end
//	                           ▼
//	                        terminate is answered; Run returns nil
//
// Run returns an error, and the process should exit with a status other than 0,
// when the runtime closes the connection or does not answer heartbeats any more.
// Heartbeats have a goroutine of their own: a busy handler does not stop them.
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
// Bind handlers before Run. Handlers run concurrently; the runtime's profile says
// how many requests a worker gets at once, and Options.Concurrency can say less.
// A Stream is read by one goroutine at a time and written by any.
package worker
