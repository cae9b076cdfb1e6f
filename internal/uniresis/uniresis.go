// Package uniresis is the service `uniresis`: the resources of a node, for whoever
// decides where apps run (docs/PROTOCOL.md, uniresis).
//
// A node also tells its resources to the cluster, in an ephemeral node of unicorn,
// PREFIX/UUID, whose value is
//
//	{"hostname": text, "endpoints": [[address, port], ...], "extra": {}, "resources": {"cpu": n, "mem": bytes}}
//
// It is there as long as the runtime is: a Beacon makes it again when it was lost.
package uniresis

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Node is what a node tells of itself.
type Node struct {
	UUID      string
	Hostname  string
	Endpoints []netip.AddrPort // of its locator
	CPUs      int              // 0: not known
	Memory    int64            // bytes; 0: not known
}

// Restrict returns the node with at most so many resources; 0 restricts nothing.
func (n Node) Restrict(cpus int, memory int64) Node {
	if cpus > 0 && n.CPUs > 0 {
		n.CPUs = min(n.CPUs, cpus)
	}
	if memory > 0 && n.Memory > 0 {
		n.Memory = min(n.Memory, memory)
	}
	return n
}

// value is what the cluster is told.
func (n Node) value() []byte {
	endpoints := make([]any, 0, len(n.Endpoints))
	for _, e := range n.Endpoints {
		endpoints = append(endpoints, []any{e.Addr().String(), e.Port()})
	}
	b, err := msgpack.AppendValue(nil, map[string]any{"hostname": n.Hostname, "endpoints": endpoints,
		"extra": map[string]any{}, "resources": map[string]any{"cpu": n.CPUs, "mem": n.Memory}})
	if err != nil {
		panic(err) // there is nothing in it that has no encoding
	}
	return b
}

// Service tells the resources of a node.
func Service(n Node, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Uniresis, o)
	answer := func(b []byte, err error) rpc.UnaryFunc {
		return func(context.Context, *rpc.Call) ([]byte, error) { return b, err }
	}
	var noCPUs, noMemory error
	if n.CPUs <= 0 {
		noCPUs = rpc.Errorf(idl.CategoryUniresis, idl.UniresisNoCPUCount, "cannot count the processors of this node")
	}
	if n.Memory <= 0 {
		noMemory = rpc.Errorf(idl.CategoryUniresis, idl.UniresisNoMemorySize, "cannot tell the memory of this node")
	}
	one := msgpack.AppendArray(nil, 1)
	one = one[:len(one):len(one)] // every answer gets a copy
	m.Inline("cpu_count", answer(msgpack.AppendUint(one, uint64(max(0, n.CPUs))), noCPUs))
	m.Inline("memory_count", answer(msgpack.AppendUint(one, uint64(max(0, n.Memory))), noMemory))
	m.Inline("uuid", answer(msgpack.AppendString(one, n.UUID), nil))
	return m
}

// Registry makes the ephemeral nodes. It is safe for concurrent use.
type Registry interface {
	// Hold makes a node that exists until it is released.
	Hold(ctx context.Context, path string, value []byte) (Held, error)
}

// Held is an ephemeral node that was made.
type Held interface {
	// Lost is closed when the node is gone though nobody released it.
	Lost() <-chan struct{}
	// Release removes the node.
	Release(ctx context.Context) error
}

// retry is how long a Beacon waits before it tries again.
const retry = time.Second

// A Beacon tells the cluster of a node. It has one goroutine, which Close ends.
type Beacon struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Tell starts telling. Failures are logged, the first of a row only.
func Tell(r Registry, prefix string, n Node, log *slog.Logger) *Beacon {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Beacon{cancel: cancel}
	b.wg.Go(func() { tell(ctx, r, prefix+"/"+n.UUID, n.value(), log) })
	return b
}

// Close removes the node and ends the goroutine. It may be called more than once.
func (b *Beacon) Close() error {
	b.cancel()
	b.wg.Wait()
	return nil
}

func tell(ctx context.Context, r Registry, path string, value []byte, log *slog.Logger) {
	complained := false
	for ctx.Err() == nil {
		err := hold(ctx, r, path, value)
		if ctx.Err() != nil {
			return
		}
		if lost := errors.Is(err, errLost); lost || !complained {
			log.Warn("cannot tell the cluster of this node's resources", "path", path, "cause", err, "retry", retry)
			complained = !lost
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
		}
	}
}

// errLost means that the node was there and is gone.
var errLost = errors.New("the node in unicorn is gone")

// hold keeps the node until it is lost, or until ctx ends and it is removed.
func hold(ctx context.Context, r Registry, path string, value []byte) error {
	h, err := r.Hold(ctx, path, value)
	if err != nil {
		return err
	}
	select {
	case <-h.Lost():
		return errLost
	case <-ctx.Done():
		// Bounded: if the state engine is gone, the node goes without us.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retry)
		defer cancel()
		return h.Release(ctx)
	}
}
