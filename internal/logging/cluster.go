package logging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/cocaine/cocaine-go/internal/logging/filter"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Cluster keeps the filters that hold on all nodes: values by name, which is the
// filter's id. It is safe for concurrent use.
type Cluster interface {
	// Put adds a value.
	Put(ctx context.Context, name string, value []byte) error
	// Remove removes one. None is no error.
	Remove(ctx context.Context, name string) error
	// Follow calls changed with all values, now and after each change, until ctx ends
	// or it fails.
	Follow(ctx context.Context, changed func(values map[string][]byte)) error
}

// retryCluster is how long a lost cluster is left alone.
const retryCluster = time.Second

// follow keeps the filters of the cluster, until ctx ends.
func (s *FilteredService) follow(ctx context.Context, log *slog.Logger) {
	complained := false
	for ctx.Err() == nil {
		err := s.cluster.Follow(ctx, func(values map[string][]byte) {
			complained = false
			s.filters.replaceCluster(s.decodeCluster(ctx, values, log))
		})
		if ctx.Err() != nil {
			return
		}
		if !complained {
			complained = true
			log.Warn("cannot follow the cluster's log filters", "cause", err, "retry", retryCluster)
		}
		select {
		case <-time.After(retryCluster):
		case <-ctx.Done():
		}
	}
}

// decodeCluster reads what the cluster has, and removes from it what has ended.
func (s *FilteredService) decodeCluster(ctx context.Context, values map[string][]byte, log *slog.Logger) []*namedFilter {
	now := time.Now().Unix()
	var all []*namedFilter
	for name, value := range values {
		n, err := decodeClusterFilter(value)
		switch {
		case err != nil:
			log.Warn("cannot use a log filter of the cluster", "name", name, "cause", err)
		case n.ended(now):
			_ = s.cluster.Remove(ctx, name) // or by the next who looks
		default:
			all = append(all, n)
		}
	}
	return all
}

// encode is the value of a filter in the cluster, with the keys of the original.
func (n *namedFilter) encode() []byte {
	b := msgpack.AppendMap(nil, 5)
	b = msgpack.AppendInt(msgpack.AppendString(b, "deadline"), n.deadline)
	b = msgpack.AppendInt(msgpack.AppendString(b, "disposition"), int64(n.disposition))
	b = n.filter.Append(msgpack.AppendString(b, "filter"))
	b = msgpack.AppendUint(msgpack.AppendString(b, "id"), n.id)
	return msgpack.AppendString(msgpack.AppendString(b, "logger_name"), n.logger)
}

// maxClusterFilter is the size of the largest value that is looked at.
const maxClusterFilter = filter.MaxBytes + 1<<10

func decodeClusterFilter(b []byte) (*namedFilter, error) {
	if len(b) > maxClusterFilter {
		return nil, fmt.Errorf("it has %d bytes", len(b))
	}
	r := msgpack.NewReader(b)
	v, ok := r.Value().(map[string]any)
	if !ok || r.Err() != nil {
		return nil, errors.New("it is no map")
	}
	n := &namedFilter{disposition: onCluster}
	var err error
	if n.filter, err = filter.Parse(v["filter"]); err != nil {
		return nil, err
	}
	id, ok := v["id"].(int64)
	if !ok || id <= 0 {
		return nil, errors.New("it has no id")
	}
	n.id = uint64(id)
	if n.deadline, ok = v["deadline"].(int64); !ok {
		return nil, errors.New("it has no deadline")
	}
	if n.logger, ok = v["logger_name"].(string); !ok || n.logger == "" || len(n.logger) > maxLoggerName {
		return nil, errors.New("it has no logger")
	}
	return n, nil
}

func clusterName(id uint64) string { return strconv.FormatUint(id, 10) }
