// Package engine runs one app: a queue of requests, a pool of worker processes,
// and the rules that bring the two together.
//
//	client session          engine                        worker session
//	 enqueue ───▶ admit ─▶ queue? ─▶ pick worker ─▶ invoke ───▶ process
//	 write, close ───────▶ request ───────────────────────────▶
//	      ◀─────────────── request ◀─────────────── write, close
//
// The rules are those of the original v0.12 node service (docs/PROTOCOL.md,
// Worker protocol; docs/ARCHITECTURE.md, The engine), except where docs/design
// says otherwise: idle workers are retired, queued requests expire on time, a
// stop drains, and an app whose workers can not start answers instead of waiting
// for ever.
//
// # Who owns what
//
// Engine.mu guards the pool, the queue, the timers and the counters; every event
// (a request, a worker's frame, a process exit, a timer) is one method that takes
// it. A request has a mutex of its own for the frames that pass through, so that
// streaming never touches Engine.mu. Lock order: Engine.mu, request.mu, session.
// Nothing blocks under any of them: processes are started, killed and reaped by
// one supervisor goroutine per worker, crash records are handed over from there.
//
// # Forwarding
//
// Requests are forwarded on the reader goroutine of whichever connection the
// frame came from. The arguments of write messages are passed on as they came.
// A request that ends in the ordinary way, with both sides having closed, gives
// its memory back for the next one, so a steady load allocates nothing per frame;
// every other end leaves it to the garbage collector, because somebody may still
// hold a pointer.
package engine
