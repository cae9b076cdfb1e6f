package daemon

import (
	"context"
	"net"

	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/v011"
)

// oldService is what a service has for its clients of v0.11. That of the locator has no
// listener of its own, and is not listed: every client knows its port.
type oldService struct {
	service   *v011.ClientService
	directory *v011.Directory
	ln        net.Listener // nil for the locator
	server    *rpc.Server
	unlist    func() // nil while it is not listed
}

// newOldService binds the listener.
func (d *Daemon) newOldService(name string, s *v011.ClientService, o rpc.SessionOptions) (oldService, error) {
	old := oldService{service: s, directory: d.directory}
	if name == locatorName {
		return old, nil
	}
	var err error
	if old.ln, err = d.ports.listen(name + " of v0.11"); err != nil {
		return oldService{}, err
	}
	o.Recognise = s.Recognise(o.Limits)
	old.server = d.newServer(o)
	return old, nil
}

// show lists the service, whose locator knows by now what its host is called. Called
// with the service's lock held, as hide is.
func (o *oldService) show(s *service) {
	if o.ln == nil {
		return
	}
	at := addrOf(o.ln)
	host := at.Addr().String()
	if at.Addr().IsUnspecified() {
		host = s.loc.Host()
	}
	if host == "" {
		return // nothing that a client could dial
	}
	o.unlist = o.directory.Add(v011.Listing{Name: s.name, Service: o.service, Host: host, Port: at.Port(),
		Connections: func() int { return s.server.Sessions() + o.server.Sessions() }})
}

func (o *oldService) hide() {
	if o.unlist != nil {
		o.unlist()
		o.unlist = nil
	}
}

// close ends the connections as those of the service end.
func (o *oldService) close(ctx context.Context) error {
	if o.ln == nil {
		return nil
	}
	err := o.server.Shutdown(ctx)
	o.ln.Close() // one that was never served
	return err
}

// groups are the routing groups of the locator, which comes up after its own service.
// It implements v011.Groups.
type groups Daemon

func (g *groups) Member(group string, there func(service string) bool) string {
	return g.locator.Member(group, there)
}

func (g *groups) Refresh(ctx context.Context, names []string) error {
	return g.locator.Refresh(ctx, names)
}
