// Package isolate says what keeps workers apart from the runtime and from each
// other, and puts apps' code on disk.
//
//	release in storage ──Spooler──▶ <spool>/<app>/<digest>/ ──Isolate.Spawn──▶ Process
//	                                                                            │ lines ─▶ Spawn.Output
//	                                                                            └ end ───▶ Done, Exit
//
// An [Isolate] starts processes; internal/isolate/process is the one built into
// the runtime, and internal/isolate/isolatetest is the suite that every isolate
// passes. The original's API was made of callbacks that must not come from within
// the call that registers them (its src and docs call them handles); here they
// are ordinary Go:
//
//  1. Spawn returns once the process runs, or an error that says that none does.
//     There is no third outcome, and no callback precedes its return except Output.
//  2. Output is called by one goroutine at a time, in the order of the lines of
//     each stream, never from within Spawn, Signal or Kill, and never after Done.
//  3. How a process ended is known exactly once: Done is closed, and from then on
//     Exit returns the same value for ever.
//  4. Signal and Kill reach everything the worker has started, not only its first
//     process, and never a stranger that got its pid later.
//  5. A process never outlives the runtime, however the runtime ends.
package isolate
