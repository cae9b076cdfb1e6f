// Package locator is the service that turns names into addresses: the first
// thing every client asks, and the only port it has to know.
//
//	daemon ── Expose ──▶ ┌───────────┐ ◀── resolve ──── any client
//	publisher ─ publish ▶│ directory │ ──▶ connect ───▶ peer locators (what is here, and each change)
//	                     ├───────────┤
//	storage ─ refresh ──▶│  groups   │ ──▶ routing ───▶ proxies (the whole table, after each refresh)
//	                     └───────────┘
//
// # The model
//
// The directory holds the services that this node offers, each under one name.
// The node's own are exposed by the daemon; external ones are published by a
// client and live exactly as long as the channel that published them. A name
// belongs to whoever took it first: a second taker is refused, and leaving
// gives up nothing but one's own [Registration].
//
// A routing group is a name that stands for several services by weight. A
// resolve first replaces a group's name by the group's choice for the given
// seed, once, and then looks in the directory. Groups are records of the
// storage collection "groups", read when the locator opens and again when a
// client says refresh.
//
// # Promises
//
//  1. A resolve does no I/O and waits for nobody: its reply is encoded when the
//     service is registered. Endpoints are numeric, ready to be dialled.
//  2. A group that cannot be read never costs more than itself: it is logged
//     and left out. A refresh takes effect as a whole or not at all.
//  3. A subscriber sees a state of the directory and then, in order, enough
//     changes to arrive at every later one. A slow subscriber skips states in
//     between; it never delays anyone, and what waits for it is bounded by the
//     number of services (connect) or is one table (routing).
//
// # Concurrency contract
//
// All methods of [Locator] and [Registration] may be called from any goroutine.
// One mutex guards the directory, the groups and the lists of subscribers; it
// is never held across I/O. Open starts one goroutine; Close waits for it.
//
// What differs from the original v0.12 runtime is in
// docs/design/0002-locator.md.
package locator
