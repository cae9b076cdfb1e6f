// Package hpack holds the header tables of the Cocaine wire.
//
// The fourth element of a frame is an array of headers. Cocaine borrowed the tables of HPACK (RFC 7541), not its
// encoding: there is no Huffman code, no bit packing and no prefixed integer. A header is one of
//
//	n                    the pair at table index n
//	[store, name, value] a literal
//	[store, n, value]    the name at table index n with a literal value
//
// and store tells the receiver to put the pair into its dynamic table. Index 1 to 82 is the static table, 83 and up
// the dynamic one, newest first.
//
// A [Table] is the receiving side's state of one direction of one connection; it starts empty with the connection,
// and its owner is the goroutine that reads the connection. A header array that does not decode leaves the two sides
// with different tables, so the connection must end. Cocaine writes only literals that are not stored
// ([AppendLiterals]); [Encoder] exists to play the clients that do otherwise.
//
// See docs/PROTOCOL.md, section "Headers".
package hpack
