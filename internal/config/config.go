// Package config holds the configuration of a Cocaine server.
//
// A setting has a dotted key such as "network.port" and comes from the first of
// these that has it:
//
//	command line    --network.port 0 or the option that stands for it
//	environment     COCAINE_NETWORK_PORT=0
//	file            [network]
//	                port = 0
//	default
//
// [Load] puts the layers together, checks the result and remembers for every
// setting which layer it came from; [Config.Settings] tells. What is wrong is
// reported all at once, with the place it was written at.
//
// Settings are described in one table, from which loading, explaining, the
// default file ([WriteDefault]) and the reference in docs/CONFIG.md follow.
// Sections and keys are named as in the configuration of the original where it
// has the like.
//
// A loaded Config is plain data: safe to share as long as nobody changes it.
package config

import (
	"time"
)

// Config is the configuration of a server.
type Config struct {
	Network Network
	Paths   Paths
	Limits  Limits
	Logging Logging
	State   State
	Node    Node
	TLS     TLS
	// Authentication says who is believed to call, Authorizations what is asked before
	// something is done.
	Authentication Authentication
	Authorizations Authorizations
	Cluster        Cluster
	// Services are those that run because they are named here, by name.
	Services map[string]Service

	defaults map[string]string // what Settings shows as default, by key
	origins  map[string]Origin // by key; absent means default
	notes    []Note            // about a file of the original runtime
	written  map[string]string // services as TOML, by the key of their setting
}

// Network says where services listen and what is told to clients.
type Network struct {
	// Endpoint is the IP address that every service listens on.
	Endpoint string
	// Port is the locator's. 0 lets the system choose.
	Port int
	// Hostname is advertised when Endpoint stands for all addresses. Empty means
	// the name of the machine.
	Hostname string
	// Pinned gives services fixed ports.
	Pinned map[string]int
	// Shared is where the ports of other services come from. The zero range lets
	// the system choose.
	Shared PortRange
	// Insecure permits listening on addresses that other machines reach.
	Insecure bool
}

// PortRange is the ports from Min up to, but not including, Max.
type PortRange struct {
	Min, Max int
}

// Paths are the directories of the server. They are absolute.
type Paths struct {
	State   string // what must survive a restart
	Runtime string // worker sockets
	Spool   string // unpacked apps
}

// Limits bound what one connection or all of them may use.
type Limits struct {
	Frame       int64         // bytes of a frame
	Buffer      int64         // bytes waiting for one connection
	Memory      int64         // bytes that all connections may take together
	Stall       time.Duration // how long a peer may take no byte
	Channels    int           // open channels of a connection
	Calls       int           // calls of a connection that run at once
	Connections int           // connections of a service
}

// Logging configures the server's log and the store of the apps' logs.
type Logging struct {
	Severity   string // debug, info, warning or error
	Format     string // text or json
	StoreBytes int64  // bytes of log kept for an app
	StoreAge   time.Duration
}

// State configures where shared state lives.
type State struct {
	// URL is an external NATS server or a list of them, separated by commas.
	// Empty means that the server keeps its own state in Paths.State.
	URL string
}

// Node configures the node service.
type Node struct {
	Runlist string        // name of the runlist started with the server
	Grace   time.Duration // how long running requests may take to end at a stop
}

// TLS are the files by which connections from other machines are secured; empty for
// none. They are absolute.
type TLS struct {
	Cert, Key string
	ClientCA  string // authority of the clients' certificates
	ClusterCA string // authority of the other nodes' certificates
}

// Authentication configures how callers are told apart.
type Authentication struct {
	// Type is Promiscuous, which believes every caller the user ids that he says he
	// has, or ByToken, which refuses who has no token.
	Type string
	// Tokens are lines "NAME UID SHA256", TokenFile a file of such lines, "" for none.
	Tokens    []string
	TokenFile string
	// Workers are the user ids under which the workers of apps call services, by app.
	Workers map[string]uint64
}

// Types of authentication.
const (
	Promiscuous = "promiscuous"
	ByToken     = "token"
)

// Authorizations say which permissions are checked. Each is either disabled or the
// name of what it protects.
type Authorizations struct {
	Storage string // collections: disabled or storage
	Unicorn string // subtrees: disabled or unicorn
	Event   string // starting and stopping apps: disabled or event
}

// Disabled is the type of an authorization that permits everything.
const Disabled = "disabled"
