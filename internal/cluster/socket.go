package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// multicastSocket is the real thing.
type multicastSocket struct {
	*net.UDPConn
	group netip.AddrPort
}

func (s *multicastSocket) Receive(b []byte) (int, netip.AddrPort, error) {
	return s.ReadFromUDPAddrPort(b)
}

func (s *multicastSocket) Send(b []byte) error {
	_, err := s.WriteToUDPAddrPort(b, s.group)
	return err
}

// openMulticast makes a socket that sends to the group, and, if there are links to be
// made, is a member of it.
func openMulticast(o MulticastOptions) (*multicastSocket, error) {
	group := o.Group
	if !group.Addr().IsMulticast() {
		return nil, fmt.Errorf("%s is no multicast address", group.Addr())
	}
	nic, err := findInterface(o.Interface)
	if err != nil {
		return nil, err
	}
	network := "udp4"
	if group.Addr().Is6() {
		network = "udp6"
	}
	var conn *net.UDPConn
	if o.Links != nil {
		conn, err = net.ListenMulticastUDP(network, nic, net.UDPAddrFromAddrPort(group))
	} else {
		conn, err = net.ListenUDP(network, nil)
	}
	if err != nil {
		return nil, err
	}
	if err := tune(conn, o, nic); err != nil {
		conn.Close()
		return nil, err
	}
	return &multicastSocket{UDPConn: conn, group: group}, nil
}

// tune sets what becomes of the datagrams that the socket sends.
func tune(conn *net.UDPConn, o MulticastOptions, nic *net.Interface) error {
	if o.Group.Addr().Is6() {
		p := ipv6.NewPacketConn(conn)
		err := errors.Join(p.SetMulticastHopLimit(o.Hops), p.SetMulticastLoopback(o.Loopback))
		if nic != nil {
			err = errors.Join(err, p.SetMulticastInterface(nic))
		}
		return err
	}
	p := ipv4.NewPacketConn(conn)
	err := errors.Join(p.SetMulticastTTL(o.Hops), p.SetMulticastLoopback(o.Loopback))
	if nic != nil {
		err = errors.Join(err, p.SetMulticastInterface(nic))
	}
	return err
}

// findInterface finds an interface by an address that it has, its number or its name;
// nil stands for the system's choice.
func findInterface(s string) (*net.Interface, error) {
	if s == "" {
		return nil, nil
	}
	if n, err := strconv.Atoi(s); err == nil {
		return net.InterfaceByIndex(n)
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return net.InterfaceByName(s)
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range all {
		addrs, err := all[i].Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == addr.WithZone("") {
				return &all[i], nil
			}
		}
	}
	return nil, fmt.Errorf("no interface has address %s", addr)
}
