package v011

import (
	"context"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Groups are the routing groups of the node.
type Groups interface {
	// Member chooses a member of a group at random, by weight, among those that are
	// there; "" if there is no such group, or none of its members is there.
	Member(group string, there func(service string) bool) string
	// Refresh reads groups from storage again.
	Refresh(ctx context.Context, groups []string) error
}

// Locator is the locator service over a directory. That the directory can be followed
// is for other nodes: unless clustered, there is no synchronize.
func Locator(d *Directory, g Groups, clustered bool, o rpc.MuxOptions) *ClientService {
	m := rpc.NewMux(oldLocator, o)
	l := oldLocatorService{d, g}
	m.Inline("resolve", l.resolve)
	if clustered {
		m.Stream("synchronize", l.synchronize)
	}
	m.Inline("reports", l.reports)
	m.Change("refresh", l.refresh)
	return newClientService(oldLocator, m)
}

type oldLocatorService struct {
	directory *Directory
	groups    Groups
}

// resolve answers [[host, port], version, {number: name}]. A group that has no member
// here is a name like any other.
func (l oldLocatorService) resolve(_ context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	name := r.String()
	if r.Err() != nil {
		return nil, errArgument
	}
	found := name
	if member := l.groups.Member(name, l.directory.has); member != "" {
		found = member
	}
	info := l.directory.info(found)
	if info == nil {
		return nil, oldErrorf(invocationError, "service %.255s is not available", name)
	}
	return append(msgpack.AppendArray(make([]byte, 0, len(info)+1), 1), info...), nil
}

// synchronize sends the whole directory, and again after every change. A client that
// is slow to read gets the latest state, not each.
func (l oldLocatorService) synchronize(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
	for {
		dump, changed, over := l.directory.dump()
		if over {
			return nil
		}
		if err := s.Send(ctx, idl.Write, dump); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reports tells the connections of each service. The memory that each of them takes,
// a map whose keys are arrays, is left out: no Python client can read it.
func (l oldLocatorService) reports(context.Context, *rpc.Call) ([]byte, error) {
	return l.directory.reports(), nil
}

func (l oldLocatorService) refresh(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	group := r.String()
	if r.Err() != nil {
		return nil, errArgument
	}
	return nil, l.groups.Refresh(ctx, []string{group})
}
