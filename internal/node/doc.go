// Package node is the node service: the table of apps, and what happens to each
// of them from start to stop.
//
//	start_app ─▶ read manifest, profile, code ─▶ spool ─▶ engine ─▶ publish
//	deploy    ─▶ the same beside the running engine; once a worker of the new
//	             release is ready requests go there, and the old one drains
//	pause_app ─▶ unpublish ─▶ drain ─▶ terminate
//
// # Concurrency
//
// The table is one map under a short lock. Each App has its own lock and state;
// start, deploy and pause of one app exclude each other, and nothing that one app
// does - reading storage, spooling, draining - is done under a lock that another
// one needs.
//
// # What survives
//
// The runlist record says which apps ought to run, under the name that the
// original's boot option used. It is written after an app has started and before
// the call is answered, so an acknowledged start survives the death of the
// runtime; Boot starts what it lists and keeps trying.
package node
