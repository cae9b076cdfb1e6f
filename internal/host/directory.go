package host

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Directory is a locator of a few services that are known by name: what there is
// of one without a runtime. It knows no routing groups and no other nodes. Its
// methods may be called from any goroutine.
type Directory struct {
	uuid string

	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	proto     *idl.Protocol
	endpoints []endpoint
}

type endpoint struct {
	host string
	port uint64
}

// NewDirectory makes a directory that knows nobody. The uuid is the node's.
func NewDirectory(uuid string) *Directory {
	return &Directory{uuid: uuid, entries: make(map[string]entry)}
}

// Publish makes a service known, or known anew, at endpoints of the form host:port.
// One without endpoints is known to be nowhere.
func (d *Directory) Publish(name string, p *idl.Protocol, endpoints ...string) error {
	e := entry{proto: p}
	for _, addr := range endpoints {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("cannot publish service %q: %w", name, err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return fmt.Errorf("cannot publish service %q: %w", name, err)
		}
		e.endpoints = append(e.endpoints, endpoint{host, n})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries[name] = e
	return nil
}

// Withdraw makes a service unknown.
func (d *Directory) Withdraw(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.entries, name)
}

// Services are the names and first endpoints of the services that are known.
func (d *Directory) Services() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[string]string, len(d.entries))
	for name, e := range d.entries {
		if len(e.endpoints) > 0 {
			all[name] = net.JoinHostPort(e.endpoints[0].host, strconv.FormatUint(e.endpoints[0].port, 10))
		}
	}
	return all
}

// Names are those of the services that are known, sorted.
func (d *Directory) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.entries))
}

// Service is the locator service: resolve, uuid, cluster and refresh.
func (d *Directory) Service() *rpc.Mux {
	m := rpc.NewMux(idl.Locator, rpc.MuxOptions{})
	m.Inline("resolve", func(_ context.Context, c *rpc.Call) ([]byte, error) { return d.resolve(c) })
	m.Inline("uuid", func(context.Context, *rpc.Call) ([]byte, error) {
		return msgpack.AppendString(msgpack.AppendArray(nil, 1), d.uuid), nil
	})
	m.Inline("cluster", func(context.Context, *rpc.Call) ([]byte, error) {
		return msgpack.AppendMap(msgpack.AppendArray(nil, 1), 0), nil
	})
	m.Inline("refresh", func(context.Context, *rpc.Call) ([]byte, error) { return nil, nil })
	return m
}

func (d *Directory) resolve(c *rpc.Call) ([]byte, error) {
	args := c.Reader()
	name := args.String()
	if err := args.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	d.mu.Lock()
	e, ok := d.entries[name]
	d.mu.Unlock()
	if !ok {
		return nil, rpc.Errorf(idl.CategoryLocator, idl.LocatorNotAvailable, "service %q is not available", name)
	}
	b := msgpack.AppendArray(msgpack.AppendArray(nil, 3), len(e.endpoints))
	for _, at := range e.endpoints {
		b = msgpack.AppendString(msgpack.AppendArray(b, 2), at.host)
		b = msgpack.AppendUint(b, at.port)
	}
	return e.proto.AppendGraph(msgpack.AppendInt(b, int64(e.proto.Version))), nil
}
