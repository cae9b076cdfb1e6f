package locator

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	// hostTimeout bounds one lookup of the host's addresses.
	hostTimeout = 5 * time.Second
	// hostPeriod is how often the host's addresses are looked up again while a
	// service needs them.
	hostPeriod = 30 * time.Second
)

// host is the name behind the unspecified address, and who knows about it.
type host struct {
	name     string
	resolver Resolver
	turn     chan struct{} // token: one lookup at a time
}

func isUnspecified(ep netip.AddrPort) bool { return ep.Addr().Unmap().IsUnspecified() }

// dialable replaces unspecified addresses by the host's: what a client can
// dial. 0.0.0.0 accepts only IPv4, :: both.
func dialable(bound []netip.AddrPort, host []netip.Addr) []netip.AddrPort {
	eps := make([]netip.AddrPort, 0, len(bound))
	add := func(addr netip.Addr, port uint16) {
		if ep := netip.AddrPortFrom(addr.Unmap(), port); !slices.Contains(eps, ep) {
			eps = append(eps, ep)
		}
	}
	for _, b := range bound {
		if !isUnspecified(b) {
			add(b.Addr(), b.Port())
			continue
		}
		for _, addr := range host {
			if b.Addr().Unmap().Is6() || addr.Unmap().Is4() {
				add(addr, b.Port())
			}
		}
	}
	return eps
}

// lookup finds the host's addresses in the order they should be tried.
func (h *host) lookup(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	if addr, err := netip.ParseAddr(h.name); err == nil {
		return []netip.Addr{addr}, nil
	}
	addrs, err := h.resolver.LookupNetIP(ctx, "ip", h.name)
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%q has no address", h.name)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look up host name: %w", err)
	}
	return addrs, nil
}

// interfaceAddrs are the addresses of this machine that a client elsewhere may
// dial, or the loopback ones when there are no others.
func interfaceAddrs() []netip.Addr {
	nets, _ := net.InterfaceAddrs() // no interface, no address
	var global, loopback []netip.Addr
	for _, n := range nets {
		prefix, err := netip.ParsePrefix(n.String())
		switch addr := prefix.Addr(); {
		case err != nil:
		case addr.IsLoopback():
			loopback = append(loopback, addr)
		case addr.IsGlobalUnicast():
			global = append(global, addr)
		}
	}
	if len(global) > 0 {
		return global
	}
	return loopback
}

// lookHostOnce makes sure that the host's addresses are known.
func (l *Locator) lookHostOnce(ctx context.Context) error {
	if l.hostLooked() {
		return nil
	}
	select {
	case l.host.turn <- struct{}{}:
		defer func() { <-l.host.turn }()
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return ErrClosed
	}
	if l.hostLooked() {
		return nil
	}
	addrs, err := l.host.lookup(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		addrs = interfaceAddrs()
		l.log.Warn("cannot look up host name, using the interfaces' addresses",
			"host", l.host.name, "addresses", addrs, "error", err)
	}
	l.setHost(addrs, err == nil)
	return nil
}

// Host is what stands for the unspecified address where one host can be told, and a
// name will do: the host's name, or the first of its addresses, those of IPv4 before
// the others, if the name could not be looked up. It is "" before a service that
// listens on the unspecified address was exposed, and if nothing is known.
func (l *Locator) Host() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.named:
		return l.host.name
	case len(l.addrs) == 0:
		return ""
	}
	for _, a := range l.addrs {
		if a.Unmap().Is4() {
			return a.Unmap().String()
		}
	}
	return l.addrs[0].String()
}

func (l *Locator) hostLooked() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.looked
}

// followHost looks the host's addresses up again and again, once anyone needs
// them. A failed lookup leaves everything as it was.
func (l *Locator) followHost(ctx context.Context) {
	tick := time.NewTicker(hostPeriod)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !l.hostLooked() {
			continue
		}
		addrs, err := l.host.lookup(ctx)
		switch {
		case err == nil:
			failing = false
			l.setHost(addrs, true)
		case ctx.Err() == nil && !failing:
			failing = true
			l.log.Warn("cannot look up host name, keeping its addresses", "host", l.host.name, "error", err)
		}
	}
}

// setHost makes addrs the host's addresses: services that listen on an
// unspecified address get new endpoints, and peers are told. named says that they
// were found by the host's name.
func (l *Locator) setHost(addrs []netip.Addr, named bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.named = named
	if l.looked && slices.Equal(l.addrs, addrs) {
		return
	}
	l.addrs, l.looked = addrs, true
	for name, e := range l.services {
		if e.external || !slices.ContainsFunc(e.service.Endpoints, isUnspecified) {
			continue
		}
		e = newEntry(e.owner, e.service, false, addrs)
		l.services[name] = e
		l.announceLocked(name, e)
	}
}
