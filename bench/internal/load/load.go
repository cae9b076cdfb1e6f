//go:build linux

// Package load is the raw client: it keeps a number of requests in flight over
// one or more connections and measures how long each takes.
//
// It is one loop on one goroutine: read what there is, match answers to their
// requests, append a new request for each finished one, write everything in one
// system call per connection, and only then wait. A request's clock starts when
// the batch of answers that made room for it had been read, so the client's own
// work counts as latency, never as a saving.
package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
	"github.com/cocaine/cocaine-go/bench/internal/control"
	"github.com/cocaine/cocaine-go/bench/internal/frame"
	"github.com/cocaine/cocaine-go/bench/internal/sock"
)

// A Shape is what one request looks like on the wire.
type Shape struct {
	// Requests are sent in turn. Each is the frames of one request, encoded
	// without their channels (frame.Tail).
	Requests [][][]byte
	// Last is the message type that ends a good answer.
	Last uint64
	// Chunk, when not nil, is args and headers that every other frame of the
	// answer must carry, once.
	Chunk []byte
}

// Echo is the shape of an app call with one chunk each way.
func Echo(event string, payload []byte) Shape {
	request := control.EchoRequest(event, payload)
	chunk := request[1]
	return Shape{
		Requests: [][][]byte{request},
		Last:     frame.Close,
		Chunk:    chunk[1 : len(chunk)-1], // its args; headers are the server's own business
	}
}

// Method is the shape of a plain method: one frame there, a value back.
func Method(requests ...[]byte) Shape {
	s := Shape{Last: frame.Value}
	for _, r := range requests {
		s.Requests = append(s.Requests, [][]byte{r})
	}
	return s
}

// Options of a run.
type Options struct {
	closedloop.Options
	Network, Address string
	Shape            Shape
}

// Run keeps o.InFlight requests going until the time is over. The first error
// ends it: a benchmark of failures would only flatter.
func Run(o Options) (*closedloop.Result, error) {
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.run(); err != nil {
		return nil, fmt.Errorf("cannot measure %s: %w", o.Address, err)
	}
	return c.clock.Result(), nil
}

type client struct {
	o      Options
	poller *sock.Poller
	conns  []*conn
	byFD   map[int]*conn
	clock  *closedloop.Recorder
	turn   int // next connection to be used when there are fewer requests than connections
	next   int // next of Shape.Requests
	open   int // requests in flight
}

func newClient(o Options) (*client, error) {
	p, err := sock.NewPoller()
	if err != nil {
		return nil, err
	}
	c := &client{o: o, poller: p, byFD: make(map[int]*conn)}
	for range o.Connections {
		s, err := sock.Dial(o.Network, o.Address)
		if err != nil {
			c.close()
			return nil, err
		}
		n := newConn(s, o.InFlight)
		c.conns = append(c.conns, n)
		c.byFD[s.FD()] = n
		if err := p.Add(s.FD(), sock.Readable); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *client) close() {
	for _, n := range c.conns {
		n.sock.Close()
	}
	c.poller.Close()
}

func (c *client) run() error {
	c.clock = closedloop.NewRecorder(c.o.Options)
	for i := range c.o.InFlight {
		c.request(c.conns[i%len(c.conns)], 0)
	}
	if err := c.flush(); err != nil {
		return err
	}
	for c.open > 0 {
		if err := c.step(); err != nil {
			return err
		}
	}
	return nil
}

// step waits for answers, takes them all in and sends what they make room for.
func (c *client) step() error {
	left := c.clock.Left()
	if left <= 0 {
		return fmt.Errorf("%d requests got no answer", c.open)
	}
	ready, err := c.poller.Wait(left)
	if err != nil {
		return err
	}
	for _, r := range ready {
		if r.Readable {
			if err := c.read(c.byFD[r.FD]); err != nil {
				return err
			}
		}
	}
	return c.flush()
}

func (c *client) read(n *conn) error {
	if err := n.fill(); err != nil {
		if errors.Is(err, sock.ErrWouldBlock) {
			return nil
		}
		return fmt.Errorf("cannot read: %w", err)
	}
	now := c.clock.Now()
	rest := n.in[:n.have]
	for {
		f, size, err := frame.Next(rest)
		if errors.Is(err, frame.ErrShort) {
			break
		}
		if err != nil {
			return err
		}
		rest = rest[size:]
		if err := c.answer(n, f, now); err != nil {
			return err
		}
	}
	n.keep(rest)
	return nil
}

func (c *client) answer(n *conn, f frame.Frame, now time.Duration) error {
	s := n.slot(f.Channel)
	if s == nil {
		return fmt.Errorf("an answer on channel %d, which is not open", f.Channel)
	}
	if f.Type != c.o.Shape.Last {
		if f.Type == frame.Write && c.o.Shape.Chunk != nil && !s.chunk && sameArgs(f.Args(), c.o.Shape.Chunk) {
			s.chunk = true
			return nil
		}
		if f.Type == frame.ValueErr {
			return fmt.Errorf("answered with an error: %w", frame.ErrorAt(f.Args()))
		}
		return fmt.Errorf("an answer of type %d that was not expected, or not what was sent", f.Type)
	}
	if c.o.Shape.Chunk != nil && !s.chunk {
		return fmt.Errorf("an answer without its chunk")
	}
	start := s.start
	n.release(s)
	c.open--
	c.clock.Record(start, now)
	if !c.clock.Over(now) {
		c.request(c.successor(n), now)
	}
	return nil
}

// sameArgs compares the whole payload: it costs a few nanoseconds for small ones
// and proves that the echo is one.
func sameArgs(got, want []byte) bool {
	return len(got) >= len(want) && string(got[:len(want)]) == string(want)
}

// successor is the connection for the request that replaces one on n: the same,
// or, when there are fewer requests than connections, the next in turn.
func (c *client) successor(n *conn) *conn {
	if c.o.InFlight >= len(c.conns) {
		return n
	}
	c.turn = (c.turn + 1) % len(c.conns)
	return c.conns[c.turn]
}

func (c *client) request(n *conn, now time.Duration) {
	tails := c.o.Shape.Requests[c.next]
	if c.next++; c.next == len(c.o.Shape.Requests) {
		c.next = 0
	}
	channel := n.claim(now)
	for _, t := range tails {
		n.out = frame.AppendTail(n.out, channel, t)
	}
	c.open++
}

func (c *client) flush() error {
	for _, n := range c.conns {
		if len(n.out) == n.sent {
			continue
		}
		waiting, err := n.flush()
		if err != nil {
			return fmt.Errorf("cannot write: %w", err)
		}
		if waiting == n.waiting {
			continue
		}
		n.waiting = waiting
		interest := sock.Readable
		if waiting {
			interest |= sock.Writable
		}
		if err := c.poller.Change(n.sock.FD(), interest); err != nil {
			return err
		}
	}
	return nil
}
