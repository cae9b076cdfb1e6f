// Package natsecho is request-reply over NATS: the same two hops as a call
// through the runtime, client to server to a worker in a queue group and back.
//
// The client is the fastest fair way found with nats.go: one subscription for
// all answers, one callback that publishes the next request, so no goroutine and
// no channel per request. RunRequests is the ordinary way, Conn.Request from a
// goroutine for each request in flight, which costs the client several times the
// processor time. All connections are TCP on loopback; NATS
// has no unix sockets.
package natsecho

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/cocaine/cocaine-go/bench/internal/closedloop"
)

const (
	subject = "echo"
	group   = "workers"
)

// Serve runs a NATS server with no storage on a free loopback port, calls ready
// with its URL and stops when ctx ends.
func Serve(ctx context.Context, ready func(url string)) error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoLog: true, NoSigs: true, MaxPending: 256 << 20,
	})
	if err != nil {
		return fmt.Errorf("cannot set up the NATS server: %w", err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("cannot start the NATS server: it does not accept connections")
	}
	ready(s.ClientURL())
	<-ctx.Done()
	return nil
}

// Work answers every request with its payload until ctx ends.
func Work(ctx context.Context, url string, ready func()) error {
	nc, err := connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	sub, err := nc.QueueSubscribe(subject, group, func(m *nats.Msg) {
		_ = m.Respond(m.Data) // a lost connection shows at the client
	})
	if err != nil {
		return fmt.Errorf("cannot subscribe to %s: %w", subject, err)
	}
	if err := unbounded(sub, nc); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}

func connect(url string) (*nats.Conn, error) {
	nc, err := nats.Connect(url, nats.NoReconnect())
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", url, err)
	}
	return nc, nil
}

// unbounded keeps the client library from dropping messages while a callback is
// busy; the closed loop bounds them.
func unbounded(sub *nats.Subscription, nc *nats.Conn) error {
	return errors.Join(sub.SetPendingLimits(-1, -1), nc.Flush())
}

// Run keeps requests in flight over o.Connections connections, one server URL.
func Run(url string, o closedloop.Options, payload []byte) (*closedloop.Result, error) {
	c := &client{payload: payload}
	c.loop = closedloop.New(o, c.send)
	for range o.Connections {
		n, err := c.dial(url)
		if err != nil {
			return nil, err
		}
		defer n.nc.Close()
	}
	return c.loop.Run()
}

// RunRequests is Run with Conn.Request, which is how programs call over NATS: a
// goroutine for each request in flight, which waits for its answer.
func RunRequests(url string, o closedloop.Options, payload []byte) (*closedloop.Result, error) {
	conns := make([]*nats.Conn, o.Connections)
	for i := range conns {
		nc, err := connect(url)
		if err != nil {
			return nil, err
		}
		defer nc.Close()
		conns[i] = nc
	}
	return closedloop.RunBlocking(o, func(conn int) error {
		m, err := conns[conn].Request(subject, payload, closedloop.DrainFor)
		if err == nil && !bytes.Equal(m.Data, payload) {
			err = fmt.Errorf("an answer of %d bytes that is not what was sent", len(m.Data))
		}
		return err
	})
}

type client struct {
	payload []byte
	loop    *closedloop.Loop
	conns   []*conn
}

// conn is one connection with one inbox for all answers.
type conn struct {
	nc    *nats.Conn
	inbox string
}

func (c *client) dial(url string) (*conn, error) {
	nc, err := connect(url)
	if err != nil {
		return nil, err
	}
	n := &conn{nc: nc, inbox: nats.NewInbox() + "."}
	sub, err := nc.Subscribe(n.inbox+"*", func(m *nats.Msg) { c.answer(n, m) })
	if err != nil {
		return nil, fmt.Errorf("cannot subscribe to answers: %w", err)
	}
	c.conns = append(c.conns, n)
	return n, unbounded(sub, nc)
}

func (c *client) send(conn, slot int) error {
	n := c.conns[conn]
	return n.nc.PublishRequest(subject, n.inbox+strconv.Itoa(slot), c.payload)
}

func (c *client) answer(n *conn, m *nats.Msg) {
	slot, err := strconv.Atoi(m.Subject[len(n.inbox):])
	switch {
	case err != nil:
		c.loop.Fail(fmt.Errorf("an answer to %s", m.Subject))
	case !bytes.Equal(m.Data, c.payload):
		c.loop.Fail(fmt.Errorf("an answer of %d bytes with header %v that is not what was sent", len(m.Data), m.Header))
	default:
		c.loop.Done(slot)
	}
}
