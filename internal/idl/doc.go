// Package idl is the one table of Cocaine's protocols: which messages a service takes, what may follow on a channel,
// what comes back, and what error codes mean.
//
// The table is table.txt. From it a generator makes the message ids and error codes ([StorageRead],
// [OverseerQueueFull]), the protocol values ([Storage], [App]) and the tables of docs/PROTOCOL.md, so that none of
// them can differ from another.
//
// A channel has two independent directions. What a side may send in a direction is a [Node]: the messages accepted
// now, each with the node that comes after it. A message whose next node is nil is recurrent (the direction stays as
// it is); [Terminal] ends the direction. A method call is a message of a [Protocol]: its Next is what the caller may
// send after it, its Reply what the service may send back.
//
// A service tells its clients all this as a graph, the third value of locator.resolve: [Protocol.AppendGraph] writes
// it, byte for byte as the original does, and [ParseGraph] reads one.
//
// Everything here is read-only after the program starts and may be shared by goroutines.
package idl

//go:generate go run ./gen
