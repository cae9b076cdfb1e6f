// Package faultnet breaks connections on purpose, and the same way every time.
//
// It has two halves, both for tests:
//
//	Pipe, NewListener   connections in memory, with a buffer, deadlines, half-close and reset
//	Wrap, WrapListener  a net.Conn or net.Listener that misbehaves as its script says
//
// A [Script] lists faults per direction, seen from the wrapped side: Read holds
// what happens to the bytes coming in, Write to those going out. A fault either
// shapes every transfer (Pieces, Chop, Delay, Jitter) or strikes at one offset
// of its direction's byte stream (SplitAt, DelayAt, StallAt, FlipBit, CloseAt,
// ResetAt). Offsets count bytes since Wrap, so a script means the same however
// the caller sizes its reads and writes.
//
//	gate := faultnet.NewGate()
//	c := faultnet.Wrap(raw, faultnet.Script{
//		Read:  []faultnet.Fault{faultnet.Pieces(1), faultnet.StallAt(10, gate)},
//		Write: []faultnet.Fault{faultnet.ResetAt(4096)},
//	})
//	<-gate.Reached() // ten bytes are in, the eleventh waits
//	gate.Release()
//
// # Determinism
//
// Random faults draw from generators seeded by the script, one per direction,
// so that the order in which goroutines run does not change what they draw.
// [Seed] gives a test its seed, prints it when the test fails and takes it back
// from COCAINE_FAULT_SEED.
//
// # Virtual time
//
// Everything waits on channels and on the time package only: a Pipe, a
// MemListener and the wrappers around them are durably blocked in the sense of
// testing/synctest whenever they wait, deadlines and delays included. Wrappers
// around real sockets work too, but sockets do not count as blocked there.
//
// # Concurrency
//
// Every method of every connection and listener may be called from any
// goroutine. Close and Reset interrupt blocked calls. Calls in one direction of
// a wrapped connection take turns, each a whole Read or Write.
package faultnet
