package cocaine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/host"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/standin"
	"github.com/cocaine/cocaine-go/worker"
)

// A world is a runtime in which everything breaks: a locator, services of every
// shape of method and an app with a worker, all on real sockets.
//
//	client ═ scripted or plain TCP ═ place "storage", "unicorn", "logging", "script"
//	   ║                             place "app" ─ host ═ unix socket ═ worker
//	   ╚════════════════════════════ place of the locator, always on one port
//
// The services note in the ledger whom they have served.
type world struct {
	t      *testing.T
	seed   uint64
	book   *ledger
	names  *standin.Runtime
	places []*place
	host   *host.Host
	crew   *workerPlace
	calm   atomic.Bool // no more faults on new connections
	dials  atomic.Int64

	running atomic.Int64 // methods of the scripted services
}

func newWorld(t *testing.T, seed uint64, book *ledger) *world {
	w := &world{t: t, seed: seed, book: book, names: standin.New(t), host: host.New(host.Options{App: "app", Queue: 400})}
	w.names.StopLocator() // another takes its place
	for i, p := range []struct {
		name     string
		proto    *idl.Protocol
		acceptor rpc.Acceptor
	}{
		{"locator", idl.Locator, w.names.Acceptor()},
		{"storage", idl.Storage, w.storage()},
		{"unicorn", idl.Unicorn, w.unicorn()},
		{"logging", idl.Logging, w.logging()},
		{"script", idl.App, app(w.converse)},
		{"app", idl.App, w.host.Service()},
	} {
		at := &place{w: w, name: p.name, proto: p.proto, watch: &watch{Acceptor: p.acceptor}, seed: faultnet.Sub(seed, -1-i)}
		w.places = append(w.places, at)
		at.start()
	}
	w.crew = newWorkerPlace(w)
	w.crew.start()
	return w
}

// close ends everything that is not the test's by itself.
func (w *world) close() {
	for _, p := range w.places {
		p.stop()
	}
	w.crew.stop(false)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.host.Stop(ctx); err != nil {
		w.t.Error(err)
	}
	w.crew.close()
}

// client makes the one client. Half of its connections are what the kernel gives,
// which are written in another way than those that a wrapper spoils.
func (w *world) client() *cocaine.Client {
	client, err := cocaine.New(cocaine.Options{
		Locators: []string{w.places[0].addr},
		Logger:   slog.New(slog.DiscardHandler),
		Dial:     w.dial,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	r := rand.New(rand.NewPCG(faultnet.Sub(w.seed, int(w.dials.Add(1))), 3))
	if !w.calm.Load() && r.IntN(40) == 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ENETUNREACH}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || w.calm.Load() || r.IntN(2) == 0 {
		return conn, err
	}
	return faultnet.Wrap(conn, misfortune(r)), nil
}

// misfortune draws what happens to one connection. Bytes are late, come in odd
// pieces or not at all, but none is changed: that is for TLS to tell.
func misfortune(r *rand.Rand) faultnet.Script {
	one := func() []faultnet.Fault {
		at := int64(1) << (4 + r.IntN(15))
		at += r.Int64N(at)
		switch r.IntN(7) {
		case 0:
			return []faultnet.Fault{faultnet.ResetAt(at)}
		case 1:
			return []faultnet.Fault{faultnet.CloseAt(at)}
		case 2:
			return []faultnet.Fault{faultnet.DelayAt(at, time.Duration(r.IntN(60))*time.Millisecond)}
		case 3:
			return []faultnet.Fault{faultnet.Jitter(r.Uint64(), 200*time.Microsecond), faultnet.ResetAt(16 * at)}
		case 4:
			return []faultnet.Fault{faultnet.Chop(r.Uint64(), 100+r.IntN(4000)), faultnet.ResetAt(at)}
		}
		return nil
	}
	return faultnet.Script{Read: one(), Write: one()}
}

// A place is a service on a port, until it is stopped, and on another one later.
type place struct {
	w     *world
	name  string
	proto *idl.Protocol
	watch *watch
	seed  uint64

	mu    sync.Mutex
	addr  string // the locator's does not change
	next  int    // number of the next connection
	stops func() // ends what runs; nil when nothing does
}

func (p *place) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stops != nil {
		return
	}
	addr := "127.0.0.1:0"
	if p.name == "locator" && p.addr != "" {
		addr = p.addr
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		p.w.t.Error(err)
		return
	}
	p.addr = ln.Addr().String()
	server, served := rpc.NewServer(rpc.ServerOptions{}), make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), faultnet.WrapListener(ln, p.judge), p.watch) }()
	if p.name != "locator" {
		p.w.names.Publish(p.name, p.proto, p.addr)
	}
	p.stops = func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Shutdown(now) // says that it did not wait
		if err := <-served; err != nil {
			p.w.t.Error(err)
		}
	}
}

// judge decides about a connection that the place accepts.
func (p *place) judge(int) faultnet.Verdict {
	p.mu.Lock()
	p.next++
	r := rand.New(rand.NewPCG(faultnet.Sub(p.seed, p.next), 4))
	p.mu.Unlock()
	switch {
	case p.w.calm.Load():
		return faultnet.Verdict{}
	case r.IntN(50) == 0:
		return faultnet.Verdict{Err: syscall.EMFILE}
	case r.IntN(15) == 0:
		return faultnet.Verdict{Refuse: true}
	case r.IntN(2) == 0:
		return faultnet.Verdict{Script: misfortune(r)}
	}
	return faultnet.Verdict{}
}

// stop ends the service as a crash does. Its name still leads to where it was.
func (p *place) stop() {
	p.mu.Lock()
	stops := p.stops
	p.stops = nil
	p.mu.Unlock()
	if stops != nil {
		stops()
	}
}

// A watch knows the sessions that a service has.
type watch struct {
	rpc.Acceptor
	sessions sync.Map // *rpc.Session, those that have carried a call
}

func (a *watch) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	if _, known := a.sessions.Load(s); !known {
		a.sessions.Store(s, nil)
	}
	return a.Acceptor.Accept(b, s, channel, f)
}

// each calls f for the sessions that are alive.
func (a *watch) each(f func(*rpc.Session)) {
	for s := range a.sessions.Range {
		select {
		case <-s.(*rpc.Session).Done():
			a.sessions.Delete(s)
		default:
			f(s.(*rpc.Session))
		}
	}
}

// cut ends the connections of a place, and leaves the place.
func (p *place) cut() { p.watch.each(func(s *rpc.Session) { s.Close() }) }

// channels is how many calls the place is serving.
func (p *place) channels() (n int) {
	p.watch.each(func(s *rpc.Session) { n += s.Channels() })
	return n
}

// strike breaks something.
func (w *world) strike(client *cocaine.Client, r *rand.Rand) {
	p := w.places[r.IntN(len(w.places))]
	switch r.IntN(7) {
	case 0:
		p.cut()
	case 1, 2:
		p.stop()
		time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond) // how long the fault lasts, not a wait for anything
		p.start()
	case 3:
		if p.name == "locator" {
			p.cut()
			return
		}
		w.names.Withdraw(p.name)
		p.stop()
		time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond) // likewise
		p.start()
	case 4:
		client.Service(p.name).Disconnect()
	case 5:
		w.crew.stop(true)
		w.crew.start()
	case 6:
		w.crew.stop(false)
		w.crew.start()
	}
}

// storage.read answers once, storage.write too, after a while.
func (w *world) storage() *rpc.Mux {
	m := rpc.NewMux(idl.Storage, rpc.MuxOptions{})
	m.Unary("read", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		args := c.Reader()
		_, id := args.String(), parseID(args.Bytes())
		v, err := w.serve(ctx, id)
		if err != nil {
			return nil, err
		}
		return standin.Value(v), nil
	})
	m.Unary("write", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		args := c.Reader()
		_, id := args.String(), parseID(args.Bytes())
		_, err := w.serve(ctx, id)
		return nil, err
	})
	return m
}

// serve notes the call and behaves as is planned for it.
func (w *world) serve(ctx context.Context, id uint64) (uint64, error) {
	w.running.Add(1)
	defer w.running.Add(-1)
	return w.book.serve(ctx, id)
}

// unicorn.subscribe answers with chunks and ends; unicorn.lock answers once and
// waits until it is told to end.
func (w *world) unicorn() *rpc.Mux {
	m := rpc.NewMux(idl.Unicorn, rpc.MuxOptions{})
	m.Stream("subscribe", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		args := c.Reader()
		id := parseID(args.Bytes())
		v, err := w.serve(ctx, id)
		if err != nil {
			return err
		}
		for i := range w.book.plan(id).chunks {
			if err := s.Send(ctx, idl.Write, standin.Value(v+uint64(i))); err != nil {
				return err
			}
		}
		return nil
	})
	m.Stream("lock", func(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
		args := c.Reader()
		v, err := w.serve(ctx, parseID(args.Bytes()))
		if err != nil {
			return err
		}
		if err := s.Send(ctx, idl.Write, standin.Value(v)); err != nil {
			return err
		}
		w.running.Add(1)
		defer w.running.Add(-1)
		_, err = s.Recv(ctx)
		if errors.Is(err, io.EOF) || err == nil {
			return nil
		}
		return err
	})
	return m
}

// logging.emit answers nothing.
func (w *world) logging() *rpc.Mux {
	m := rpc.NewMux(idl.Logging, rpc.MuxOptions{})
	m.Mute("emit", func(_ context.Context, c *rpc.Call) error {
		args := c.Reader()
		args.Int()
		_ = args.String()
		w.book.deliver(parseID(args.Bytes()))
		return nil
	})
	return m
}

// converse is the event of the scripted app: the first chunk has the call's number,
// each is answered with one.
func (w *world) converse(ctx context.Context, _ string, _ *rpc.Call, s *rpc.Stream) error {
	w.running.Add(1)
	defer w.running.Add(-1)
	var v uint64
	for i := 0; ; i++ {
		m, err := s.Recv(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if i == 0 {
			r := msgpack.NewReader(m.Args)
			r.Array()
			if v, err = w.book.serve(ctx, parseID(r.Bytes())); err != nil {
				return err
			}
		}
		if err := s.Send(ctx, idl.Write, standin.Value(formatID(v+uint64(i)))); err != nil {
			return err
		}
	}
}

// A workerPlace is where the app's worker runs, one after another.
type workerPlace struct {
	w   *world
	dir string
	n   int

	conns   sync.WaitGroup // host.Serve
	mu      sync.Mutex
	conn    net.Conn
	stopped func() // ends the worker and waits
}

func newWorkerPlace(w *world) *workerPlace {
	dir, err := os.MkdirTemp("", "chaos") // the path of a socket is at most 107 bytes
	if err != nil {
		w.t.Fatal(err)
	}
	return &workerPlace{w: w, dir: dir}
}

func (p *workerPlace) close() {
	p.conns.Wait()
	os.RemoveAll(p.dir)
}

// start runs a worker in this process, on a real socket.
func (p *workerPlace) start() {
	p.n++
	path := filepath.Join(p.dir, fmt.Sprint(p.n))
	ln, err := net.Listen("unix", path)
	if err != nil {
		p.w.t.Error(err)
		return
	}
	defer ln.Close()
	sdk, err := worker.New(worker.Options{App: "app", UUID: fmt.Sprintf("worker-%d", p.n), Endpoint: path,
		Drain: 500 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), Signals: []os.Signal{}})
	if err != nil {
		p.w.t.Error(err)
		return
	}
	worker.Handle(sdk, "value", func(ctx context.Context, in chaosIn) (chaosOut, error) {
		v, err := p.w.book.serve(ctx, in.ID)
		return chaosOut{v}, err
	})
	sdk.HandleStream("stream", p.w.stream)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sdk.Run(ctx) // lost, when the fault is that
	}()
	conn, err := ln.Accept()
	if err != nil {
		p.w.t.Error(err)
		cancel()
		return
	}
	p.conns.Go(func() { _ = p.w.host.Serve(context.Background(), conn) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn, p.stopped = conn, func() { cancel(); <-ended }
}

// stop ends the worker, by the loss of its connection or as one that is told to.
func (p *workerPlace) stop(crash bool) {
	p.mu.Lock()
	conn, stopped := p.conn, p.stopped
	p.conn, p.stopped = nil, nil
	p.mu.Unlock()
	if stopped == nil {
		return
	}
	if crash {
		conn.Close()
	}
	stopped()
}

// stream is the worker's event of chunks, as converse. Chunks do not come or go any
// more when the caller has gone or the worker must stop.
func (w *world) stream(ctx context.Context, s *worker.Stream) error {
	var v uint64
	i := uint64(0)
	for chunk, err := range s.All(ctx) {
		if err != nil {
			return errServiceEnd
		}
		if i == 0 {
			if v, err = w.book.serve(ctx, parseID(chunk)); err != nil {
				return err
			}
		}
		if err := s.Send(ctx, formatID(v+i)); err != nil {
			return errServiceEnd
		}
		i++
	}
	return nil
}
