package locator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

// extraHeader travels with every message of a connect stream.
const extraHeader = "x-cocaine-locator-extra"

// maxRefresh limits the names in one refresh.
const maxRefresh = 1 << 16

// Mux returns the locator as a service (docs/PROTOCOL.md, locator).
func (l *Locator) Mux(o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.Locator, o)
	m.Inline("resolve", l.serveResolve)
	m.Inline("uuid", constant(msgpack.AppendString(msgpack.AppendArray(nil, 1), l.uuid)))
	m.Inline("cluster", l.serveCluster)
	m.Change("refresh", l.serveRefresh)
	m.Stream("connect", l.serveConnect)
	m.Stream("routing", l.serveRouting)
	m.Raw("publish", publisher{l, new(timing.Timer)})
	return m
}

// constant answers every call with the same arguments.
func constant(result []byte) rpc.UnaryFunc {
	return func(context.Context, *rpc.Call) ([]byte, error) { return result, nil }
}

func (l *Locator) serveResolve(_ context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	name := r.Bytes()
	var seed []byte
	if c.NArgs > 1 {
		seed = r.Bytes()
	}
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	info, err := l.resolve(name, seed)
	if err != nil {
		return nil, coded(err)
	}
	return info, nil
}

// notConnected is what the original tells of a node that it is still dialling.
var notConnected = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)

// serveCluster tells which nodes this one is linked to: [{uuid: endpoint}].
func (l *Locator) serveCluster(context.Context, *rpc.Call) ([]byte, error) {
	var nodes map[string]netip.AddrPort
	if l.gateway != nil {
		nodes = l.gateway.Nodes()
	}
	b := msgpack.AppendMap(msgpack.AppendArray(nil, 1), len(nodes))
	for _, uuid := range slices.Sorted(maps.Keys(nodes)) {
		at := nodes[uuid]
		if !at.IsValid() {
			at = notConnected
		}
		b = idl.AppendEndpoint(msgpack.AppendString(b, uuid), at)
	}
	return b, nil
}

func (l *Locator) serveRefresh(ctx context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	n := r.Array()
	if n > maxRefresh {
		return nil, rpc.BadArgs(c, fmt.Errorf("more than %d groups", maxRefresh))
	}
	names := make([]string, n)
	for i := range names {
		names[i] = r.String()
	}
	if err := r.Err(); err != nil {
		return nil, rpc.BadArgs(c, err)
	}
	return nil, coded(l.Refresh(ctx, names))
}

// serveConnect announces the directory to a peer locator.
func (l *Locator) serveConnect(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
	uuid, err := readID(c)
	if err != nil {
		return err
	}
	if !l.announce {
		return nil
	}
	headers := []hpack.Header{{Name: extraHeader, Value: string(l.extra)}}
	f := l.connect(uuid)
	defer l.disconnect(uuid, f)
	return l.deliver(ctx, f, func(args []byte) error {
		return s.SendHeaders(ctx, idl.Write, args, headers)
	})
}

// errDiscarded ends a routing stream that its client discarded.
var errDiscarded = errors.New("stream was discarded")

// serveRouting sends the routing table now and after every refresh.
func (l *Locator) serveRouting(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
	id, err := readID(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var listener sync.WaitGroup
	defer listener.Wait()
	defer cancel(nil)
	listener.Go(func() {
		_, err := s.Recv(ctx)
		if err == nil { // the only message is discard, and it is the last
			err = errDiscarded
		}
		cancel(err)
	})
	r := l.route(id)
	defer l.unroute(id, r)
	err = l.deliver(ctx, r, func(args []byte) error { return s.Send(ctx, idl.Write, args) })
	if errors.Is(context.Cause(ctx), errDiscarded) {
		return nil
	}
	return err
}

// readID reads the name under which a stream subscribes.
func readID(c *rpc.Call) (string, error) {
	r := c.Reader()
	id := r.Bytes()
	if err := r.Err(); err != nil {
		return "", rpc.BadArgs(c, err)
	}
	if len(id) > maxName {
		return "", rpc.BadArgs(c, fmt.Errorf("id is longer than %d bytes", maxName))
	}
	return string(id), nil
}

// coded gives the locator's failures their codes on the wire.
func coded(err error) error {
	code := 0
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotAvailable):
		code = idl.LocatorNotAvailable
	case errors.Is(err, ErrRecord): // the original has not foreseen it
		return &rpc.Error{Category: idl.CategoryDispatch, Code: idl.DispatchUncaught, Message: err.Error()}
	case errors.Is(err, ErrGroups):
		code = idl.LocatorRoutingUnavailable
	case errors.Is(err, ErrNoVersion):
		code = idl.LocatorBadVersion
	case errors.Is(err, ErrTaken):
		code = idl.LocatorAlreadyPublished
	default:
		return rpc.AsError(err)
	}
	return &rpc.Error{Category: idl.CategoryLocator, Code: code, Message: err.Error()}
}
