package logging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logging/filter"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// FilteredOptions configure the service logging::v2.
type FilteredOptions struct {
	// Default are the filters of the logger default, in the notation of package
	// filter, for records that no other logger decides on. With none such records are
	// dropped.
	Default []any
	// Cluster keeps the filters of all nodes. If nil, there are none.
	Cluster Cluster
	// Stats, if not nil, counts what is emitted.
	Stats *Stats
	// Mux is for what all services have in common.
	Mux rpc.MuxOptions
	// Log is told of what is wrong with the cluster. If nil, nothing is logged.
	Log *slog.Logger
}

// FilteredService is the service `logging::v2`: logging with filters that come and go
// (docs/PROTOCOL.md, logging::v2). Its methods of the same numbers are those of the
// service `logging`, whose place it can take. Close ends it.
type FilteredService struct {
	sink    Sink
	stats   *Stats
	filters *filters
	cluster Cluster
	mux     *rpc.Mux

	closed chan struct{}
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewFilteredService makes the service over a sink. It has one goroutine if there is
// a cluster.
func NewFilteredService(sink Sink, o FilteredOptions) (*FilteredService, error) {
	defaults := make([]*filter.Filter, 0, len(o.Default))
	for i, ast := range o.Default {
		f, err := filter.Parse(ast)
		if err != nil {
			return nil, fmt.Errorf("cannot use filter %d of the logger default: %w", i+1, err)
		}
		defaults = append(defaults, f)
	}
	s := &FilteredService{sink: sink, stats: o.Stats, filters: newFilters(defaults), cluster: o.Cluster, closed: make(chan struct{})}
	if s.stats == nil {
		s.stats = new(Stats)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s.bind(o.Mux)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if s.cluster != nil {
		s.wg.Go(func() { s.follow(ctx, o.Log) })
	}
	return s, nil
}

func (s *FilteredService) bind(o rpc.MuxOptions) {
	m := rpc.NewMux(idl.LoggingV2, o)
	m.Mute("emit", s.emit)
	m.Inline("verbosity", s.verbosity)
	m.Inline("set_verbosity", s.setVerbosity)
	m.Inline("emit_ack", s.emitAck)
	m.Stream("get", s.get)
	m.Inline("list_loggers", s.listLoggers)
	m.Inline("set_filter", s.setFilter)
	m.Unary("remove_filter", s.removeFilter)
	m.Inline("list_filters", s.listFilters)
	m.Unary("set_cluster_filter", s.setClusterFilter)
	s.mux = m
}

// Mux is the service as an Acceptor.
func (s *FilteredService) Mux() *rpc.Mux { return s.mux }

// Close ends the channels of named loggers, and the goroutine. It may be called more
// than once.
func (s *FilteredService) Close() error {
	s.cancel()
	s.wg.Wait()
	s.filters.mu.Lock() // a lock of its own for nothing but this would say no more
	defer s.filters.mu.Unlock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}

// keep gives a record to the sink if the filters accept it.
func (s *FilteredService) keep(r Record, trace rpc.Trace) bool {
	view := filter.Record{Severity: r.Severity, Verbose: trace.Verbose, Attr: r.attribute}
	if !s.filters.accept(r.Source, &view) {
		s.stats.Filtered.Add(1)
		return false
	}
	r.Severity = clamp(r.Severity)
	s.stats.Emitted.Add(1)
	s.sink.Emit(r)
	return true
}

// attribute finds an attribute; the source is one, too.
func (r *Record) attribute(name string) (any, bool) {
	for i := range r.Attrs {
		if r.Attrs[i].Name == name {
			return r.Attrs[i].Value, true
		}
	}
	if name == "source" {
		return r.Source, true
	}
	return nil, false
}

func (s *FilteredService) record(c *rpc.Call) (Record, error) {
	r, err := readEmit(c)
	if err == nil && r.Severity < 0 {
		err = errNegative
	}
	if err != nil {
		s.stats.Malformed.Add(1)
		return Record{}, rpc.BadArgs(c, err)
	}
	return r, nil
}

var errNegative = errors.New("severity is negative")

func (s *FilteredService) emit(_ context.Context, c *rpc.Call) error {
	r, err := s.record(c)
	if err == nil {
		s.keep(r, c.Trace)
	}
	return err
}

func (s *FilteredService) emitAck(_ context.Context, c *rpc.Call) ([]byte, error) {
	r, err := s.record(c)
	if err != nil {
		return nil, err
	}
	return oneBool(s.keep(r, c.Trace)), nil
}

func oneBool(v bool) []byte { return msgpack.AppendBool(msgpack.AppendArray(nil, 1), v) }

// verbosity is always that of everything: the filters decide.
func (s *FilteredService) verbosity(context.Context, *rpc.Call) ([]byte, error) {
	return msgpack.AppendInt(msgpack.AppendArray(nil, 1), Debug), nil
}

// setVerbosity does nothing, as in the original.
func (s *FilteredService) setVerbosity(_ context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	r.Uint()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	return nil, nil
}

// get serves the channel of a logger by name, until its client goes.
func (s *FilteredService) get(ctx context.Context, c *rpc.Call, st *rpc.Stream) error {
	r := c.Reader()
	name := r.String()
	if err := r.Err(); err != nil {
		return rpc.BadArgs(c, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	defer func() { cancel(nil); <-ended }()
	go func() {
		defer close(ended)
		select {
		case <-s.closed:
			cancel(rpc.Errorf(idl.CategoryGeneric, idl.GenericCanceled, "logging is closed"))
		case <-ctx.Done():
		}
	}()
	for {
		m, err := st.Recv(ctx)
		if err != nil {
			return err
		}
		if err := s.named(ctx, name, c.Trace, m, st); err != nil {
			return err
		}
	}
}

// named serves one message of a named logger.
func (s *FilteredService) named(ctx context.Context, name string, trace rpc.Trace, m rpc.Message, st *rpc.Stream) error {
	args := msgpack.NewReader(m.Args)
	r, err := readNamed(&args, args.Array(), name, trace)
	if err == nil && r.Severity < 0 {
		err = errNegative
	}
	if err != nil {
		s.stats.Malformed.Add(1)
		return rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode a record of logger %q: %v", name, err)
	}
	kept := s.keep(r, trace)
	if m.Type != idl.NamedLoggerEmitAck {
		return nil
	}
	return st.Send(ctx, idl.Write, oneBool(kept))
}

func (s *FilteredService) listLoggers(context.Context, *rpc.Call) ([]byte, error) {
	names := s.filters.loggers()
	b := msgpack.AppendArray(msgpack.AppendArray(nil, 1), len(names))
	for _, name := range names {
		b = msgpack.AppendString(b, name)
	}
	return b, nil
}

// readFilter reads the arguments of set_filter: a filter from now on.
func readFilter(c *rpc.Call, disposition int) (*namedFilter, error) {
	r := c.Reader()
	n := &namedFilter{logger: r.String(), disposition: disposition}
	encoded, ttl := r.Raw(), r.Uint()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	var err error
	if n.filter, err = filter.Decode(encoded); err != nil {
		return nil, err // [12, 22]
	}
	now := time.Now().Unix()
	n.deadline = now + int64(min(ttl, math.MaxInt64-uint64(now)))
	return n, nil
}

// added answers with the id of a filter that was added.
func added(id uint64, err error) ([]byte, error) {
	if errors.Is(err, ErrTooManyFilters) {
		return nil, rpc.Errorf(idl.CategoryGeneric, idl.GenericUnavailable, "cannot set filter: %v", err)
	}
	if err != nil {
		return nil, err
	}
	return msgpack.AppendUint(msgpack.AppendArray(nil, 1), id), nil
}

func (s *FilteredService) setFilter(_ context.Context, c *rpc.Call) ([]byte, error) {
	n, err := readFilter(c, onNode)
	if err != nil {
		return nil, err
	}
	return added(s.filters.add(n))
}

// setClusterFilter adds a filter here, and tells the others.
func (s *FilteredService) setClusterFilter(ctx context.Context, c *rpc.Call) ([]byte, error) {
	if s.cluster == nil {
		return nil, rpc.Errorf(idl.CategoryGeneric, idl.GenericNotSupported, "there is no cluster")
	}
	n, err := readFilter(c, onCluster)
	if err != nil {
		return nil, err
	}
	id, err := s.filters.add(n)
	if err != nil {
		return added(0, err)
	}
	if err := s.cluster.Put(ctx, clusterName(id), n.encode()); err != nil {
		s.filters.remove(id)
		return nil, fmt.Errorf("cannot tell the cluster of a filter: %w", err)
	}
	return added(id, nil)
}

func (s *FilteredService) removeFilter(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	id := r.Uint()
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	n := s.filters.remove(id)
	if n != nil && n.disposition == onCluster {
		if err := s.cluster.Remove(ctx, clusterName(id)); err != nil {
			return nil, fmt.Errorf("cannot remove a filter of the cluster: %w", err)
		}
	}
	return oneBool(n != nil), nil
}

func (s *FilteredService) listFilters(context.Context, *rpc.Call) ([]byte, error) {
	all := s.filters.list()
	b := msgpack.AppendArray(msgpack.AppendArray(nil, 1), len(all))
	for _, n := range all {
		b = msgpack.AppendString(msgpack.AppendArray(b, 5), n.logger)
		b = msgpack.AppendUint(n.filter.Append(b), n.id)
		b = msgpack.AppendInt(msgpack.AppendInt(b, n.deadline), int64(n.disposition))
	}
	return b, nil
}
