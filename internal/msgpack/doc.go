// Package msgpack reads and writes the MessagePack dialect of the Cocaine wire.
//
// Cocaine was born before MessagePack told text from bytes, and its programs still speak that old dialect: one type
// called raw holds both. The package therefore
//
//   - writes only the old forms: fixraw, raw16 and raw32 for text and bytes alike, never str8, bin or ext;
//     integers in their shortest form, non-negative ones with unsigned tags;
//   - reads both generations: str8 and bin8/16/32 arrive as raw;
//   - refuses ext values and the never-used tag 0xc1.
//
// Writing is append-style: every Append function takes a buffer and returns it longer. Reading is done by a [Reader],
// a cursor over a complete buffer with a sticky error: a decoder calls the getters one after another and asks Err
// once at the end. [Skip] finds where a value ends without decoding it.
//
// Nothing here keeps state between calls. A Reader belongs to one goroutine; the functions are safe for concurrent use.
//
// The dialect is described in docs/PROTOCOL.md, section "Dialect".
package msgpack
