// Package process runs workers as processes of the machine the runtime is on. It
// is the isolate built into the runtime; the original had one of the same kind,
// called legacy_process, and a daemon of its own for everything better.
//
//	Spawn ─ slot ─ cgroup ─ pipes ─▶ thread: clone into cgroup, exec ─▶ limits
//	                                                                      │
//	supervisor (one goroutine per worker):  wait ─ kill the rest ─ reap ─ drain output ─ Done ─ rmdir cgroup
//	readers    (one per stream):            pipe ─ lines ─ Spawn.Output
//
// What the code relies on, and where it bites:
//
//   - Process groups. Every worker leads a group of its own (its pid is the
//     group's id), so that one signal reaches what it has started, and so that
//     Ctrl-C in the runtime's terminal does not reach it.
//   - Parent death. Workers die with the runtime, also by kill -9, through
//     PR_SET_PDEATHSIG. The kernel sends that signal when the parent THREAD ends,
//     not the process, and Go ends threads as it sees fit; therefore all workers
//     are started by one thread that lives as long as the isolate. The signal
//     reaches the worker only, not its children, and it is lost when the worker
//     executes a setuid program. With cgroups, what is left is killed by the next
//     runtime that starts in the same tree.
//   - Reaping. An ended process keeps its pid, and its group the number, until it
//     is waited for. The supervisor therefore looks at a dead worker first
//     (WNOWAIT), kills the rest of its group, and only then reaps it: a signal can
//     never reach a stranger that was given the same number. Nothing else in the
//     runtime may wait for children it did not start (wait4(-1)).
//   - Waiting costs no thread: a pidfd becomes readable when its process ends, and
//     Go's poller watches it together with the sockets. Kernels before 5.3 have
//     none; there a thread waits for each worker.
//   - Pipes outlive processes. A grandchild that was started with setsid keeps the
//     worker's output open for as long as it likes. After the worker's end its
//     output is read until it is at its end, or for Options.WaitDelay.
//   - Back-pressure. A worker that prints faster than Output takes it waits in
//     write; the isolate holds at most two lines of isolate.MaxLine bytes.
//   - Escape. A worker that detaches a process with setsid leads it out of its
//     group. With a cgroup it is killed all the same; without one it survives.
//   - Busy executables. Executing a file fails while anybody has it open for
//     writing, and a process being forked elsewhere in the runtime holds, for an
//     instant, every descriptor the runtime had when it was forked (ETXTBSY). Such
//     a start is tried again.
//
// # Limits
//
// With cgroup v2 each worker lives in a cgroup of its own, created before it and
// removed after it, and is created inside it (CLONE_INTO_CGROUP) so that nothing
// it does goes unaccounted. That takes a kernel of 5.14 or newer and a part of the
// tree that is the runtime's to manage: see [Options].Cgroup. Without it memory,
// processors and the number of processes are not limited, which is logged once
// and told by [Isolate.Enforces].
package process
