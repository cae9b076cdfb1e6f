// Package archive packs an app's code into one file and unpacks it safely.
//
// [Pack] is deterministic: the same files give the same bytes, whoever packs
// them, wherever and whenever. Entries are sorted, owners and times are dropped,
// modes are reduced to "executable or not". The digest (sha256 of the archive)
// therefore names the code, and an unchanged app is recognised as such. (The
// compressed form is as stable as compress/flate: a new Go release may change it.)
//
// [Unpack] takes archives from strangers. It guarantees, whatever the bytes:
//
//  1. nothing is created, changed or linked outside the destination, which is
//     enforced twice: by checks on the names and links of entries, and by os.Root,
//     which opens every path relative to the destination's descriptor;
//  2. no symbolic link that was unpacked leads outside, not even through others;
//  3. only directories, regular files, symbolic links and hard links appear, with
//     no setuid, setgid or sticky bit, owned by the caller, subject to its umask;
//  4. no more than Limits.MaxBytes bytes in Limits.MaxFiles entries, however well
//     they compress.
//
// What it refuses it names: every error about an entry is an [*EntryError] that
// wraps one of the Err values. After an error the destination holds what was
// unpacked so far; callers unpack into a directory of their own and remove it.
//
// What the original's tools upload is read too: tar, plain or in gzip, zlib or
// bzip2.
//
// Functions of this package keep no state and may be called concurrently, on
// different destinations.
package archive
