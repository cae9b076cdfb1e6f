package faultnet

import (
	"net"
	"sync"
)

// Verdict is what happens to one accepted connection.
type Verdict struct {
	// Err, if set, is returned by Accept instead of a connection, which stays in
	// the backlog: syscall.EMFILE is the usual one.
	Err error
	// Refuse resets the connection; Accept goes on with the next.
	Refuse bool
	// Script is given to the connection.
	Script Script
}

// Listener is a listener that refuses, fails or spoils what it accepts.
type Listener struct {
	net.Listener
	judge func(i int) Verdict

	mu   sync.Mutex
	next int
}

// WrapListener returns l with a judge, which is asked once per attempt to accept
// and gets the attempt's number, counted from zero. It is called by the
// goroutine in Accept and must not call back into the listener.
func WrapListener(l net.Listener, judge func(i int) Verdict) *Listener {
	return &Listener{Listener: l, judge: judge}
}

// Accept returns the next connection that the judge lets through.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		v := l.judge(l.attempt())
		if v.Err != nil {
			return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: v.Err}
		}
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !v.Refuse {
			return Wrap(c, v.Script), nil
		}
		resetConn(c)
	}
}

func (l *Listener) attempt() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next - 1
}
