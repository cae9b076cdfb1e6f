package cocaine

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Options configure a Client. The zero value is ready.
type Options struct {
	// Locators are the addresses of locators, host:port, in order of preference.
	// If empty, the environment variable COCAINE_LOCATOR names them, separated
	// by commas; if that is empty too, 127.0.0.1:10053.
	Locators []string
	// DialTimeout bounds finding and connecting to one service: each endpoint
	// gets its share of what is left. If zero, 5 s.
	DialTimeout time.Duration
	// MaxFrame bounds the size of one message from a service. A service that
	// sends a larger one is disconnected. If zero, 128 MiB and 64 KiB.
	MaxFrame int
	// Logger receives what the client has to say about its connections. If nil,
	// slog.Default().
	Logger *slog.Logger
	// Dial makes the connections. If nil, a net.Dialer that probes idle
	// connections does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	defaultDialTimeout = 5 * time.Second
	defaultMaxFrame    = 128<<20 + 64<<10
)

// A Client finds services and keeps one connection to each that is used. Make it
// with New, end it with Close. It may be used by any number of goroutines.
type Client struct {
	opts    Options
	log     *slog.Logger
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup // the goroutines that keep connections
	locator *connector

	mu       sync.Mutex
	closed   bool
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
		opts.Dial = newDialer().DialContext
	}
	c := &Client{opts: opts, log: opts.Logger, services: make(map[string]*connector)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.locator = &connector{client: c, name: locatorName, find: locatorResolution(locators)}
	return c, nil
}

// newDialer probes connections that are idle, so that a machine which went away
// without a word is noticed in about half a minute.
func newDialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 5,
	}}
}

// Service gives a handle on a service by name. It does no I/O and never fails:
// what is wrong with the name shows in the first call. Handles of one name share
// one connection. The name "locator" stands for the locator itself.
func (c *Client) Service(name string) *Service {
	return &Service{conn: c.connector(name)}
}

func (c *Client) connector(name string) *connector {
	if name == locatorName {
		return c.locator
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.services[name]
	if s == nil {
		s = &connector{client: c, name: name}
		s.find = func(ctx context.Context) (*Resolution, error) { return c.Locator().Resolve(ctx, name) }
		c.services[name] = s
	}
	return s
}

// Close disconnects from every service. Calls that are under way, and any made
// later, fail with ErrClosed. It returns when the client's goroutines have ended;
// further calls do nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// spawn runs f in a goroutine that Close waits for. It reports false once the
// client is closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}
