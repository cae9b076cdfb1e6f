// Package cluster is what a node knows of the others: which there are, and which
// services each of them has.
//
//	Multicast  ──┐ Link, Drop                       ┌──▶ Choose ── locator.resolve
//	             ├──────────▶ Links ──▶ directory ──┤
//	Predefined ──┘              │ uuid, connect     └──▶ Nodes ─── locator.cluster
//	                            ▼
//	                    locators of other nodes
//
// # The model
//
// Discovery says which nodes there are: [Multicast] by the datagrams that nodes send
// to a group, [Links.Predefine] by a list. For each of them Links keeps a link: a
// connection to the node's locator on which that announces its services, first all of
// them and then each change. What the linked nodes announce makes up a directory, from
// which [Links.Choose] picks one of the nodes that have a service, at random. When a
// link is lost, so are the services that came over it, at once; it is made anew for as
// long as discovery has the node.
//
// Before it asks a node for its services a link asks it who it is. So it never takes
// one node for another that used to be at its address, and never disturbs the link
// that another address of the same node has: a node sends its announcements to one
// connection of each peer.
//
// # What a node may say
//
// Everything that comes from the network is judged before anything is made of it. An
// announcement with wrong types, of somebody else, or beyond the limits costs a node
// its link and its services, and nothing else. Which nodes may speak at all is a matter
// of the network: whoever reaches the multicast group can name a node, and a node that
// is linked can announce a service under any name that this node does not have itself.
//
// # Concurrency contract
//
// All methods of [Links] and [Multicast] may be called from any goroutine. Links has
// one goroutine for each link, Multicast has two; Close waits for them.
//
// What differs from the original v0.12 runtime is in docs/design/0007-cluster.md.
package cluster
