package cocaine

import (
	"context"
	"fmt"
	"net/netip"
)

// Publish announces a service that the runtime does not run itself, until the
// Publication is closed or lost: its name, its endpoints, which must be numeric
// addresses, and, if it speaks the protocol of Cocaine, version and methods, as
// they were resolved from another. A service of any other protocol has neither.
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
	st, err := l.service.start(ctx, "publish", args, false)
	if err != nil {
		return nil, err
	}
	if _, err := st.Recv(ctx); err != nil {
		st.abandon(context.Cause(ctx))
		return nil, fmt.Errorf("cannot publish service %q: %w", r.Name, unwrapCall(err))
	}
	h, err := newHold(l.service.conn.client, st, (*hold).untilLost)
	if err != nil {
		return nil, err
	}
	return &Publication{r.Name, h}, nil
}

// publishArgs gives name, endpoints and maybe version and graph.
func publishArgs(r *Resolution) ([]any, error) {
	endpoints := make([]any, len(r.Endpoints))
	for i, s := range r.Endpoints {
		e, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q is no numeric address with a port", s)
		}
		endpoints[i] = []any{e.Addr().String(), e.Port()}
	}
	args := []any{r.Name, endpoints}
	if r.Version != 0 || len(r.graph) > 0 {
		args = append(args, []any{r.Version, Raw(r.graph.Append(nil))})
	}
	return args, nil
}

// A Publication is a service that the locator knows because of this client. It
// lasts until Close, or until the connection to the locator is lost; then publish
// again.
type Publication struct {
	name string
	hold *hold
}

// Name is the name of the service.
func (p *Publication) Name() string { return p.name }

// Done is closed when the service is not published any more, for whatever reason.
func (p *Publication) Done() <-chan struct{} { return p.hold.done }

// Err is why the service is not published any more, ErrClosed after Close; nil
// while it is.
func (p *Publication) Err() error { return p.hold.reason() }

// Close withdraws the service. If it was lost before, the error says why. Further
// calls do nothing and return the same.
func (p *Publication) Close() error {
	return p.hold.release(func() { p.hold.stream.abandon(nil) })
}
