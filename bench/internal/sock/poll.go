//go:build linux

package sock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// An Interest says what to be woken for.
type Interest uint32

// The two interests; or them, or use zero for neither.
const (
	Readable Interest = unix.EPOLLIN
	Writable Interest = unix.EPOLLOUT
)

// A Ready descriptor. A hang-up or an error shows as readable: reading tells.
type Ready struct {
	FD       int
	Readable bool
	Writable bool
}

// A Poller waits for many descriptors at once (epoll, level-triggered).
type Poller struct {
	fd     int
	events []unix.EpollEvent
	ready  []Ready
}

// NewPoller makes a poller.
func NewPoller() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a poller: %w", err)
	}
	return &Poller{fd: fd, events: make([]unix.EpollEvent, 256), ready: make([]Ready, 0, 256)}, nil
}

// Add starts to watch fd.
func (p *Poller) Add(fd int, i Interest) error { return p.control(unix.EPOLL_CTL_ADD, fd, i) }

// Change replaces what fd is watched for.
func (p *Poller) Change(fd int, i Interest) error { return p.control(unix.EPOLL_CTL_MOD, fd, i) }

// Remove stops to watch fd; do so before closing it.
func (p *Poller) Remove(fd int) error { return p.control(unix.EPOLL_CTL_DEL, fd, 0) }

func (p *Poller) control(op, fd int, i Interest) error {
	err := unix.EpollCtl(p.fd, op, fd, &unix.EpollEvent{Events: uint32(i), Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("cannot watch descriptor %d: %w", fd, err)
	}
	return nil
}

// Wait waits for events, at most timeout (negative: for ever; zero: only looks).
// The slice is valid until the next Wait.
func (p *Poller) Wait(timeout time.Duration) ([]Ready, error) {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(p.fd, p.events, ms)
	if err == unix.EINTR {
		n, err = 0, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot wait for sockets: %w", err)
	}
	p.ready = p.ready[:0]
	for _, e := range p.events[:n] {
		p.ready = append(p.ready, Ready{
			FD:       int(e.Fd),
			Readable: e.Events&^uint32(unix.EPOLLOUT) != 0,
			Writable: e.Events&uint32(unix.EPOLLOUT) != 0,
		})
	}
	return p.ready, nil
}

// Close closes the poller; the watched descriptors stay open.
func (p *Poller) Close() error { return unix.Close(p.fd) }
