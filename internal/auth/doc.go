// Package auth answers two questions before a method of the runtime runs: who
// calls, and may he.
//
//	call ──▶ Authenticator ──▶ Identity ──▶ authorizer of the service ──▶ method
//	          header "authorization"          records in storage, unicorn
//
// An [Identity] is a list of client ids and a list of user ids, as in the original;
// either may be empty, and who has neither is anonymous. A [Record] says what ids
// may do with one thing: a collection of the storage, or what lies below one name at
// the top of unicorn. A thing without a record is open to all, and belongs to the
// first known identity that changes it. The records are those of the original, at
// the same places, in the same encodings (docs/PROTOCOL.md, Permissions).
//
// Services know nothing of this: a [Gate] puts the questions into the options of
// their Mux. Who calls the runtime's parts from inside the process is not asked.
//
// # Concurrency contract
//
// Everything here may be used by any number of goroutines. Nothing is cached: a
// record counts from the moment it is written, and is written only in the place of
// the one it was made from, so that of several who are first one is.
package auth
