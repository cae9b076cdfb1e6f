package faultnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// backlog is how many dialed connections wait for Accept.
const backlog = 128

// MemListener is a net.Listener whose connections are pipes. A Dial succeeds
// without waiting for Accept, as with a socket's backlog.
type MemListener struct {
	name   string
	pipe   PipeOptions
	queue  chan *PipeConn
	once   sync.Once
	closed chan struct{}

	mu    sync.Mutex
	dials int
}

var _ net.Listener = (*MemListener)(nil)

// NewListener returns a listener called name; its connections have o.Buffer.
func NewListener(name string, o PipeOptions) *MemListener {
	return &MemListener{name: name, pipe: o, queue: make(chan *PipeConn, backlog), closed: make(chan struct{})}
}

// Dial connects. It waits while the backlog is full and fails with ECONNREFUSED
// once the listener is closed.
func (l *MemListener) Dial(ctx context.Context) (*PipeConn, error) {
	if isClosed(l.closed) {
		return nil, l.wrap("dial", syscall.ECONNREFUSED)
	}
	client, server := Pipe(PipeOptions{Buffer: l.pipe.Buffer, Names: [2]string{l.clientName(), l.name}})
	select {
	case l.queue <- server:
	case <-l.closed:
		return nil, l.wrap("dial", syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, l.wrap("dial", ctx.Err())
	}
	if isClosed(l.closed) {
		l.drain() // the listener closed while we queued: nobody will accept
	}
	return client, nil
}

func (l *MemListener) clientName() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials++
	return fmt.Sprintf("%s-client-%d", l.name, l.dials)
}

// Accept returns the other end of the next Dial.
func (l *MemListener) Accept() (net.Conn, error) {
	if isClosed(l.closed) {
		return nil, l.wrap("accept", net.ErrClosed)
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, l.wrap("accept", net.ErrClosed)
	}
}

// Close stops accepting and resets the connections nobody accepted.
func (l *MemListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.drain()
	})
	return nil
}

func (l *MemListener) drain() {
	for {
		select {
		case c := <-l.queue:
			c.Reset()
		default:
			return
		}
	}
}

// Addr returns the listener's name.
func (l *MemListener) Addr() net.Addr { return Addr(l.name) }

func (l *MemListener) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: "mem", Addr: Addr(l.name), Err: err}
}
