package daemon

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/cocaine/cocaine-go/internal/cluster"
	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/tlsconn"
)

// clustered reports whether this node is one of several.
func (d *Daemon) clustered() bool { return d.conf.Cluster.Type != "none" }

// newLinks makes what the locator knows other nodes by, without a link yet. A node
// without a gateway has none.
func (d *Daemon) newLinks() error {
	c := d.conf.Cluster
	if !d.clustered() || c.Gateway == "none" {
		return nil
	}
	t := d.conf.TLS
	secure := tlsconn.Client{CA: t.ClusterCA}
	if t.ClusterCA != "" {
		secure.Cert, secure.Key = t.Cert, t.Key
	}
	dial, err := secure.Dial() // nil without TLS
	if err != nil {
		return fmt.Errorf("cannot connect to other nodes: %w", err)
	}
	d.links, err = cluster.New(cluster.Options{UUID: d.id, Name: c.Name, Token: c.Token, Interval: c.Interval, Dial: dial,
		Session: d.sessions(), Log: d.serviceLog(locatorName)})
	return err
}

// locatorOptions are those of the locator.
func (d *Daemon) locatorOptions() locator.Options {
	c := d.conf.Cluster
	o := locator.Options{UUID: d.id, Storage: d.store, Hostname: d.conf.Network.Hostname,
		Announce: d.clustered(), Restrict: c.Restrict, Log: d.log}
	if c.Name != "" {
		o.Extra = map[string]any{cluster.NameKey: c.Name}
	}
	if d.links != nil {
		o.Gateway = d.links // not a nil *Links, which would not be nil
	}
	return o
}

// joinCluster finds other nodes, and lets them find this one. It is called once the
// locator is resolvable.
func (d *Daemon) joinCluster(context.Context) error {
	c := d.conf.Cluster
	switch c.Type {
	case "multicast":
		addr, err := netip.ParseAddr(c.Group)
		if err != nil {
			return fmt.Errorf("cannot join the cluster: %w", err)
		}
		d.multicast, err = cluster.NewMulticast(cluster.MulticastOptions{
			Group: netip.AddrPortFrom(addr, uint16(c.Port)), Interface: c.Interface, Loopback: c.Loopback, Hops: c.Hops,
			Interval: c.Interval, UUID: d.id, Endpoints: d.locatorEndpoints, Links: d.links, Log: d.serviceLog(locatorName)})
		if err != nil {
			return fmt.Errorf("cannot join the cluster: %w", err)
		}
	case "predefine":
		if d.links == nil {
			return nil
		}
		for _, n := range c.Nodes {
			d.links.Predefine(n.UUID, n.Address)
		}
	}
	return nil
}

// leaveCluster ends what joinCluster began. It may be called without it.
func (d *Daemon) leaveCluster(context.Context) error {
	var err error
	if d.multicast != nil {
		err = d.multicast.Close()
	}
	if d.links != nil {
		d.links.Close()
	}
	return err
}

// nodes describe the other nodes of the cluster for status.
func (d *Daemon) nodes() []any {
	out := []any{}
	if d.links == nil {
		return out
	}
	for _, n := range d.links.List() {
		services := make([]any, len(n.Services))
		for i, name := range n.Services {
			services[i] = name
		}
		out = append(out, map[string]any{"node": n.UUID, "locator": n.Address, "linked": n.Linked, "services": services, "cause": n.Cause})
	}
	return out
}
