// Package storage keeps blobs by collection and key, findable by tags. The whole
// platform rests on it: manifests, profiles, archives, runlists, routing groups,
// crash logs (docs/PROTOCOL.md, storage).
//
// # Model
//
// A collection is a namespace that exists as long as something is in it. A key
// holds one value of any bytes, from none to MaxValue, and a set of tags. A write
// replaces the value and adds its tags to those the key has; only removing the key
// takes tags away. That is how the original behaves, and old tools count on it.
// Find gives the keys that have all of some tags, sorted bytewise; for no tags it
// finds nothing.
//
// # Guarantees
//
//  1. A write that returned nil is durable: it survives the death of the process
//     and, in a directory of our own, of the machine.
//  2. A reader sees the value of one write, whole, never a mixture and never a
//     part. A write that failed or was cut off by a crash leaves the old value, or
//     the new one, with its tags.
//  3. Writes of one key are atomic and ordered; after a write returned, every read
//     and find in this process sees it.
//
// # How JetStream holds it
//
// Each key is one message of a KV bucket: its tags in the message's header, and
// its value in the body if it is small. A larger value is a blob, written first,
// in chunks, under a fresh name; the message that refers to it is the commit:
//
//	bucket "storage":  apps.hello ──▶ tags=app  blob=k3f9..  size=20971520
//	                                              │
//	blobs "storage":                 k3f9..  [chunk 0][chunk 1] ... [head]
//
// The replaced blob is deleted after the commit. A reader who loses that race
// reads the key again. A blob that no key refers to, because a crash came between
// the two steps, is deleted when the store is opened.
//
// The tags of all keys are kept in memory and follow the bucket by a watch of
// headers only, so Find costs no I/O, at about 200 bytes of memory a key. Stored
// indices were the alternative; they would need a second write per key, which
// cannot be made atomic with the first. Find waits until the watch has passed the
// last write of this process.
//
// # Concurrency
//
// Stores are safe for concurrent use. A value given to Write is not kept, a value
// from Read belongs to the caller.
package storage
