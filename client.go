package cocaine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/rpc"
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
type Client struct {
	opts     Options
	log      *slog.Logger
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup // the goroutines that keep connections
	locator  *connector
	locators int         // how many there are
	sessions rpc.Stats   // of all connections
	closed   atomic.Bool // set under mu

	unaries sync.Pool // of *unary

	mu       sync.Mutex
	services map[string]*connector
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
	c := &Client{opts: opts, log: opts.Logger, locators: len(locators), services: make(map[string]*connector)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.locator = &connector{client: c, name: locatorName, find: locatorResolution(locators)}
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
	return &Service{conn: c.connector(name)}
}

// made reports whether New made the client. Calls of services of any other are
// ErrBadArgument.
func (c *Client) made() bool { return c != nil && c.services != nil }

func (c *Client) connector(name string) *connector {
	if !c.made() {
		return nil
	}
	if name == locatorName {
		return c.locator
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.services[name]
	if s == nil {
		s = &connector{client: c, name: name}
		s.find = func(ctx context.Context) (*Resolution, error) { return c.resolve(ctx, name) }
		c.services[name] = s
	}
	return s
}

// resolve asks the locators, one after the other, until one answers. Each has its
// share of the time, and so has connecting to the service later.
func (c *Client) resolve(ctx context.Context, name string) (*Resolution, error) {
	again := true
	for left := c.locators; ; {
		part, cancel := share(ctx, left, c.locators)
		r, err := c.Locator().ask(part, name, "")
		silent := part.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case !silent && again && errors.Is(err, ErrDisconnected): // asking twice does no harm
			again = false
			continue
		case !silent || left <= 1:
			return r, err
		}
		left--
		failed, ok := errors.AsType[*ResolveError](err)
		if l := c.locator.current.Load(); ok && l != nil && l.endpoint == failed.Locator { // it may be another by now
			c.log.Warn("locator does not answer", "locator", l.endpoint, "service", name)
			c.locator.drop(l)
		}
	}
}

// share bounds the time for one of several locators that are left to be asked. The
// only one that there is may take all of it.
func share(ctx context.Context, left, all int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || all == 1 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left+1))
}

// lastWords is how long Close waits for the network to take what was sent.
const lastWords = time.Second

// Close disconnects from every service. What was sent leaves first, as far as the
// network takes it within a second: messages that want no answer, such as log
// records, are not lost by it. Calls that are under way, and any made later, fail
// with ErrClosed. It returns when the client's goroutines have ended; further calls
// do nothing.
func (c *Client) Close() error {
	if !c.made() {
		return nil
	}
	c.mu.Lock()
	closed := c.closed.Swap(true)
	c.mu.Unlock()
	if !closed {
		c.drain()
	}
	c.cancel()
	c.wg.Wait()
	return nil
}

// drain waits until everything that was sent has left.
func (c *Client) drain() {
	ctx, cancel := context.WithTimeout(c.ctx, lastWords)
	defer cancel()
	for _, s := range c.connectors() {
		if l := s.current.Load(); l != nil {
			l.session.Drain(ctx)
		}
	}
}

func (c *Client) connectors() []*connector {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(slices.Collect(maps.Values(c.services)), c.locator)
}

// spawn runs f in a goroutine that Close waits for. It reports false once the
// client is closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false
	}
	c.wg.Go(f)
	return true
}
