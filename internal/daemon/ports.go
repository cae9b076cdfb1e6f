package daemon

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/config"
)

// ports hands out listeners: a pinned port where the configuration names one, the
// next free one of the shared range, or what the system chooses.
type ports struct {
	host   string
	pinned map[string]int
	shared config.PortRange

	mu   sync.Mutex
	next int // offset in the shared range at which to look first
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

func (p *ports) open(service string, port int) (net.Listener, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(p.host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("cannot listen for %s: %w", service, err)
	}
	return ln, nil
}
