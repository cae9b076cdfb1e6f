//go:build linux

// Package sock is sockets without the Go runtime's poller: plain descriptors,
// non-blocking transfers and epoll. The load client, the echo worker and the
// bare forwarder stand on it, so that what they cost is as close to the price
// of the system calls as Go allows.
//
// A Conn belongs to one goroutine.
package sock

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrWouldBlock means that the kernel has nothing to read or no room to write.
var ErrWouldBlock = errors.New("would block")

// A Conn is one connected stream socket in non-blocking mode.
type Conn struct{ fd int }

// Dial connects to addr, "tcp" or "unix", and takes the descriptor from the
// standard library: resolving and connecting are not what is measured.
func Dial(network, addr string) (*Conn, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	c, err := dialer.Dial(network, addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	s, err := Take(c)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	return s, nil
}

// Take moves the connection out of the standard library; c is closed.
func Take(c net.Conn) (*Conn, error) {
	defer c.Close()
	fd, err := detach(c)
	if err != nil {
		return nil, err
	}
	return &Conn{fd: fd}, nil
}

// detach returns a duplicate of the descriptor of a connection or a listener.
func detach(c any) (fd int, err error) {
	holder, ok := c.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%T has no descriptor", c)
	}
	rc, err := holder.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dup error
	err = rc.Control(func(p uintptr) {
		fd, dup = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0)
	})
	return fd, errors.Join(err, dup)
}

// FD is the descriptor, for a Poller.
func (c *Conn) FD() int { return c.fd }

// Read reads what is there: ErrWouldBlock when nothing is, io.EOF at the end.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, p)
		switch {
		case err == nil && n == 0 && len(p) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, ErrWouldBlock
		default:
			return 0, err
		}
	}
}

// Write writes what there is room for: ErrWouldBlock when there is none.
func (c *Conn) Write(p []byte) (int, error) {
	for {
		n, err := unix.Write(c.fd, p)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, ErrWouldBlock
		default:
			return 0, err
		}
	}
}

// SetBlocking makes Read and Write wait in the kernel, for a program that has
// one connection and nothing else to do.
func (c *Conn) SetBlocking() error { return unix.SetNonblock(c.fd, false) }

// Close closes the descriptor.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// A Listener accepts TCP connections without waiting.
type Listener struct{ fd int }

// TakeListener moves a listener out of the standard library; l is closed.
func TakeListener(l *net.TCPListener) (*Listener, error) {
	defer l.Close()
	fd, err := detach(l)
	if err != nil {
		return nil, err
	}
	return &Listener{fd: fd}, nil
}

// FD is the descriptor, for a Poller.
func (l *Listener) FD() int { return l.fd }

// Accept returns the next connection, without Nagle's delay: ErrWouldBlock when
// there is none.
func (l *Listener) Accept() (*Conn, error) {
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	switch err {
	case nil:
	case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED:
		return nil, ErrWouldBlock
	default:
		return nil, fmt.Errorf("cannot accept a connection: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot accept a connection: %w", err)
	}
	return &Conn{fd: fd}, nil
}

// Close closes the descriptor.
func (l *Listener) Close() error { return unix.Close(l.fd) }
