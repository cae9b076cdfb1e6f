//go:build linux

// Package forward is the bare forwarder: it carries calls between clients and
// one worker over the same sockets and in the same frames as the runtime does,
// and does nothing else. No queue, no timeouts, no headers, no errors, no logs.
// What it reaches is the ceiling for the runtime on this machine.
//
// It is one loop on one thread over epoll: read a batch from a ready connection,
// copy each frame to the other side under its new channel, write what that
// filled, go on to the next. It takes no lock and allocates nothing per frame.
// The other variant, a goroutine for each connection on the standard library's
// poller with inline writes, was measured on two cores: equal with one
// connection, 5 to 25 percent slower with four, which then compete for the
// worker's buffer. With many idle cores that may turn round, for this one never
// uses more than one.
package forward

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/cocaine/cocaine-go/bench/internal/frame"
	"github.com/cocaine/cocaine-go/bench/internal/sock"
)

// highWater is how much may wait for a peer before whoever feeds it is no longer
// read.
const highWater = 8 << 20

// Serve waits for one worker on the unix listener, calls ready, and then carries
// calls from every client of the other listener until the worker leaves.
func Serve(clients *net.TCPListener, workers *net.UnixListener, ready func()) error {
	w, err := accept(workers)
	if err != nil {
		return fmt.Errorf("cannot accept a worker: %w", err)
	}
	f, err := newForwarder(clients, w)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	defer f.close()
	ready()
	for {
		events, err := f.poller.Wait(-1)
		if err != nil {
			return err
		}
		for _, e := range events {
			err := f.event(e)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("cannot forward: %w", err)
			}
		}
	}
}

func accept(l *net.UnixListener) (*sock.Conn, error) {
	c, err := l.Accept()
	if err != nil {
		return nil, err
	}
	return sock.Take(c)
}

type forwarder struct {
	poller   *sock.Poller
	listener *sock.Listener
	worker   *peer
	byFD     []*peer
	routes   routes
	full     int     // clients with more than highWater waiting: the worker is not read
	touched  []*peer // have something to write since the last flush
}

func newForwarder(clients *net.TCPListener, worker *sock.Conn) (*forwarder, error) {
	poller, err := sock.NewPoller()
	if err != nil {
		return nil, err
	}
	listener, err := sock.TakeListener(clients)
	if err != nil {
		return nil, errors.Join(err, poller.Close())
	}
	f := &forwarder{poller: poller, listener: listener, routes: newRoutes()}
	f.worker, err = f.add(worker)
	if err == nil {
		err = poller.Add(listener.FD(), sock.Readable)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *forwarder) close() {
	for _, p := range f.byFD {
		if p != nil {
			p.sock.Close()
		}
	}
	f.listener.Close()
	f.poller.Close()
}

// event handles one ready descriptor. An error is the worker's or the poller's
// and ends the forwarder; a client's own errors end the client.
func (f *forwarder) event(e sock.Ready) error {
	if e.FD == f.listener.FD() {
		return f.accept()
	}
	p := f.byFD[e.FD]
	if p == nil {
		return nil // closed earlier in this round
	}
	if e.Writable {
		f.touch(p)
	}
	if e.Readable {
		if err := f.read(p); err != nil {
			if p == f.worker {
				return err
			}
			if err := f.drop(p); err != nil {
				return err
			}
		}
	}
	return f.flush()
}

func (f *forwarder) accept() error {
	s, err := f.listener.Accept()
	if errors.Is(err, sock.ErrWouldBlock) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.add(s)
	return err
}

func (f *forwarder) add(s *sock.Conn) (*peer, error) {
	for s.FD() >= len(f.byFD) {
		f.byFD = append(f.byFD, make([]*peer, 64)...)
	}
	p := newPeer(s)
	f.byFD[s.FD()] = p
	return p, f.poller.Add(s.FD(), sock.Readable)
}

// drop forgets a client. Its calls go on in the worker; the answers find it gone.
func (f *forwarder) drop(p *peer) error {
	err := f.poller.Remove(p.sock.FD())
	f.byFD[p.sock.FD()] = nil
	p.sock.Close()
	p.gone = true
	p.out, p.sent = nil, 0
	return errors.Join(err, f.setFull(p, false))
}

// read takes in one batch from p and copies its frames to the other side.
func (f *forwarder) read(p *peer) error {
	if err := p.fill(); err != nil {
		if errors.Is(err, sock.ErrWouldBlock) {
			return nil
		}
		return err
	}
	rest, err := p.in[:p.have], error(nil)
	if p == f.worker {
		rest, err = f.fromWorker(rest)
	} else {
		rest, err = f.fromClient(p, rest)
	}
	p.keep(rest)
	return err
}

// fromClient copies whole frames to the worker and returns what is left.
func (f *forwarder) fromClient(p *peer, in []byte) ([]byte, error) {
	w := f.worker
	f.touch(w)
	for {
		fr, n, err := frame.Next(in)
		if errors.Is(err, frame.ErrShort) {
			return in, nil
		}
		if err != nil {
			return in, err
		}
		in = in[n:]
		var channel uint64
		if fr.Channel > p.last {
			p.last = fr.Channel
			if channel, err = f.routes.open(p, fr.Channel); err != nil {
				return in, err
			}
			if err := p.calls.open(fr.Channel, channel); err != nil {
				return in, err
			}
		} else {
			if channel = p.calls.channel(fr.Channel); channel == 0 {
				continue
			}
			if fr.Type != frame.Write {
				p.calls.close(fr.Channel)
			}
		}
		w.out = frame.AppendForward(w.out, fr, channel)
	}
}

// fromWorker copies whole frames to the clients and returns what is left.
func (f *forwarder) fromWorker(in []byte) ([]byte, error) {
	for {
		fr, n, err := frame.Next(in)
		if errors.Is(err, frame.ErrShort) {
			return in, nil
		}
		if err != nil {
			return in, err
		}
		in = in[n:]
		if fr.Channel == frame.ControlChannel {
			f.control(fr)
			continue
		}
		r := f.routes.find(fr.Channel)
		if r == nil {
			continue
		}
		if p := r.client; !p.gone {
			f.touch(p)
			p.out = frame.AppendForward(p.out, fr, r.channel)
		}
		if fr.Type != frame.Write {
			f.routes.close(r)
		}
	}
}

// control answers a heartbeat with one; the handshake carries a uuid and wants
// no answer.
func (f *forwarder) control(fr frame.Frame) {
	if args := fr.Args(); fr.Type == frame.Heartbeat && args[0] == 0x90 {
		f.worker.out = frame.AppendForward(f.worker.out, fr, fr.Channel)
		f.touch(f.worker)
	}
}

// touch puts p on the list of flush.
func (f *forwarder) touch(p *peer) {
	if !p.touched {
		p.touched = true
		f.touched = append(f.touched, p)
	}
}

// flush writes to every peer that was appended to.
func (f *forwarder) flush() error {
	for _, p := range f.touched {
		p.touched = false
		if p.gone || p.sent == len(p.out) && !p.waiting {
			continue
		}
		waiting, err := p.flush()
		if err != nil {
			if p == f.worker {
				return err
			}
			if err := f.drop(p); err != nil {
				return err
			}
			continue
		}
		if waiting != p.waiting {
			p.waiting = waiting
			if err := f.watch(p); err != nil {
				return err
			}
		}
		if err := f.setFull(p, len(p.out)-p.sent > highWater); err != nil {
			return err
		}
	}
	f.touched = f.touched[:0]
	return nil
}

// setFull notes whether p takes what it is sent, and stops or resumes the
// reading of whoever feeds it.
func (f *forwarder) setFull(p *peer, full bool) error {
	if p.full == full {
		return nil
	}
	p.full = full
	if p == f.worker {
		var err error
		for _, c := range f.byFD {
			if c != nil && c != f.worker {
				err = errors.Join(err, f.watch(c))
			}
		}
		return err
	}
	if full {
		f.full++
	} else {
		f.full--
	}
	return f.watch(f.worker)
}

// watch tells the poller what p is waited for.
func (f *forwarder) watch(p *peer) error {
	var i sock.Interest
	if p == f.worker && f.full == 0 || p != f.worker && !f.worker.full {
		i = sock.Readable
	}
	if p.waiting {
		i |= sock.Writable
	}
	return f.poller.Change(p.sock.FD(), i)
}
