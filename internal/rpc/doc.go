// Package rpc holds one connection of Cocaine's protocol, in any of its four
// roles: a client of a service, a service, a worker, and the runtime's side of
// a worker. docs/PROTOCOL.md is the law; this package is the machine.
//
//	          reader goroutine (Session.Run)                    any goroutine
//	conn ──▶ scan frame ──▶ table[channel] ──▶ Receiver          Session.Send
//	                           │ new id                              │
//	                           ▼                                     ▼
//	                        Acceptor ──▶ Send on other sessions ──▶ out buffer ──▶ conn
//
// # The model
//
// A [Session] owns a net.Conn. Its reader goroutine scans frames and hands each
// one to the [Receiver] of its channel; the first frame of a channel that the
// peer opens goes to the session's [Acceptor]. Sending appends a frame to the
// session's output buffer.
//
// A [Batch] is what makes forwarding cheap. While a reader handles the frames
// that one read brought in, everything it appends, on whatever session, stays
// buffered; when its input runs dry the reader flushes the sessions it touched
// and only then blocks for more. Under load one system call carries many frames,
// and an idle connection's frame leaves at once, from the goroutine that read it.
// A peer that does not take the bytes at once gets a writer goroutine until it has.
//
// [Mux] turns a protocol table into ordinary functions for services whose
// methods may take their time, and [Stream] turns a channel into something that
// a goroutine can block on. Forwarding code uses neither.
//
// # Concurrency contract
//
//  1. Receiver and Acceptor methods run on the session's reader goroutine, one at
//     a time and in the order of the frames. They must not block: a blocked
//     reader stops every channel of its connection.
//  2. Frame contents are valid during the call only; keep a copy.
//  3. Receiver.Lost is called at most once, and only if the receiving half was
//     open when the session ended or the channel was revoked.
//     Whoever wants to know of the peer's end after its last message does not
//     report done, and calls Forget in the end; or it is an AnswerAcceptor, which is
//     told of all such channels at once and can find its calls itself.
//  4. Send, Open, Close, Done and Err may be called from any goroutine, also from
//     inside a Receiver. Send never blocks. With a nil Batch it writes at once.
//  5. Locks: a session's mutex is a leaf. No callback is ever made under it, and
//     it is never held across a system call.
//  6. Every goroutine a session starts ends before Run returns.
//
// # Limits
//
// A session whose output buffer has passed SessionOptions.Buffer stops the
// reading of whoever feeds it: the feeding reader waits until half of it has
// drained. A peer that takes no byte for SessionOptions.Stall is cut off, so a
// peer that stopped reading delays its feeders by that long, at most twice that
// long when it had begun to take a write. Sizes and depths of frames are bounded
// by SessionOptions.Limits, open channels by Channels, running methods by Calls
// and Streams, what a Stream holds by StreamBuffer.
//
// A session that is paused, or waits for a full peer, reads nothing, and so does
// not notice either that its own peer has gone.
package rpc
