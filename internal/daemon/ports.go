package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/tlsconn"
)

// ports hands out listeners: a pinned port where the configuration names one, the
// next free one of the shared range, or what the system chooses.
type ports struct {
	host   string
	pinned map[string]int
	shared config.PortRange
	tls    *tls.Config // nil without

	mu   sync.Mutex
	next int // offset in the shared range at which to look first
}

// newPorts takes the ports from the configuration, the locator's among the pinned
// ones.
func newPorts(c *config.Network) *ports {
	p := &ports{host: c.Endpoint, pinned: map[string]int{"locator": c.Port}, shared: c.Shared}
	maps.Copy(p.pinned, c.Pinned)
	return p
}

// listen opens the listener of a service.
func (p *ports) listen(service string) (net.Listener, error) {
	if port, ok := p.pinned[service]; ok {
		return p.open(service, port)
	}
	n := p.shared.Max - p.shared.Min
	if n <= 0 {
		return p.open(service, 0)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for range n {
		port := p.shared.Min + p.next
		p.next = (p.next + 1) % n
		ln, err := p.open(service, port)
		if err == nil {
			return ln, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("cannot listen for %s: no free port in %d-%d", service, p.shared.Min, p.shared.Max-1)
}

// twin opens the other loopback's listener of a locator on 127.0.0.1, as the original
// listens on every address: clients of the native framework that are told of no locator
// look for it on ::1 alone. There is none, nil, if it listens elsewhere, or if that
// address is not to be had.
func (p *ports) twin(locator net.Listener) net.Listener {
	if p.host != "127.0.0.1" {
		return nil
	}
	ln, err := p.openOn("::1", locatorName, int(addrOf(locator).Port()))
	if err != nil {
		return nil
	}
	return ln
}

func (p *ports) open(service string, port int) (net.Listener, error) {
	return p.openOn(p.host, service, port)
}

func (p *ports) openOn(host, service string, port int) (net.Listener, error) {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	ln, err := net.Listen("tcp", address)
	if err != nil {
		if e, ok := errors.AsType[*os.SyscallError](err); ok {
			err = e.Err // the address is told already
		}
		return nil, fmt.Errorf("cannot listen on %s for service %s: %w", address, service, err)
	}
	if p.tls != nil {
		ln = tlsconn.Listen(ln, p.tls)
	}
	return ln, nil
}
