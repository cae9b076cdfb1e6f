package cocainetest

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Service is one that the locator knows, with the connections to it. Its methods
// make it misbehave.
type Service struct {
	runtime  *Runtime
	name     string
	addr     string
	proto    *idl.Protocol
	acceptor rpc.Acceptor

	mu       sync.Mutex
	down     bool
	faults   faultnet.Script
	sessions map[*rpc.Session]*faultnet.PipeConn
	dials    int
	calls    []Call
}

// Name is the name that the service is resolved by.
func (s *Service) Name() string { return s.name }

// Addr is the address that the name resolves to, host:port.
func (s *Service) Addr() string { return s.addr }

// accept connects a client. It implements place.
func (s *Service) accept(context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	if s.down {
		return nil, refused("tcp", s.addr)
	}
	near, far := faultnet.Pipe(faultnet.PipeOptions{Names: [2]string{"client", s.addr}})
	var conn net.Conn = far
	if len(s.faults.Read)+len(s.faults.Write) > 0 {
		conn = faultnet.Wrap(far, s.faults)
	}
	session := rpc.NewSession(conn, rpc.SessionOptions{Acceptor: s.acceptor, Log: s.runtime.log})
	if !s.runtime.spawn(func() { s.serve(session) }) {
		return nil, refused("tcp", s.addr)
	}
	if s.sessions == nil {
		s.sessions = make(map[*rpc.Session]*faultnet.PipeConn)
	}
	s.sessions[session] = far
	return s.runtime.recorder.tap(near, "client", s.name, [2]*idl.Protocol{s.proto}), nil
}

func (s *Service) serve(session *rpc.Session) {
	_ = session.Run(context.Background()) // how it ends is the test's doing
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session)
}

// Dials is how often somebody has tried to connect.
func (s *Service) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Connections is how many are open.
func (s *Service) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Drop resets the connections that are open: calls on them fail with
// cocaine.ErrDisconnected. New ones are accepted. A method may call it.
func (s *Service) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session, conn := range s.sessions {
		_ = conn.Reset() // always succeeds
		_ = session.Close()
	}
}

// Down is a crash: connections are reset and new ones refused, until Up. The locator
// still knows the service.
func (s *Service) Down() {
	s.mu.Lock()
	s.down = true
	s.mu.Unlock()
	s.Drop()
}

// Up ends Down.
func (s *Service) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// Withdraw makes the locator forget the service, until Publish. Connections stay.
func (s *Service) Withdraw() { s.runtime.directory.Withdraw(s.name) }

// Publish makes the locator know the service, at its own address or, if there are
// any, at other addresses, where somebody may listen or not. A new service is
// published.
func (s *Service) Publish(addrs ...string) {
	if len(addrs) == 0 {
		addrs = []string{s.addr}
	}
	if err := s.runtime.directory.Publish(s.name, s.proto, addrs...); err != nil {
		s.runtime.t.Error(err)
	}
}

// A Fault is something that goes wrong with connections. Make it with the functions
// below.
type Fault struct{ read, write []faultnet.Fault }

// Delay lets every transfer, in either direction, take d.
func Delay(d time.Duration) Fault {
	return Fault{[]faultnet.Fault{faultnet.Delay(d)}, []faultnet.Fault{faultnet.Delay(d)}}
}

// CutAfter resets a connection once the service has sent n bytes.
func CutAfter(n int64) Fault { return Fault{write: []faultnet.Fault{faultnet.ResetAt(n)}} }

// CutInputAfter resets a connection once the service has received n bytes.
func CutInputAfter(n int64) Fault { return Fault{read: []faultnet.Fault{faultnet.ResetAt(n)}} }

// Pieces lets bytes travel n at a time, in both directions.
func Pieces(n int) Fault {
	return Fault{[]faultnet.Fault{faultnet.Pieces(n)}, []faultnet.Fault{faultnet.Pieces(n)}}
}

// SetFaults says what goes wrong with each connection that is made from now on;
// nothing, without an argument. Use Drop to make clients connect anew.
func (s *Service) SetFaults(faults ...Fault) {
	var script faultnet.Script
	for _, f := range faults {
		script = script.Then(faultnet.Script{Read: f.read, Write: f.write})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = script
}
