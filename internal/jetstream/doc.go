// Package jetstream gives the runtime its durable state: it starts a NATS
// JetStream engine inside the process, or joins one that runs elsewhere, and
// hands out three narrow handles.
//
//	       Open(Options{Dir})            Open(Options{URL})
//	              │                             │
//	nats-server in this process        a NATS server or cluster
//	(no port, fsync on every write)    (its operator decides)
//	              └──────────────┬──────────────┘
//	                           State
//	             ┌───────────────┼───────────────┐
//	            KV             Blobs            Log
//	  keys with revisions,   large values,    append, last N,
//	  watch, time to live    streamed         follow
//
// The rest of the runtime sees only State and the handles, so one code path
// serves a laptop and a cluster.
//
// # Guarantees
//
//  1. In a directory of our own a write that was acknowledged has been fsynced.
//  2. One directory has one owner: a second Open of it fails with ErrInUse, in
//     the same process or in another one. The lock dies with its process.
//  3. Open never goes on in silence with a directory that was damaged since it was
//     closed: a stream that cannot be recovered, a block file that is shorter or
//     different is ErrDamaged, and the files stay as they are. What a crash cut
//     off in the middle of a write is no damage; nobody was told it is stored.
//  4. Close returns when the engine is down and the directory is free.
//
// # Concurrency
//
// State and the handles are safe for concurrent use. A Watcher, a blob's reader
// and a Log's iterator each belong to one goroutine. Close of the State ends
// every pending call with an error; handles need no closing of their own.
package jetstream
