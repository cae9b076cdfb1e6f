// Package clientgen writes Go source: a typed client of a service, from what the
// service tells of its methods.
//
// A service tells names and the shape of the conversation, not types (docs/PROTOCOL.md,
// Graphs). The types come from the table of package idl, if a protocol of that table
// is the service's; else arguments are any and results cocaine.Raw.
//
//	service answers     the method returns
//	nothing             error
//	value               (T, error), or error if the value is known to be none
//	stream              iter.Seq2[T, error]
//
// A method after which the caller may send chunks returns the *cocaine.Stream, and
// so does one whose shape is none of these. A method that answers with a value, and
// whose channel may then stay open, comes twice, the second time as a stream that
// keeps it open.
//
// What is written depends on the input alone. Everything here may be called
// concurrently.
package clientgen
