// Package rpctest lets a test play the other end of a real session, frame by
// frame.
//
//	p := rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: mux}})
//	p.Send(1, 0, "app", "event") // channel 1, message 0
//	p.Want(1, 0, "answer")
//	p.Send(1, 0)                 // the channel is closed
//	p.WantIdle()
//	p.Session().Close()
//	p.WantClosed()
//
// [New] puts a session on one end of a buffered connection in memory, [Play]
// takes over any connection whose other end runs elsewhere, and [Pair] connects
// two sessions. Frames in failures are shown as internal/wire shows them.
//
// # Waiting
//
// A Peer has no goroutine of its own: it writes when the test says Send and
// reads when the test says Want, so a test that wants nothing is a peer that
// does not read. Every method that waits fails the test after [Patience].
//
// Inside a testing/synctest bubble all of that is virtual time. WantIdle works
// there only: nothing but a bubble can tell that nothing more is going to happen.
//
// A Peer belongs to the goroutine of its test.
package rpctest
