// Package wire splits the byte stream of a Cocaine connection into frames and writes them.
//
// A frame is a msgpack array with no length around it:
//
//	[channel, type, args, headers]
//
// The package looks at no more than it must: the two numbers, and where args and headers begin and end. Both stay
// the bytes they were, so that a proxy forwards them verbatim and a frame costs the same whatever it carries.
//
// A [Scanner] takes a growing buffer and remembers how far it understood an incomplete frame; a frame that arrives
// byte by byte still costs linear time. It refuses a frame as soon as the lengths it claims exceed the limit, before
// the bytes are there. A Scanner belongs to the goroutine that reads the connection; the functions are safe for
// concurrent use.
//
// See docs/PROTOCOL.md, sections "Frames" and "Bad input".
package wire
