// Package tlsconn is TLS for the listeners of a runtime, and for those who connect to
// them.
//
// From other machines a connection has to be one of TLS. On the machine itself it may
// be either: workers in old languages know nothing of TLS, and who could listen there
// owns the machine. Which it is tells its first byte, since those who connect speak
// first: a handshake begins with 0x16, which no frame does.
package tlsconn

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Listen gives the connections of a listener, as those of TLS if they are or have to
// be. The handshake is made by whoever reads first.
func Listen(ln net.Listener, c *tls.Config) net.Listener { return &listener{ln, c, isLocal} }

type listener struct {
	net.Listener
	config *tls.Config
	local  func(net.Conn) bool // whether it comes from this machine
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.local(conn) {
		return &either{Conn: conn, config: l.config}, nil
	}
	return tls.Server(conn, l.config), nil
}

// isLocal reports whether a connection comes from this machine: from a loopback
// address, or from the very address that it leads to.
func isLocal(c net.Conn) bool {
	remote, local := addrOf(c.RemoteAddr()), addrOf(c.LocalAddr())
	return remote.IsValid() && (remote.IsLoopback() || remote == local)
}

func addrOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}

// handshake is the first byte of a connection of TLS.
const handshake = 0x16

// either is a connection of which the first byte decides what it is. Deadlines are
// those of the connection below in both cases.
type either struct {
	net.Conn
	config *tls.Config

	decided atomic.Pointer[io.ReadWriter]
	mu      sync.Mutex // held by who waits for the first byte
}

// stream waits for the first byte. If there is an error, the next call waits again.
func (e *either) stream() (io.ReadWriter, error) {
	if rw := e.decided.Load(); rw != nil {
		return *rw, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if rw := e.decided.Load(); rw != nil {
		return *rw, nil
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(e.Conn, first); err != nil {
		return nil, err
	}
	plain := &replayed{Conn: e.Conn, first: bytes.NewReader(first)}
	rw := io.ReadWriter(plain)
	if first[0] == handshake {
		rw = tls.Server(plain, e.config)
	}
	e.decided.Store(&rw)
	return rw, nil
}

func (e *either) Read(b []byte) (int, error) {
	rw, err := e.stream()
	if err != nil {
		return 0, err
	}
	return rw.Read(b)
}

// Write waits for the first byte of the peer, who speaks first.
func (e *either) Write(b []byte) (int, error) {
	rw, err := e.stream()
	if err != nil {
		return 0, err
	}
	return rw.Write(b)
}

// replayed is a connection whose first byte was read already.
type replayed struct {
	net.Conn
	first *bytes.Reader
}

func (r *replayed) Read(b []byte) (int, error) {
	if r.first.Len() > 0 {
		return r.first.Read(b)
	}
	return r.Conn.Read(b)
}
