package cocaine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A connector keeps the connection to one service. Any number of goroutines ask
// for it; one attempt at a time is made on behalf of all of them.
//
//	link() ── alive? ──▶ the link
//	   └─ none ──▶ join the attempt, or start one:
//	               back off ─▶ find ─▶ dial each endpoint ─▶ publish ─▶ run until lost
//
// The goroutine of an attempt goes on as the reader of the session it made. It
// belongs to the client, not to the caller that happened to start it: a caller
// that gives up takes nothing from the others.
type connector struct {
	client *hub
	name   string
	find   func(ctx context.Context) (*Resolution, error)

	current atomic.Pointer[link] // the live connection; nil when there is none
	budget  budget               // of the repeats of its calls
	ended   [outcomes]atomic.Uint64
	retries atomic.Uint64

	mu       sync.Mutex           // guards the fields below
	failed   map[string]time.Time // endpoints that failed lately, and when
	attempt  *attempt             // under way; nil when there is none
	failures int                  // attempts in a row that found no endpoint to connect to
	retryAt  time.Time            // when the next attempt may start
}

// An attempt to connect. Its fields are set before done is closed.
type attempt struct {
	done chan struct{}
	link *link
	err  error
}

// Delays after failed attempts: they double from the first to the last, and each
// is cut by a random part so that clients do not come back in step.
const (
	firstDelay = 10 * time.Millisecond
	lastDelay  = time.Second
)

// link gives the live connection, making one if there is none.
func (c *connector) link(ctx context.Context) (*link, error) {
	if c.client.closed.Load() {
		return nil, ErrClosed
	}
	if l := c.current.Load(); l != nil && l.alive() {
		return l, nil
	}
	a, err := c.join()
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
		return a.link, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot connect to service %q: %w", c.name, ended(ctx))
	}
}

// state tells how the connection stands now.
func (c *connector) state() State {
	if l := c.current.Load(); l != nil && l.alive() {
		return Connected
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt != nil {
		return Connecting
	}
	return Idle
}

// join gives the attempt under way, starting one if there is none.
func (c *connector) join() (*attempt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt != nil {
		return c.attempt, nil
	}
	if l := c.current.Load(); l != nil && l.alive() { // made since the caller looked
		done := make(chan struct{})
		close(done)
		return &attempt{done: done, link: l}, nil
	}
	a := &attempt{done: make(chan struct{})}
	if !c.client.spawn(func() { c.run(a, time.Until(c.retryAt)) }) {
		return nil, ErrClosed
	}
	c.attempt = a
	return a, nil
}

// run makes one attempt and serves the connection it leads to until it ends.
func (c *connector) run(a *attempt, delay time.Duration) {
	ctx := c.client.ctx
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
	l, err := c.establish(ctx)
	if ctx.Err() != nil && l == nil {
		err = ErrClosed
	}
	c.publish(a, l, err)
	if l == nil {
		return
	}
	log := c.client.log.With("service", c.name, "endpoint", l.endpoint)
	log.Debug("connected to service")
	err = l.session.Run(ctx)
	c.current.CompareAndSwap(l, nil)
	if ctx.Err() == nil {
		log.Debug("connection to service lost", "cause", err)
	}
}

// publish ends the attempt.
func (c *connector) publish(a *attempt, l *link, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.link, a.err = l, err
	switch {
	case l != nil:
		c.current.Store(l)
		c.failures, c.retryAt = 0, time.Time{}
	case failedToConnect(err):
		delay := min(firstDelay<<min(c.failures, 16), lastDelay)
		c.failures++
		c.retryAt = time.Now().Add(delay/2 + rand.N(delay/2))
	}
	c.attempt = nil
	close(a.done)
}

// failedToConnect tells a network that does not answer from a locator that
// answers no: only the former is worth sparing.
func failedToConnect(err error) bool {
	_, ok := errors.AsType[*ConnectError](err)
	return ok
}

// establish finds the service and connects to the first endpoint that lets it.
func (c *connector) establish(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, c.client.opts.DialTimeout)
	defer cancel()
	r, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	failed := &ConnectError{Service: c.name}
	for i, endpoint := range c.order(r.Endpoints) {
		session, err := c.dial(ctx, endpoint, len(r.Endpoints)-i)
		if err == nil {
			c.trust(endpoint)
			return newLink(session, endpoint, r), nil
		}
		c.distrust(endpoint)
		failed.Attempts = append(failed.Attempts, err)
	}
	if len(failed.Attempts) == 0 {
		failed.Attempts = []error{errors.New("it has no endpoints")}
	}
	return nil, failed
}

// drop ends a connection that takes calls and does not answer them: the next
// attempt tries the other endpoints first.
func (c *connector) drop(l *link) {
	c.distrust(l.endpoint)
	l.dropped.Store(true)
	_ = l.session.Close() // returns no error
}

// dial connects to one of several endpoints that are left, within its share of
// the time that is left.
func (c *connector) dial(ctx context.Context, endpoint string, left int) (*rpc.Session, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	network, address := "tcp", endpoint
	if path, ok := strings.CutPrefix(endpoint, unixPrefix); ok {
		network, address = "unix", path
	}
	conn, err := c.client.opts.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return rpc.NewSession(conn, rpc.SessionOptions{
		Limits: wire.Limits{MaxFrame: c.client.opts.MaxFrame},
		Log:    c.client.log,
		Stats:  &c.client.sessions,
	}), nil
}
