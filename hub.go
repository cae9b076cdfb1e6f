package cocaine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A hub is what a Client is a handle on: the connections, and the goroutines that keep
// them. It knows nothing of the handle, so that the runtime can tell when nobody holds
// that any more.
type hub struct {
	opts     Options
	maker    uintptr // the program counter of whoever called New
	log      *slog.Logger
	ctx      context.Context // ends with close
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

// newHub makes the hub of a client, for the caller of its caller.
func newHub(opts Options, locators []string) *hub {
	c := &hub{opts: opts, maker: callerOf(1), log: opts.Logger, locators: len(locators), services: make(map[string]*connector)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.locator = &connector{client: c, name: locatorName, find: locatorResolution(locators)}
	return c
}

// abandoned is called when nobody holds the Client any more. To end the connections is
// not for the garbage collector: a stream may still be in use.
func (c *hub) abandoned() {
	open := c.sessions.Sessions.Load()
	if c.closed.Load() || open == 0 {
		return
	}
	c.log.Warn("client was not closed, and nobody holds it any more", "connections", open, "made", place(c.maker))
}

// close ends everything, as Client.Close says.
func (c *hub) close() {
	c.mu.Lock()
	closed := c.closed.Swap(true)
	c.mu.Unlock()
	if !closed {
		c.drain()
	}
	c.cancel()
	c.wg.Wait()
}

// lastWords is how long Close waits for the network to take what was sent.
const lastWords = time.Second

// drain waits until everything that was sent has left.
func (c *hub) drain() {
	ctx, cancel := context.WithTimeout(c.ctx, lastWords)
	defer cancel()
	for _, s := range c.connectors() {
		if l := s.current.Load(); l != nil {
			l.session.Drain(ctx)
		}
	}
}

// connector gives the one of a service.
func (c *hub) connector(name string) *connector {
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

func (c *hub) connectors() []*connector {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(slices.Collect(maps.Values(c.services)), c.locator)
}

// spawn runs f in a goroutine that Close waits for. It reports false once the
// client is closed.
func (c *hub) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false
	}
	c.wg.Go(f)
	return true
}

// resolve asks the locators, one after the other, until one answers. Each has its
// share of the time, and so has connecting to the service later.
func (c *hub) resolve(ctx context.Context, name string) (*Resolution, error) {
	locator, again := Locator{&Service{conn: c.locator}}, true
	for left := c.locators; ; {
		part, cancel := share(ctx, left, c.locators)
		r, err := locator.ask(part, name, "")
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
