package cocaine

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// AppOf is the app whose service it is, for tests that use both.
func AppOf(s *Service) App { return App{s} }

// OpenChannels is how many channels of a service's connection are open, for tests.
func OpenChannels(s *Service) int {
	l := s.conn.current.Load()
	if l == nil {
		return 0
	}
	return l.session.Channels()
}

// SocketOptions tells how a connection is set up that is made as a client's are.
func SocketOptions(s *Service) (noDelay, keepAlive bool, err error) {
	conn, err := s.conn.client.opts.Dial(s.conn.client.ctx, "tcp", s.RemoteAddr().String())
	if err != nil {
		return false, false, err
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false, false, err
	}
	var a, b int
	var errA, errB error
	err = raw.Control(func(fd uintptr) {
		a, errA = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
		b, errB = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
	})
	return a != 0, b != 0, errors.Join(err, errA, errB)
}

// TapDial shows the connections that the client makes to f. It comes before the first.
func TapDial(c *Client, f func(net.Conn)) {
	dial := c.opts.Dial
	c.opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			f(conn)
		}
		return conn, err
	}
}
