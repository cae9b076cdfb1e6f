package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Delays before a link is made anew: they double from the first to the last, and begin
// again once a link has lasted for longer than the last. The first is that of the
// original, unless nodes give their signs of life faster than that.
const (
	firstDelay  = time.Second
	delayGrowth = 5 // how often it doubles: the last is 32 s
)

func (l *Links) firstDelay() time.Duration { return min(firstDelay, l.o.Interval) }
func (l *Links) lastDelay() time.Duration  { return l.firstDelay() << delayGrowth }

// dialTimeout bounds connecting to one address.
const dialTimeout = 5 * time.Second

// link is the way to one node. Its goroutine runs run.
type link struct {
	l      *Links
	key    key
	cancel context.CancelFunc
	moved  chan struct{} // capacity 1: there are new addresses
	plain  bool          // the node cannot be asked for its uuid; owned by the goroutine

	// Guarded by Links.mu.
	addresses []string // where it is looked for, in order
	visit     *visit   // that holds the node, nil if none does
	cause     string   // why none does
	told      bool     // the log has that the addresses changed while it was held
}

// move gives the link other addresses. Called with Links.mu held.
func (n *link) move(addresses []string) {
	if slices.Equal(n.addresses, addresses) {
		return
	}
	if n.visit != nil && !n.told {
		n.told = true
		n.l.log.Warn("a node that is linked tells another address, which is used after a loss",
			"node", n.key.uuid, "linked", n.visit.at, "addresses", addresses)
	}
	n.addresses = addresses
	select {
	case n.moved <- struct{}{}:
	default: // it is going to look anyway
	}
}

// run makes the link, and makes it anew when it is lost, until ctx ends.
func (n *link) run(ctx context.Context) {
	log := n.l.log.With("peer", cmp.Or(n.key.uuid, n.key.address))
	failures, told := 0, false
	for {
		began := time.Now()
		err := n.attempt(ctx, log)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > n.l.lastDelay() {
			failures, told = 0, false
		}
		delay := n.l.firstDelay() << min(failures, delayGrowth)
		failures++
		n.fail(err)
		level := slog.LevelWarn
		if told || errors.Is(err, errSelf) { // the same again and again, or nothing wrong
			level = slog.LevelDebug
		}
		told = true
		log.Log(ctx, level, "not linked to a node", "cause", err, "again_in", delay)
		if !n.rest(ctx, delay) {
			return
		}
	}
}

func (n *link) fail(err error) {
	n.l.mu.Lock()
	defer n.l.mu.Unlock()
	n.cause = err.Error()
}

// rest waits until it is worth trying again: for delay, or, if there are new addresses,
// no longer than the first of all delays. It reports false if ctx ended.
func (n *link) rest(ctx context.Context, delay time.Duration) bool {
	least := n.l.firstDelay()
	t := time.NewTimer(least)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	t.Reset(delay - least)
	select {
	case <-t.C:
	case <-n.moved:
	case <-ctx.Done():
		return false
	}
	return true
}

// attempt connects to the node and follows what it announces. It returns why that
// ended. A node that hangs up when it is asked for its uuid is one of the original
// before 0.12.14, which did not know the method, and is not asked again.
func (n *link) attempt(ctx context.Context, log *slog.Logger) error {
	err := n.call(ctx, log)
	if !n.plain && errors.Is(err, errNoUUID) && ctx.Err() == nil {
		n.plain = true
		err = n.call(ctx, log)
	}
	return err
}

// call makes one connection and stays as long as it can.
func (n *link) call(ctx context.Context, log *slog.Logger) error {
	s, at, err := n.dial(ctx)
	if err != nil {
		return err
	}
	defer s.Wait()
	defer s.Close()
	v := newVisit(n, log, s, at)
	if !n.plain {
		uuid, err := n.identify(ctx, s)
		if err != nil {
			return err
		}
		if holder := n.l.hold(uuid, v); holder != nil {
			_ = s.Close()
			return n.await(ctx, holder, uuid)
		}
		log.Info("linked to a node", "node", uuid, "address", at)
	}
	err = v.follow(ctx)
	if v.uuid == "" {
		n.plain = false // there may have been another reason
		return err
	}
	services := n.l.release(v)
	log.Info("link to a node is over", "node", v.uuid, "services", services, "cause", err)
	return err
}

// await waits until another link to the same node is over.
func (n *link) await(ctx context.Context, holder *visit, uuid string) error {
	err := fmt.Errorf("node %s is linked already", uuid)
	n.fail(err)
	select {
	case <-holder.over:
	case <-ctx.Done():
	}
	return err
}

// dial connects to the first address that lets it.
func (n *link) dial(ctx context.Context) (*rpc.Session, netip.AddrPort, error) {
	n.l.mu.Lock()
	addresses := n.addresses
	n.l.mu.Unlock()
	select {
	case <-n.moved: // these are the newest
	default:
	}
	var errs []error
	for _, address := range addresses {
		part, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, err := n.l.o.Dial(part, "tcp", address)
		cancel()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return rpc.Start(conn, n.l.o.Session), remoteAddr(conn), nil
	}
	return nil, netip.AddrPort{}, errors.Join(errs...)
}

// remoteAddr is what the connection was made to.
func remoteAddr(conn net.Conn) netip.AddrPort {
	a, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// errNoUUID is that the node does not say who it is.
var errNoUUID = errors.New("cannot ask the node for its uuid")

// identify asks the node who it is.
func (n *link) identify(ctx context.Context, s *rpc.Session) (string, error) {
	uuid, err := n.l.ask(ctx, s)
	e, refused := errors.AsType[*rpc.Error](err)
	switch {
	case refused && e.Category == idl.CategoryDispatch, errors.Is(err, rpc.ErrDisconnected):
		return "", fmt.Errorf("%w: %w", errNoUUID, err)
	case err != nil:
		return "", err
	}
	return uuid, n.check(uuid)
}

// check says what is wrong with the uuid that was found.
func (n *link) check(uuid string) error {
	switch {
	case uuid == n.l.o.UUID:
		return errSelf
	case n.key.uuid != "" && uuid != n.key.uuid:
		return &otherError{want: n.key.uuid, have: uuid}
	}
	return nil
}
