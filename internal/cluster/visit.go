package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// visit is one connection to a node, from the question who it is to the loss.
type visit struct {
	link *link
	log  *slog.Logger
	s    *rpc.Session
	at   netip.AddrPort // of the node's locator
	uuid string         // of the node once it is held, else ""; set with Links.mu held

	// Owned by the goroutine.
	question *rpc.Stream // for a sign of life; nil before the first
	missed   int         // intervals in a row in which neither an answer nor anything else came

	once   sync.Once
	kicked chan struct{} // closed when the node sends its announcements to another connection
	over   chan struct{} // closed when the node is held no more
}

func newVisit(n *link, log *slog.Logger, s *rpc.Session, at netip.AddrPort) *visit {
	return &visit{link: n, log: log, s: s, at: at, kicked: make(chan struct{}), over: make(chan struct{})}
}

// kick ends the visit: its stream has gone silent.
func (v *visit) kick() { v.once.Do(func() { close(v.kicked) }) }

// errKicked is that another connection of this node asked for the announcements, which
// then go there.
var errKicked = errors.New("the node was connected to under another address as well")

// follow subscribes to what the node announces, and takes it over until the stream or
// the connection ends, or the node is silent or lies.
func (v *visit) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	var watch sync.WaitGroup
	defer watch.Wait()
	defer close(stop)
	watch.Go(func() {
		select {
		case <-v.kicked:
			cancel(errKicked)
		case <-stop:
		}
	})
	m := idl.Locator.Message(idl.LocatorConnect)
	args := msgpack.AppendString(msgpack.AppendArray(nil, 1), v.link.l.o.UUID)
	st, err := v.s.Call(ctx, m.ID, args, rpc.CallOptions{Headers: v.link.l.headers, Send: m.Next, Recv: m.Reply.Node})
	if err != nil {
		return err
	}
	defer st.Close()
	for {
		m, err := v.next(ctx, st)
		switch {
		case context.Cause(ctx) == errKicked:
			return errKicked
		case errors.Is(err, io.EOF):
			return errors.New("the node ended its announcements: it has no cluster configured, or is stopping")
		case err != nil:
			return err
		}
		if err := v.take(m); err != nil {
			return err
		}
	}
}

// next waits for the next announcement. While none comes the node is asked for a sign
// of life once an interval, unless it is one that cannot be asked.
func (v *visit) next(ctx context.Context, st *rpc.Stream) (rpc.Message, error) {
	for {
		part, cancel := context.WithTimeout(ctx, v.link.l.o.Interval)
		m, err := st.Recv(part)
		quiet := err != nil && part.Err() != nil && ctx.Err() == nil && v.s.Err() == nil
		cancel()
		if !quiet {
			v.missed = 0
			return m, err
		}
		if err := v.listen(ctx); err != nil {
			return rpc.Message{}, err
		}
	}
}

// listen looks for the answer to the last question, and asks again once it is there. It
// does not wait: what the node announces meanwhile has to be heard.
func (v *visit) listen(ctx context.Context) error {
	if v.link.plain {
		if v.uuid == "" {
			return errSilent
		}
		return nil
	}
	if v.question != nil {
		if n, _ := v.question.Pending(); n == 0 {
			if v.missed++; v.missed >= silences {
				return errSilent
			}
			return nil
		}
		if err := v.hear(ctx); err != nil {
			return err
		}
	}
	var err error
	v.missed = 0
	v.question, err = v.link.l.callUUID(ctx, v.s)
	return err
}

// hear takes the answer.
func (v *visit) hear(ctx context.Context) error {
	m, err := v.question.Recv(ctx)
	if err != nil {
		return err
	}
	have, err := decodeUUID(m.Args)
	if err == nil && have != v.uuid {
		err = fmt.Errorf("%w: it was node %s, and says it is %.64q", ErrLie, v.uuid, have)
	}
	return err
}

// take takes over one announcement.
func (v *visit) take(m rpc.Message) error {
	l := v.link.l
	a, err := decodeAnnouncement(m.Args)
	if err != nil {
		return err
	}
	if v.uuid == "" {
		if err := v.settle(a.node); err != nil {
			return err
		}
	}
	if a.node != v.uuid {
		return fmt.Errorf("%w: node %s announces the services of %.64q", ErrLie, v.uuid, a.node)
	}
	name, err := clusterOf(m.Headers)
	if err != nil {
		return err
	}
	if name != l.o.Name {
		v.log.Debug("ignoring what a node of another cluster announces", "node", v.uuid, "cluster", name)
		return nil
	}
	return l.directory.update(v.uuid, a.services)
}

// settle learns who the node is from its first announcement. If there is a visit to it
// already, that hears nothing more since this one asked, and has to begin again.
func (v *visit) settle(uuid string) error {
	err := v.link.check(uuid)
	if err == nil {
		if holder := v.link.l.hold(uuid, v); holder == nil {
			v.log.Info("linked to a node", "node", uuid, "address", v.at)
			return nil
		}
		err = fmt.Errorf("node %s is linked already", uuid)
	}
	v.link.l.kick(uuid)
	return err
}

var errSilent = errors.New("the node gives no sign of life")

// callUUID asks a node who it is.
func (l *Links) callUUID(ctx context.Context, s *rpc.Session) (*rpc.Stream, error) {
	m := idl.Locator.Message(idl.LocatorUUID)
	return s.Call(ctx, m.ID, msgpack.AppendArray(nil, 0), rpc.CallOptions{Headers: l.headers, Send: m.Next, Recv: m.Reply.Node})
}

// ask asks a node who it is, and waits for the answer.
func (l *Links) ask(ctx context.Context, s *rpc.Session) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silences*l.o.Interval, errSilent)
	defer cancel()
	st, err := l.callUUID(ctx, s)
	if err != nil {
		return "", silent(ctx, err)
	}
	defer st.Close()
	answer, err := st.Recv(ctx)
	if err != nil {
		return "", silent(ctx, err)
	}
	return decodeUUID(answer.Args)
}

// silent names the end of patience.
func silent(ctx context.Context, err error) error {
	if context.Cause(ctx) == errSilent {
		return errSilent
	}
	return err
}

func decodeUUID(args []byte) (string, error) {
	r := msgpack.NewReader(args)
	if n := r.Array(); n < 1 && r.Err() == nil {
		return "", fmt.Errorf("%w: a uuid of no value", ErrLie)
	}
	uuid := r.Bytes()
	if err := r.Err(); err != nil {
		return "", fmt.Errorf("%w: uuid: %w", ErrLie, err)
	}
	if len(uuid) == 0 || len(uuid) > maxName {
		return "", fmt.Errorf("%w: a uuid of %d bytes, want 1 to %d", ErrLie, len(uuid), maxName)
	}
	return string(uuid), nil
}
