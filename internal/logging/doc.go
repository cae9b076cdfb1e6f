// Package logging carries the log records of apps: from workers' output and the
// service `logging` (docs/PROTOCOL.md, logging) to sinks, of which Store keeps
// them and lets them be read and followed.
//
//	worker's stdout ─┐                 ┌─▶ Writer   lines for a terminal or a file
//	logging.emit ────┼─▶ Record ─ Sink ┤
//	slog (Handler) ──┘                 └─▶ Store    ─▶ Tail
//
// # The store
//
// Every app has a directory of segment files of its own, bounded in bytes and in
// age; the oldest segment goes first. A record is encoded by who emits it, into
// the app's queue, and one goroutine writes all queues to their files in batches:
//
//	Emit ─▶ queue of app a ─┐                 a/0000000000000001.log
//	Emit ─▶ queue of app b ─┴─ writer ──────▶ a/0000000000002f81.log   ◀── Tail
//	                                          b/0000000000000001.log
//
// Guarantees:
//
//  1. Emit never waits for a disk or for a reader. A full queue drops the oldest
//     records of that app and of no other, and a record that tells how many takes
//     their place.
//  2. What was written survives the end of the process, also a violent one. It is
//     not fsynced: if the machine dies, the last seconds may be missing. A torn
//     end is cut off.
//  3. Tail reads only what is in the files, so following needs no queue per
//     reader: nothing comes twice and nothing is left out between old and new. A
//     reader who is slower than the retention gets a record that tells how many
//     it has missed.
//
// Files of our own rather than a stream of the state engine: that one fsyncs every
// write, which records need not, and a bound per app would take a stream per app,
// with its goroutines and buffers. An app here costs a directory, and a file
// descriptor while it writes.
//
// # Concurrency
//
// Sinks are safe for concurrent use, and do not keep the Record they are given.
// Each iterator of Tail belongs to one goroutine.
package logging
