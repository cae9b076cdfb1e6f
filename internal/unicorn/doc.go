// Package unicorn is coordination: a tree of small versioned values that clients
// compare and swap, watch and lock (docs/PROTOCOL.md, Coordination).
//
// # Model
//
// A node has a path, a value, which is any msgpack value kept as it was written, a
// version, which counts the changes of the value from 0, and children. Persistent
// nodes stay until they are removed. An ephemeral node is held by somebody of this
// process, and goes when that is over; it has no children.
//
// A lock is a node. Who wants it adds an ephemeral child, and has it when his child is
// the oldest.
//
// # Guarantees
//
//  1. A change that was acknowledged is durable, and every read of this process sees
//     it. One that failed because its context ended, or the engine, may have happened.
//  2. A value is replaced only by who names its version: no update is lost.
//  3. A Watch never goes back, and ends up with the newest. It has no queue: a slow
//     reader leaves versions out.
//  4. Of those who wait for a lock one has it, in the order in which they came. Who
//     loses it, because his node is removed or the store ends, is told by Lost; if the
//     process is stopped for longer than a lease, others may know before.
//
// # How JetStream holds it
//
//	  Put, Create, Lock ...                      Get, Watch, Held
//	          │ write, revision by revision            ▲
//	          ▼                                        │
//	bucket "unicorn" ──────── watch, in order ──────▶ tree, in memory
//
// Each node is one key of a bucket: the value in its body, the version and the owner
// beside it. The whole tree is in memory too, and follows the bucket by a watch. All
// reading is from there and costs no I/O. A change goes to the bucket, on condition
// that the key still has the revision that the change was made for, and returns when
// the tree shows it. So there is one order of all changes, that of the bucket, and all
// who watch see it.
//
// A runtime that has its state to itself removes at its start the ephemeral nodes that
// an earlier life has left. Runtimes that share an engine have sessions that expire,
// see lease.
//
// The version of a list of children counts those that have come and those that have
// gone, which is twice as many as there ever were less those that are there. So what has
// to be known after a restart is how many there ever were. Each child has beside it which
// one it was, which costs no writing; only before the newest goes, and the knowledge with
// it, is it written beside the parent, once for all that were made before.
//
// # Concurrency
//
// Stores are safe for concurrent use. The tree has one mutex, which is never held
// across I/O or a callback. Changes of the tree's shape (nodes that come) take turns,
// and so do changes of one value; removals of ephemeral nodes do not, but only so many
// run at once. Close ends all watches and everything that is held, and waits for the
// goroutines of the store.
package unicorn
