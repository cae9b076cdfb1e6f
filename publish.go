package cocaine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Publish announces a service that the runtime does not run itself, until the
// Publication is closed: its name, its endpoints, which must be numeric addresses,
// and, if it speaks the protocol of Cocaine, version and methods, as they were
// resolved from another. A service of any other protocol has neither.
//
//	db, err := client.Locator().Publish(ctx, cocaine.Resolution{Name: "db", Endpoints: []string{"10.0.0.7:5432"}})
//
// Publish returns when the locator has accepted it; after that ctx means nothing
// to the publication.
func (l Locator) Publish(ctx context.Context, r Resolution) (*Publication, error) {
	args, err := publishArgs(&r)
	if err != nil {
		return nil, fmt.Errorf("cannot publish service %q: %w", r.Name, err)
	}
	p := &Publication{name: r.Name, locator: l, args: args, done: make(chan struct{})}
	st, err := p.announce(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot publish service %q: %w", r.Name, unwrapCall(err))
	}
	client := l.service.conn.client
	p.ctx, p.cancel = context.WithCancel(client.ctx)
	p.log = client.log.With("service", r.Name)
	if !client.spawn(func() { p.keep(st) }) {
		p.cancel()
		st.abandon(nil)
		return nil, fmt.Errorf("cannot publish service %q: %w", r.Name, ErrClosed)
	}
	return p, nil
}

// publishArgs gives name, endpoints and maybe version and graph.
func publishArgs(r *Resolution) ([]any, error) {
	if r.Name == "" {
		return nil, &kindError{errors.New("it has no name"), ErrBadArgument}
	}
	endpoints := make([]any, len(r.Endpoints))
	for i, s := range r.Endpoints {
		e, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, &kindError{fmt.Errorf("endpoint %q is no numeric address with a port", s), ErrBadArgument}
		}
		endpoints[i] = []any{e.Addr().String(), e.Port()}
	}
	args := []any{r.Name, endpoints}
	if r.Version != 0 || len(r.graph) > 0 {
		args = append(args, []any{r.Version, Raw(r.graph.Append(nil))})
	}
	return args, nil
}

// A Publication is a service that the locator knows because of this client. While
// there is no connection to a locator nobody knows it; it is published again as
// soon as there is one, to that or to another. It ends with Close, or with the
// client.
type Publication struct {
	name    string
	locator Locator
	args    []any
	log     *slog.Logger
	ctx     context.Context // ends with Close and with the client
	cancel  context.CancelFunc
	done    chan struct{} // closed when the service is withdrawn
}

// Name is the name of the service.
func (p *Publication) Name() string { return p.name }

// Close withdraws the service. Further calls do nothing. The error is always nil.
func (p *Publication) Close() error {
	p.cancel()
	<-p.done
	return nil
}

// announce publishes the service on a channel, which keeps it known.
func (p *Publication) announce(ctx context.Context) (*Stream, error) {
	st, err := p.locator.service.start(ctx, "publish", p.args, false)
	if err != nil {
		return nil, err
	}
	if _, err := st.Recv(ctx); err != nil {
		st.abandon(context.Cause(ctx))
		return nil, err
	}
	return st, nil
}

// keep has the service published until the end of the publication.
func (p *Publication) keep(st *Stream) {
	defer close(p.done)
	for st != nil {
		select {
		case <-p.ctx.Done():
			st.abandon(nil)
			return
		case <-st.link.session.Done():
		}
		if p.ctx.Err() != nil {
			return
		}
		p.log.Warn("service is not published: connection to the locator lost", "cause", st.link.session.Err())
		st = p.again()
	}
}

// again publishes the service as soon as a locator lets it, nil if the publication
// has ended before. A locator that has not noticed the loss of the old connection
// refuses it at first.
func (p *Publication) again() *Stream {
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		st, err := p.announce(p.ctx)
		switch {
		case err == nil:
			p.log.Info("service is published again")
			return st
		case p.ctx.Err() != nil:
			return nil
		}
		p.log.Debug("cannot publish service again yet", "cause", err)
		select {
		case <-time.After(delay/2 + rand.N(delay/2)):
		case <-p.ctx.Done():
			return nil
		}
	}
}
