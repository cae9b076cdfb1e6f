// Package cocaine calls services and apps of a Cocaine runtime.
//
// A runtime is a set of services that are found by name: the node service runs
// apps, storage keeps blobs, and every app that runs is a service too. A
// [Client] knows where the locator is, which knows the rest:
//
//	client, err := cocaine.New(cocaine.Options{})
//	...
//	defer client.Close()
//	apps, err := cocaine.Get[[]string](ctx, client.Service("node"), "list")
//
// # Calling
//
// A service tells its clients its methods, what may follow a call on its channel
// and what comes back. That is why one set of functions calls any service:
//
//	Get[T]      the method answers once: its value
//	Exec        the method answers nothing, or nothing of interest
//	Chunks[T]   the method answers many times: for v, err := range ...
//	Call        the channel itself, open in both directions: a Stream
//
// A method that the service does not have fails with [ErrNoMethod], and nothing
// is sent.
//
// An event of an app is called with [Invoke], which packs a value into the one
// chunk that a typed handler takes and unpacks the one it answers with, or with
// [Service.Enqueue], which gives the stream of chunks:
//
//	out, err := cocaine.Invoke[Greeting](ctx, client.Service("hello"), "greet", Person{"Ann"})
//
// Workers, the other end, are in package worker.
//
// # Connections
//
// A Service does no I/O until it is called. Then its name is resolved, its
// endpoints are tried in turn, and the connection is shared by all handles of
// that name and all goroutines. When it is lost, the calls on it fail with
// [ErrDisconnected], and the next call resolves the name again. A call that may
// have reached the service is never repeated; one that certainly has not is
// repeated once.
//
// # Context
//
// Everything that blocks takes a context. Its end ends the call: whoever waits
// gets the context's error, and the service is told that nobody does any more. Its
// deadline goes with an enqueue, so that the runtime gives the request up at the
// same time. A [Trace] in it goes with every call.
//
// # Errors
//
// An error of the service is an [*Error]: a category and a code, which are the
// contract, and a text for people. [ErrServiceNotFound], [ErrNotFound] and
// [ErrQueueFull] are such errors to be matched with errors.Is. Errors of this side
// are [ErrNoMethod], [ErrDisconnected], [ErrClosed], [*ConnectError] and the
// context's. The end of a stream is a bare io.EOF.
//
// # Values
//
// Values travel as msgpack. Struct fields are named by the tags codec or json, a
// target of type any gets Go's own types with string keys, and [Raw] is a value
// left as it is.
//
// # Waiting for several things
//
// [Go] starts a function and gives a [Future] of its result; [AsCompleted] ranges
// over futures in the order in which they finish.
//
// # Concurrency
//
// A Client, its Services and its Futures may be used by any number of goroutines.
// A Stream is read by one goroutine at a time, and written and closed by any.
// Client.Close ends everything and returns when its goroutines have ended.
package cocaine
