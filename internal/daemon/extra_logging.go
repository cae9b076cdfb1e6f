package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/config"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logging"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/unicorn"
)

// newFilteredLogging makes a service of type logging::v2 over the store of the apps'
// records.
func newFilteredLogging(d *Daemon, name string, args any) (extra, error) {
	a := args.(config.LoggingArgs)
	s, err := logging.NewFilteredService(d.records, logging.FilteredOptions{Default: a.Filters,
		Cluster: clusterFilters{d.unicorn, a.UnicornPath}, Mux: d.mux(name), Log: d.serviceLog(name)})
	if err != nil {
		return extra{}, err
	}
	// Ended twice: before its clients are drained, and if it never came to be served.
	return extra{proto: idl.LoggingV2, a: s.Mux(), end: s.Close, free: func() { _ = s.Close() }}, nil
}

// clusterFilters keeps the log filters of all nodes as the children of a node in
// unicorn. It implements logging.Cluster.
type clusterFilters struct {
	store unicorn.Store
	path  string
}

func (c clusterFilters) Put(ctx context.Context, name string, value []byte) error {
	return c.store.Create(ctx, c.path+"/"+name, value)
}

func (c clusterFilters) Remove(ctx context.Context, name string) error {
	err := c.store.Del(ctx, c.path+"/"+name, unicorn.AnyVersion)
	if errors.Is(err, unicorn.ErrNoNode) {
		return nil
	}
	return err
}

func (c clusterFilters) Follow(ctx context.Context, changed func(values map[string][]byte)) error {
	if err := c.store.Create(ctx, c.path, msgpack.AppendNil(nil)); err != nil && !errors.Is(err, unicorn.ErrNodeExists) {
		return err
	}
	w, err := c.store.SubscribeChildren(c.path)
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		children, err := w.Next(ctx)
		if err != nil {
			return err
		}
		values := make(map[string][]byte, len(children.Names))
		for _, name := range children.Names {
			v, err := c.store.Get(ctx, c.path+"/"+name)
			if err != nil {
				return fmt.Errorf("cannot read filter %s: %w", name, err)
			}
			if v.Value != nil { // else it has gone meanwhile
				values[name] = v.Value
			}
		}
		changed(values)
	}
}
