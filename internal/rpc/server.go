package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// ServerOptions configure a Server.
type ServerOptions struct {
	// Session configures every accepted connection.
	Session SessionOptions
	// MaxSessions bounds open connections; further ones are closed at once. If
	// zero, 65536.
	MaxSessions int
	// Log receives what goes wrong with the listener. If nil, nothing is logged.
	Log *slog.Logger
}

// A Server accepts connections on listeners and runs a session on each.
type Server struct {
	opts ServerOptions
	log  *slog.Logger

	mu        sync.Mutex
	sessions  map[*Session]struct{}
	listeners map[net.Listener]struct{}
	accepted  uint64 // connections, those that were refused included
	opened    uint64 // channels of the sessions that have ended
	refused   uint64 // connections
	stopping  bool
	empty     chan struct{} // closed when stopping and the last session is gone
	wg        sync.WaitGroup
}

// NewServer makes a server.
func NewServer(o ServerOptions) *Server {
	if o.MaxSessions <= 0 {
		o.MaxSessions = 1 << 16
	}
	if o.Session.Stats == nil {
		o.Session.Stats = new(Stats)
	}
	s := &Server{
		opts:      o,
		log:       o.Log,
		sessions:  make(map[*Session]struct{}),
		listeners: make(map[net.Listener]struct{}),
		empty:     make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Stats are the counters of all the server's sessions.
func (s *Server) Stats() *Stats { return s.opts.Session.Stats }

// Serve accepts connections until the listener is closed, by Shutdown or by ctx.
// It may be called for several listeners. It returns nil after a wanted end.
func (s *Server) Serve(ctx context.Context, ln net.Listener, a Acceptor) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		ln.Close()
		return nil
	}
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()
	defer s.forget(ln)
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	o := s.opts.Session
	o.Acceptor = a
	var delay time.Duration
	rush := rush{began: time.Now()}
	for {
		conn, err := ln.Accept()
		if err == nil {
			delay = 0
			s.start(ctx, conn, o)
			rush.breathe(ctx)
			continue
		}
		if ctx.Err() != nil || s.isStopping() || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if !temporary(err) {
			return fmt.Errorf("cannot accept on %s: %w", ln.Addr(), err)
		}
		// Out of descriptors or memory: existing connections go on, new ones wait.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.log.Warn("cannot accept connection", "listener", ln.Addr(), "cause", err, "retry", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil
		}
	}
}

// rushed is how many connections a listener takes before it looks at how fast they
// come.
const rushed = 16

// rush tells when connections come so fast that whoever has one already is kept
// waiting: taking one, and seeing it end, keeps the processors from the others as long
// as there is a next one.
type rush struct {
	began time.Time
	n     int
}

// breathe is called for every connection. If they come faster than one in a
// millisecond, it pauses for three times as long as they took, at least for a
// millisecond each: the others wait with the system meanwhile.
func (r *rush) breathe(ctx context.Context) {
	if r.n++; r.n < rushed {
		return
	}
	if took := time.Since(r.began); took < rushed*time.Millisecond {
		select {
		case <-time.After(max(3*took, rushed*time.Millisecond)):
		case <-ctx.Done():
		}
	}
	r.n, r.began = 0, time.Now()
}

// temporary reports whether an accept error passes.
func temporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Server) forget(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

func (s *Server) start(ctx context.Context, conn net.Conn, o SessionOptions) {
	ses := NewSession(conn, o)
	s.mu.Lock()
	s.accepted++
	if s.stopping || len(s.sessions) >= s.opts.MaxSessions {
		s.refused++
		s.mu.Unlock()
		s.opts.Session.Stats.Refused.Add(1)
		conn.Close()
		return
	}
	s.sessions[ses] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		_ = ses.Run(ctx) // sessions log what is worth it themselves
		s.mu.Lock()
		delete(s.sessions, ses)
		s.opened += ses.counts.Load()
		if s.stopping && len(s.sessions) == 0 {
			s.signalEmpty()
		}
		s.mu.Unlock()
	}()
}

// signalEmpty is called with mu held.
func (s *Server) signalEmpty() {
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// Sessions is the number of open sessions.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Usage is what clients have made of a server.
type Usage struct {
	Accepted uint64 // connections, those that were refused included
	Refused  uint64 // connections that were closed at once, being too many
	Opened   uint64 // channels that clients have opened, ever
	Sessions int    // connections that are open
	Open     int    // channels that are open: whose client may still send, or whose method runs
}

// Usage adds up the server's sessions: nothing is kept for it on the way of a request
// but a number of each session. It is not meant to be asked more than a few times in a
// second.
func (s *Server) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := Usage{Accepted: s.accepted, Sessions: len(s.sessions), Refused: s.refused, Opened: s.opened}
	for ses := range s.sessions {
		u.Opened += ses.counts.Load()
		u.Open += max(ses.table.len(), int(ses.streams.Load()+ses.calls.Load()))
	}
	return u
}

// Shutdown stops accepting, lets the sessions finish what they carry until ctx
// ends, then closes them and waits for their goroutines. It may be called more
// than once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	for ln := range s.listeners {
		ln.Close()
	}
	clear(s.listeners)
	if len(s.sessions) == 0 {
		s.signalEmpty()
	}
	s.mu.Unlock()
	err := s.drain(ctx)
	s.mu.Lock()
	for ses := range s.sessions {
		ses.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

// drain closes each session as it becomes idle, until none is left.
func (s *Server) drain(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		for ses := range s.sessions {
			if ses.idle() {
				ses.Close()
			}
		}
		s.mu.Unlock()
		select {
		case <-s.empty:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// idle reports whether nothing is under way on a session: no open channel, no
// method running, no output.
func (s *Session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.len() == 0 && s.out.size == 0 && s.calls.Load()+s.streams.Load() == 0
}

// Dial connects to a service and runs a session on the connection in a goroutine
// that ends when the session does. Close ends it.
func Dial(ctx context.Context, network, addr string, o SessionOptions) (*Session, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	return Start(conn, o), nil
}

// Start runs a session on a connection in a goroutine that ends when the session
// does. Wait waits for it.
func Start(conn net.Conn, o SessionOptions) *Session {
	s := NewSession(conn, o)
	go func() { _ = s.Run(context.Background()) }() // its error is Err
	return s
}
