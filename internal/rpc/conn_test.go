package rpc_test

import (
	"net"
	"sync/atomic"
	"syscall"
)

// gatedConn is a real connection whose writes the test counts, holds up and
// watches, on the path that sessions take to a file descriptor and on Write.
type gatedConn struct {
	net.Conn
	writes  atomic.Int64
	gate    atomic.Pointer[gate]
	onWrite atomic.Pointer[func()] // called before each write
}

type gate struct{ reached, open chan struct{} }

func newGatedConn(c net.Conn) *gatedConn { return &gatedConn{Conn: c} }

// hold makes the next write wait until release.
func (c *gatedConn) hold() {
	c.gate.Store(&gate{reached: make(chan struct{}), open: make(chan struct{})})
}

// await returns when a write waits.
func (c *gatedConn) await() { <-c.gate.Load().reached }

func (c *gatedConn) release() { close(c.gate.Load().open) }

func (c *gatedConn) enter() {
	c.writes.Add(1)
	if f := c.onWrite.Load(); f != nil {
		(*f)()
	}
	if g := c.gate.Load(); g != nil {
		select {
		case <-g.reached:
		default:
			close(g.reached)
			<-g.open
		}
	}
}

func (c *gatedConn) Write(p []byte) (int, error) {
	c.enter()
	return c.Conn.Write(p)
}

func (c *gatedConn) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	return gatedRaw{raw, c}, err
}

type gatedRaw struct {
	syscall.RawConn
	c *gatedConn
}

func (r gatedRaw) Write(f func(fd uintptr) bool) error {
	r.c.enter()
	return r.RawConn.Write(f)
}
