package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/node"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A service is a listener, the server on it, and its name in the locator.
type service struct {
	name   string
	proto  *idl.Protocol
	ln     net.Listener
	server *rpc.Server
	a      rpc.Acceptor
	loc    *locator.Locator
	log    *slog.Logger
	wg     sync.WaitGroup

	mu  sync.Mutex
	reg *locator.Registration
}

// serve starts accepting connections.
func (s *service) serve() {
	s.wg.Go(func() {
		if err := s.server.Serve(context.Background(), s.ln, s.a); err != nil {
			s.log.Error("service is lost", "service", s.name, "cause", err)
		}
	})
}

// addr is where the service listens.
func (s *service) addr() netip.AddrPort {
	a := s.ln.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Show registers the name. It implements node.Publication.
func (s *service) Show(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reg != nil {
		return nil
	}
	reg, err := s.loc.Expose(ctx, locator.Service{Name: s.name, Endpoints: []netip.AddrPort{s.addr()},
		Version: s.proto.Version, Graph: s.proto.AppendGraph(nil)})
	if err != nil {
		return err
	}
	s.reg = reg
	return nil
}

// Hide gives the name up.
func (s *service) Hide() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reg != nil {
		s.reg.Remove()
		s.reg = nil
	}
}

// Close ends the service; sessions that are busy have until ctx ends.
func (s *service) Close(ctx context.Context) error {
	s.Hide()
	err := s.server.Shutdown(ctx)
	s.ln.Close() // one that was never served
	s.wg.Wait()
	return err
}

var _ node.Publication = (*service)(nil)

// newService binds a listener.
func (d *Daemon) newService(name string, p *idl.Protocol, a rpc.Acceptor, o rpc.SessionOptions) (*service, error) {
	ln, err := d.ports.listen(name)
	if err != nil {
		return nil, err
	}
	o.Stats = d.stats
	return &service{name: name, proto: p, ln: ln, a: a, loc: d.locator, log: d.log,
		server: rpc.NewServer(rpc.ServerOptions{Session: o, MaxSessions: d.conf.Limits.Connections, Log: d.log})}, nil
}

// publisher opens the services of apps. It implements node.Publisher.
type publisher Daemon

// Open binds and serves; the name is not registered yet.
func (p *publisher) Open(_ context.Context, name string, a rpc.Acceptor) (node.Publication, error) {
	d := (*Daemon)(p)
	s, err := d.newService(name, idl.App, a, d.sessions())
	if err != nil {
		return nil, fmt.Errorf("cannot open service of app %q: %w", name, err)
	}
	s.serve()
	return s, nil
}
