package cocaine

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"time"
)

// Options configure a Client. The zero value is ready.
type Options struct {
	// Locators are the addresses of locators, host:port or unix:PATH, in order of
	// preference: when one cannot be connected to, or does not answer, the next is
	// asked, and that one is asked last for the next half a minute. If empty, the
	// environment variable COCAINE_LOCATOR names them, separated by commas; if that is
	// empty too, 127.0.0.1:10053.
	Locators []string
	// DialTimeout bounds finding and connecting to one service: each locator and
	// each endpoint gets its share of what is left. If zero, 5 s.
	//
	// Of the endpoints that a service has, those on this machine are tried first, if
	// the locator is on this machine as well: else a loopback address leads to the
	// wrong one, and is tried last. The others follow by kind, numeric IPv4, numeric
	// IPv6, name, in the order in which the locator has the kinds, and in one kind in
	// an order that is drawn anew each time: clients spread over endpoints that are
	// alike. Endpoints that failed in the last half a minute come after all others.
	// With one connection to each service this chooses an endpoint for the life of
	// the connection, not for each call.
	DialTimeout time.Duration
	// MaxFrame bounds the size of one message from a service. A service that
	// sends a larger one is disconnected. If zero, 128 MiB and 64 KiB.
	MaxFrame int
	// Logger receives what the client has to say about its connections. If nil,
	// slog.Default().
	Logger *slog.Logger
	// KeepAlive says how connections that are idle are probed. If zero, after 10 s,
	// every 5 s, 5 times: a machine that went away without a word is noticed in
	// about half a minute. One without Enable, and with another field that is not
	// zero, turns the probes off. It is not used together with Dial.
	KeepAlive net.KeepAliveConfig
	// Dial makes the connections, for TLS or a way through a proxy. The network is
	// tcp or unix. If nil, a net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Retry says which calls are made again. The zero policy repeats once what
	// certainly was not sent.
	Retry RetryPolicy
	// Token gives the credentials that every call carries. If nil, there are none.
	// CallOptions.Token replaces it for the calls of a handle.
	Token TokenSource
	// Observer, if not nil, hears of every call when it is over.
	Observer Observer
}

const (
	defaultDialTimeout = 5 * time.Second
	defaultMaxFrame    = 128<<20 + 64<<10
)

// A Client finds services and keeps one connection to each that is used. Make it
// with New, end it with Close. It may be used by any number of goroutines.
//
// One that is not closed keeps its connections for as long as the process lives, even
// if nobody holds it any more, nor a handle that it has made. When the garbage
// collector finds such a one, and it has connections, the Logger is told where it was
// made. A client without a connection holds nothing, and need not be closed.
type Client struct {
	*hub // nil of one that New did not make
}

// New makes a client. It does no I/O: the error is about the options.
func New(opts Options) (*Client, error) {
	locators, err := opts.locators()
	if err != nil {
		return nil, err
	}
	if opts.DialTimeout <= 0 {
		opts.DialTimeout = defaultDialTimeout
	}
	if opts.MaxFrame <= 0 {
		opts.MaxFrame = defaultMaxFrame
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Dial == nil {
		opts.Dial = newDialer(opts.KeepAlive).DialContext
	}
	opts.Retry = opts.Retry.withDefaults()
	c := &Client{newHub(opts, locators)}
	runtime.AddCleanup(c, (*hub).abandoned, c.hub)
	return c, nil
}

func newDialer(probe net.KeepAliveConfig) *net.Dialer {
	if probe == (net.KeepAliveConfig{}) {
		probe = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 5}
	}
	if !probe.Enable {
		return &net.Dialer{KeepAlive: -1} // else the dialer has probes of its own
	}
	return &net.Dialer{KeepAliveConfig: probe}
}

// Service gives a handle on a service by name. It does no I/O and never fails:
// what is wrong with the name shows in the first call. Handles of one name share
// one connection. The name "locator" stands for the locator itself.
func (c *Client) Service(name string) *Service {
	if !c.made() {
		return &Service{}
	}
	return &Service{conn: c.connector(name), client: c}
}

// made reports whether New made the client. Calls of services of any other are
// ErrBadArgument.
func (c *Client) made() bool { return c != nil && c.hub != nil }

// Close disconnects from every service. What was sent leaves first, as far as the
// network takes it within a second: messages that want no answer, such as log
// records, are not lost by it. Calls that are under way, and any made later, fail
// with ErrClosed. It returns when the client's goroutines have ended; further calls
// do nothing.
func (c *Client) Close() error {
	if !c.made() {
		return nil
	}
	c.close()
	runtime.KeepAlive(c)
	return nil
}
