package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/node"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
	"github.com/cocaine/cocaine-go/internal/storage"
)

// A rig is a node whose storage, spooler, publisher and workers are the test's. All
// connections are in memory.
type rig struct {
	*node.Node
	t     *testing.T
	store *store
	pubs  *publisher
	spool *spooler
	fleet *fleet
}

// virtual runs a test in a bubble of virtual time.
func virtual(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newRig(t, nil)) })
}

func newRig(t *testing.T, change func(*node.Options)) *rig {
	t.Helper()
	r := &rig{t: t, store: newStore(), pubs: newPublisher(), spool: new(spooler), fleet: newFleet()}
	r.Node = r.node(change)
	return r
}

// node makes another node with the same surroundings, as after a restart.
func (r *rig) node(change func(*node.Options)) *node.Node {
	o := node.Options{
		Storage: r.store, Publisher: r.pubs, Spooler: r.spool, Isolates: map[string]isolate.Isolate{"process": r.fleet},
		RuntimeDir: "/run/cocaine", Locator: "127.0.0.1:10053", Runlist: "default", Listen: r.fleet.listen,
	}
	if change != nil {
		change(&o)
	}
	n := node.New(o)
	r.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.Stop(ctx)
	})
	return n
}

// put writes the records of an app, whose profile has its own name. mode is what
// its workers do.
func (r *rig) put(name, mode string, profile map[string]any) {
	r.t.Helper()
	m, err := manifest.ParseManifest(name, map[string]any{"slave": "run", "environment": map[string]any{"MODE": mode}})
	r.must(err)
	b, err := m.Encode()
	r.must(err)
	r.write("manifests", name, b)
	p, err := manifest.ParseProfile(name, profile)
	r.must(err)
	b, err = p.Encode()
	r.must(err)
	r.write("profiles", name, b)
	r.write("apps", name, msgpack.AppendString(nil, "code of "+name+" "+mode))
}

func (r *rig) write(collection, key string, value []byte) {
	r.t.Helper()
	r.must(r.store.Write(context.Background(), collection, key, value, nil))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// start puts and starts an app.
func (r *rig) start(name, mode string, profile map[string]any) {
	r.t.Helper()
	r.put(name, mode, profile)
	r.must(r.Start(r.t.Context(), name, name))
}

// background runs f in a goroutine and returns its result, nil if it is not over.
func background(f func() error) (result func() error, done <-chan struct{}) {
	c := make(chan struct{})
	err := errors.New("not over")
	go func() {
		defer close(c)
		err = f()
	}()
	synctest.Wait()
	return func() error { <-c; return err }, c
}

func over(done <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// service connects a client to the node service.
func (r *rig) service(n *node.Node) *rpctest.Peer {
	return rpctest.New(r.t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: n.Service(rpc.MuxOptions{})}})
}

// dial connects a client to an app.
func (r *rig) dial(name string) *rpctest.Peer {
	r.t.Helper()
	conn, err := r.pubs.dial(name)
	r.must(err)
	return rpctest.Play(r.t, conn)
}

// echo makes a call and wants it to be answered by a release.
func (r *rig) echo(p *rpctest.Peer, ch uint64) {
	r.t.Helper()
	p.Send(ch, idl.AppEnqueue, "e")
	p.Send(ch, idl.Write, "hello")
	p.Send(ch, idl.Close)
	p.Want(ch, idl.Write, "hello")
	p.Want(ch, idl.Close)
}

// wantCode fails the test unless an error has a code, and its text has the parts.
func wantCode(t *testing.T, err error, category, code int, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		e = rpc.AsError(err)
	}
	if err == nil || e.Category != category || e.Code != code {
		t.Fatalf("error is %v, want [%d, %d]", err, category, code)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("error %q does not say %q", e.Message, part)
		}
	}
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// store is a storage in memory that a test can break.
type store struct {
	*storage.Memory
	mu    sync.Mutex
	hook  func(op, collection, key string) error
	count map[string]int // reads by collection
}

func newStore() *store { return &store{Memory: storage.NewMemory(), count: make(map[string]int)} }

// reads is how often a collection was read.
func (s *store) reads(collection string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[collection]
}

// before has f asked before each operation. It may block.
func (s *store) before(f func(op, collection, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

func (s *store) ask(op, collection, key string) error {
	s.mu.Lock()
	f := s.hook
	if op == "read" {
		s.count[collection]++
	}
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(op, collection, key)
}

func (s *store) Read(ctx context.Context, collection, key string) ([]byte, error) {
	if err := s.ask("read", collection, key); err != nil {
		return nil, err
	}
	return s.Memory.Read(ctx, collection, key)
}

func (s *store) Write(ctx context.Context, collection, key string, value []byte, tags []string) error {
	if err := s.ask("write", collection, key); err != nil {
		return err
	}
	return s.Memory.Write(ctx, collection, key, value, tags)
}

func (s *store) Amend(ctx context.Context, collection, key string, tags []string, change func(old []byte) ([]byte, error)) error {
	if err := s.ask("read", collection, key); err != nil {
		return err
	}
	return s.Memory.Amend(ctx, collection, key, tags, func(old []byte) ([]byte, error) {
		value, err := change(old)
		if err == nil && value != nil {
			err = s.ask("write", collection, key)
		}
		return value, err
	})
}

// publisher serves apps on listeners in memory and keeps the names.
type publisher struct {
	mu     sync.Mutex
	names  map[string]bool // that resolve
	fronts map[string]*front
	hook   func(op, name string) error // asked before open and show; may block
}

func newPublisher() *publisher {
	return &publisher{names: make(map[string]bool), fronts: make(map[string]*front)}
}

type front struct {
	p      *publisher
	name   string
	a      rpc.Acceptor
	ln     *faultnet.MemListener
	server *rpc.Server
	wg     sync.WaitGroup
	shown  bool // guarded by p.mu
}

func (p *publisher) ask(op, name string) error {
	p.mu.Lock()
	f := p.hook
	p.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(op, name)
}

func (p *publisher) before(f func(op, name string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = f
}

func (p *publisher) Open(_ context.Context, name string, a rpc.Acceptor) (node.Publication, error) {
	if err := p.ask("open", name); err != nil {
		return nil, err
	}
	f := &front{p: p, name: name, a: a, ln: faultnet.NewListener(name, faultnet.PipeOptions{}), server: rpc.NewServer(rpc.ServerOptions{})}
	f.wg.Go(func() { _ = f.server.Serve(context.Background(), f.ln, a) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fronts[name] = f
	return f, nil
}

func (f *front) Show(context.Context) error {
	if err := f.p.ask("show", f.name); err != nil {
		return err
	}
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if f.p.names[f.name] {
		return fmt.Errorf("name %q is taken", f.name)
	}
	f.p.names[f.name], f.shown = true, true
	return nil
}

func (f *front) Hide() {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if f.shown {
		delete(f.p.names, f.name)
		f.shown = false
	}
}

func (f *front) Close(ctx context.Context) error {
	f.Hide()
	err := f.server.Shutdown(ctx)
	f.ln.Close()
	f.wg.Wait()
	return err
}

// resolves reports whether a name is published.
func (p *publisher) resolves(name string) bool {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[name]
}

func (p *publisher) front(name string) *front {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fronts[name]
}

// dial connects to an app, published or not.
func (p *publisher) dial(name string) (net.Conn, error) {
	f := p.front(name)
	if f == nil {
		return nil, fmt.Errorf("there is no app %q", name)
	}
	return f.ln.Dial(context.Background())
}

// spooler keeps a note of what it was told.
type spooler struct {
	mu   sync.Mutex
	hook func(ctx context.Context, app, code string) error // may block
	kept map[string][]string
	dirs map[string]string // digest by directory
}

func (s *spooler) before(f func(ctx context.Context, app, code string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

func (s *spooler) Spool(ctx context.Context, app, digest string, archive io.Reader) (string, error) {
	code, err := io.ReadAll(archive)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	f := s.hook
	s.mu.Unlock()
	if f != nil {
		if err := f(ctx, app, string(code)); err != nil {
			return "", err
		}
	}
	dir := "/spool/" + app + "/" + digest[:8]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirs == nil {
		s.dirs = make(map[string]string)
	}
	s.dirs[dir] = digest
	return dir, nil
}

func (s *spooler) Keep(app string, digests ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = make(map[string][]string)
	}
	s.kept[app] = digests
}

// keeps reports whether the code in a directory is safe.
func (s *spooler) keeps(app, dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.kept[app], s.dirs[dir])
}

// fleet is an isolate whose workers live in this process. What one does its
// environment says:
//
//	echo      sends back what it gets
//	exit      ends at once
//	mute      never shakes hands
//	slow      takes requests and never ends one
//	stubborn  echo, and does not care about terminate
type fleet struct {
	mu        sync.Mutex
	listeners map[string]*faultnet.MemListener
	running   map[*worker]bool
	spawned   []isolate.Spawn
}

func newFleet() *fleet {
	return &fleet{listeners: make(map[string]*faultnet.MemListener), running: make(map[*worker]bool)}
}

// listen is node.Options.Listen. Like a socket's file, a path belongs to one
// listener, and its end frees the path.
func (f *fleet) listen(path string) (net.Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ln := faultnet.NewListener(path, faultnet.PipeOptions{})
	f.listeners[path] = ln
	return &unlinking{MemListener: ln, f: f, path: path}, nil
}

type unlinking struct {
	*faultnet.MemListener
	f    *fleet
	path string
}

func (u *unlinking) Close() error {
	u.f.mu.Lock()
	delete(u.f.listeners, u.path) // whoever's it is by now, as unlink does
	u.f.mu.Unlock()
	return u.MemListener.Close()
}

func (f *fleet) Spawn(ctx context.Context, s isolate.Spawn) (isolate.Process, error) {
	f.mu.Lock()
	ln := f.listeners[s.Args[3]]
	f.mu.Unlock()
	return f.spawn(ctx, s, func() (net.Conn, error) {
		if ln == nil {
			return nil, errors.New("there is no such socket")
		}
		return ln.Dial(ctx)
	})
}

func (f *fleet) spawn(ctx context.Context, s isolate.Spawn, dial func() (net.Conn, error)) (isolate.Process, error) {
	mode := ""
	for _, v := range s.Env {
		if m, ok := strings.CutPrefix(v, "MODE="); ok {
			mode = m
		}
	}
	w := &worker{f: f, mode: mode, spawn: s, done: make(chan struct{})}
	f.mu.Lock()
	f.spawned = append(f.spawned, s)
	f.running[w] = true
	f.mu.Unlock()
	switch mode {
	case "exit":
		s.Output([]byte("cannot load library"), true)
		w.end(isolate.Exit{Code: 2})
		return w, nil
	case "mute":
		return w, nil
	}
	conn, err := dial()
	if err != nil {
		s.Output([]byte(err.Error()), true)
		w.end(isolate.Exit{Code: 99})
		return w, nil
	}
	w.session = rpc.Start(conn, rpc.SessionOptions{Acceptor: w})
	_, _ = w.session.Open(nil, (*control)(w), idl.WorkerHandshake, msgpack.AppendString([]byte{0x91}, s.Worker), nil)
	go w.beat()
	return w, nil
}

// workers are the processes of an app that run.
func (f *fleet) workers(app string) (ws []*worker) {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.running {
		if w.spawn.App == app {
			ws = append(ws, w)
		}
	}
	return ws
}

type worker struct {
	f       *fleet
	mode    string
	spawn   isolate.Spawn
	session *rpc.Session
	done    chan struct{}
	once    sync.Once
	exit    isolate.Exit
}

// beat sends heartbeats until the connection ends, and the worker with it.
func (w *worker) beat() {
	defer w.end(isolate.Exit{})
	t := time.NewTicker(10 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = w.session.Send(nil, 1, idl.WorkerHeartbeat, nil, nil)
		case <-w.session.Done():
			w.session.Wait()
			return
		}
	}
}

func (w *worker) end(e isolate.Exit) {
	w.once.Do(func() {
		w.f.mu.Lock()
		delete(w.f.running, w)
		w.f.mu.Unlock()
		w.exit = e
		close(w.done)
		if w.session != nil {
			_ = w.session.Close()
		}
	})
}

func (w *worker) PID() int              { return 1 }
func (w *worker) Done() <-chan struct{} { return w.done }
func (w *worker) Exit() isolate.Exit    { return w.exit }

func (w *worker) Signal(os.Signal) error {
	if w.mode != "stubborn" {
		w.end(isolate.Exit{Code: -1, Signal: syscall.SIGTERM})
	}
	return nil
}

func (w *worker) Kill() error {
	w.end(isolate.Exit{Code: -1, Signal: syscall.SIGKILL})
	return nil
}

type control worker

func (c *control) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == idl.WorkerTerminate && c.mode != "stubborn" {
		_ = c.session.Send(b, 1, idl.WorkerTerminate, []byte{0x92, 0, 0xa0}, nil)
		go (*worker)(c).end(isolate.Exit{})
	}
	return false
}
func (c *control) Lost(*rpc.Batch, error) {}

func (w *worker) Accept(_ *rpc.Batch, s *rpc.Session, ch uint64, _ *rpc.Frame) rpc.Receiver {
	return &request{w, s, ch}
}

type request struct {
	w  *worker
	s  *rpc.Session
	ch uint64
}

func (q *request) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if q.w.mode != "slow" {
		_ = q.s.Send(b, q.ch, f.Type, f.Args, nil)
	}
	return f.Type != idl.Write
}
func (q *request) Lost(*rpc.Batch, error) {}

var exitStatus1 = isolate.Exit{Code: 1}

var _ engine.Target = (*node.App)(nil)
