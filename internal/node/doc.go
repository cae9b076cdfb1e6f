// Package node is the node service: the table of apps, and what happens to each
// of them from start to stop.
//
//	start_app ─▶ read manifest, profile, code ─▶ spool ─▶ engine ─▶ publish
//	deploy    ─▶ the same beside the running engine; once the new release has the
//	             workers that the load takes, requests go there, and the old one
//	             drains
//	pause_app ─▶ unpublish ─▶ drain every release ─▶ terminate
//
// # Concurrency
//
// The table is one map under a short lock. Start, deploy and pause of one app take
// turns (App.inTurn); a pause interrupts whoever has the turn. Nothing that one app
// does - reading storage, spooling, being published, draining - is done under a
// lock that another one needs, or its own info.
//
// # What survives
//
// The runlist record says which apps ought to run, under the name that the
// original's boot option used. It is written in the app's turn, after it has
// started and before the call is answered, so an acknowledged start survives the
// death of the runtime. Boot starts what it lists and keeps trying; what fails is
// listed as broken until it runs or somebody pauses it.
package node
