// Package codec turns Go values of users into the bytes that travel in the
// arguments and chunks of Cocaine's frames, and back.
//
// There are three formats. Msgpack is the one that services speak and the
// default everywhere. JSON and plain bytes are for the chunks of apps whose
// callers ask for them with a content-type header.
//
// # Msgpack
//
// What is written is the old dialect (docs/PROTOCOL.md, Dialect): one raw type
// for strings and byte slices, no str8, bin or ext. What is read may be either
// dialect. The type of the target decides whether a raw becomes a string or a
// byte slice, since the wire does not know.
//
//	Go                              msgpack
//	string, []byte                  raw
//	nil slices and maps             empty array, map or raw, never nil
//	struct                          map; the tags codec and json name the keys
//	time.Time                       raw of 4, 8 or 12 bytes (the timestamp format)
//	Raw                             copied as it is
//	channels, functions             nil
//
// Decoding takes a struct from a map or, by position, from an array. A target of
// type any gets nil, bool, int64 (uint64 only above the largest int64), float64,
// string, []any or map[string]any; keys that are numbers or booleans become text.
// Keys of maps below a field of type any must be raw.
//
// # Limits
//
// Input is walked once before it is decoded, so that a length claimed without
// the bytes to show for it, nesting deeper than MaxDepth, an ext tag or bytes
// after the value are refused before anything is allocated for them.
//
// All functions may be called from any goroutine. Nothing decoded aliases the
// input.
package codec
