package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/locator"
	"github.com/cocaine/cocaine-go/internal/node"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/v011"
)

// A service is a listener, the server on it, and its name in the locator; and the same
// for its clients of v0.11, who have a listener of their own.
type service struct {
	name   string
	proto  *idl.Protocol
	ln     net.Listener
	twin   net.Listener // of a locator, on the other loopback; nil without
	server *rpc.Server
	a      rpc.Acceptor
	old    oldService
	loc    *locator.Locator
	log    *slog.Logger
	wg     sync.WaitGroup
	rates  rates  // of its metrics
	closed func() // called when it is, if not nil

	mu  sync.Mutex
	reg *locator.Registration
}

// serve starts accepting connections.
func (s *service) serve() {
	s.accept(s.server, s.ln, v011.Either(s.old.service, s.a))
	if s.twin != nil {
		s.accept(s.server, s.twin, v011.Either(s.old.service, s.a))
	}
	if s.old.ln != nil {
		s.accept(s.old.server, s.old.ln, s.old.service)
	}
}

func (s *service) accept(server *rpc.Server, ln net.Listener, a rpc.Acceptor) {
	s.wg.Go(func() {
		if err := server.Serve(context.Background(), ln, a); err != nil {
			s.log.Error("service is lost", "service", s.name, "listener", ln.Addr(), "cause", err)
		}
	})
}

// addr is where the service listens.
func (s *service) addr() netip.AddrPort { return addrOf(s.ln) }

func addrOf(ln net.Listener) netip.AddrPort {
	a := ln.Addr().(*net.TCPAddr).AddrPort()
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
	s.old.show(s)
	return nil
}

// Hide gives the name up.
func (s *service) Hide() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reg != nil {
		s.old.hide()
		s.reg.Remove()
		s.reg = nil
	}
}

// Close ends the service; sessions that are busy have until ctx ends.
func (s *service) Close(ctx context.Context) error {
	s.Hide()
	var old error
	var wg sync.WaitGroup
	wg.Go(func() { old = s.old.close(ctx) })
	err := s.server.Shutdown(ctx)
	wg.Wait()
	s.ln.Close() // one that was never served
	if s.twin != nil {
		s.twin.Close()
	}
	s.wg.Wait()
	if s.closed != nil {
		s.closed()
	}
	return errors.Join(err, old)
}

var _ node.Publication = (*service)(nil)

// newService binds the listeners. a may come later, before serve.
func (d *Daemon) newService(name string, p *idl.Protocol, a rpc.Acceptor, old *v011.ClientService, o rpc.SessionOptions) (*service, error) {
	ln, err := d.ports.listen(name)
	if err != nil {
		return nil, err
	}
	s := &service{name: name, proto: p, ln: ln, a: a, loc: d.locator, log: d.log}
	if s.old, err = d.newOldService(name, old, o); err != nil {
		ln.Close()
		return nil, err
	}
	o.Recognise = old.RecogniseOnService(o.Limits)
	if s.old.ln == nil {
		s.twin = d.ports.twin(ln)
		o.Recognise = old.RecogniseOnLocator(o.Limits)
	}
	s.server = d.newServer(o)
	return s, nil
}

func (d *Daemon) newServer(o rpc.SessionOptions) *rpc.Server {
	o.Stats = d.stats
	return rpc.NewServer(rpc.ServerOptions{Session: o, MaxSessions: d.conf.Limits.Connections, Log: d.log})
}

// publisher opens the services of apps. It implements node.Publisher.
type publisher Daemon

// Open binds and serves; the name is not registered yet.
func (p *publisher) Open(_ context.Context, name string, a rpc.Acceptor) (node.Publication, error) {
	d := (*Daemon)(p)
	report := func() (map[string]any, error) { return d.node.Info(name, engine.InfoOverseer) }
	s, err := d.newService(name, idl.App, a, v011.App(a, report, d.mux(name)), d.sessions())
	if err != nil {
		return nil, fmt.Errorf("cannot open service of app %q: %w", name, err)
	}
	s.closed = d.apps.add(s)
	s.serve()
	return s, nil
}

// appServices are the services of apps that are open, for those who count.
type appServices struct {
	mu  sync.Mutex
	all map[*service]struct{}
}

// add adds a service, and gives what takes it out again.
func (a *appServices) add(s *service) (remove func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = make(map[*service]struct{})
	}
	a.all[s] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.all, s)
	}
}

func (a *appServices) list() []*service {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.all))
}
