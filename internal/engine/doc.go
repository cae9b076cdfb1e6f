// Package engine runs one app: a queue of requests, a pool of worker processes,
// and the rules that bring the two together.
//
//	client session          engine                        worker session
//	 enqueue ───▶ admit ─▶ queue? ─▶ pick worker ─▶ invoke ───▶ process
//	 write, close ───────▶ request ───────────────────────────▶
//	      ◀─────────────── request ◀─────────────── write, close
//
// The rules are those of the original v0.12 node service (docs/PROTOCOL.md,
// Worker protocol; docs/ARCHITECTURE.md, The engine), except where they would cost
// somebody an answer:
//
//   - Queued requests expire on time, whether there are workers or not.
//   - Idle workers are retired, and a request does not wait for one that leaves.
//   - A stop drains. What is queued then is answered, not forgotten.
//   - An app whose workers can not start answers instead of waiting for ever.
//   - The pause between failing workers stays at its longest; it does not start over.
//   - A worker that leaves after its work is done has not crashed.
//   - A mistake on one request costs that request, not its worker or connection.
//   - Several control channels do not undo each other (see Leases).
//
// # Who owns what
//
// Engine.mu guards the pool, the queue, the timers and the counters; every event
// (a request, a worker's frame, a process exit, a timer) is one method that takes
// it. A request has a mutex of its own for the frames that pass through, so that
// streaming never touches Engine.mu. Lock order: Leases, Engine.mu, request.mu,
// session. Nothing blocks under any of them: processes are started, killed and
// reaped by one supervisor goroutine per worker, crash records are handed over from
// there.
//
// # The end of a worker
//
// A worker leaves the pool in one step, bury, whatever the cause: its requests are
// answered and its place is free at once. Its process is the supervisor's from then
// on: the time to end by itself if it should be doing that, SIGTERM, KillGrace,
// SIGKILL, its connection closed, the crash recorded. Stop waits for that too.
//
// # Forwarding
//
// Requests are forwarded on the reader goroutine of whichever connection the
// frame came from. The arguments of write messages are passed on as they came.
// What comes before a request has a worker waits with it, a MiB of it; then its
// client is not read, for some seconds if that holds up other calls. A worker whose
// frames are not read because a client is slow is not missed, but gets no new
// requests while another one has room.
//
// A request that ends in the ordinary way, with both sides having closed, gives
// its memory back for the next one, so a steady load allocates nothing per frame;
// every other end leaves it to the garbage collector, because somebody may still
// hold a pointer.
package engine
