package engine_test

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// A rig is an engine with everything around it played by the test: the clients,
// the isolate, the processes and the workers in them. It lives in a bubble of
// virtual time.
type rig struct {
	*engine.Engine
	t      *testing.T
	ln     *faultnet.MemListener
	iso    *isolation
	client *rpctest.Peer
	calls  uint64 // channels the client has opened

	mu      sync.Mutex
	crashes []engine.Crash
}

// virtual runs a test in a bubble with a rig.
func virtual(t *testing.T, profile map[string]any, test func(r *rig)) {
	t.Helper()
	virtualWith(t, profile, nil, test)
}

func virtualWith(t *testing.T, profile map[string]any, change func(*engine.Options), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newRig(t, profile, change)) })
}

func newRig(t *testing.T, profile map[string]any, change func(*engine.Options)) *rig {
	t.Helper()
	p, err := manifest.ParseProfile("test", profile)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, ln: faultnet.NewListener("workers", faultnet.PipeOptions{}), iso: newIsolation()}
	o := engine.Options{
		App: "app", Release: "7", Manifest: manifest.Manifest{Slave: "run", Environment: map[string]string{"B": "2", "A": "1"}},
		Profile: *p, ProfileName: "test", Dir: "/spool/app", Endpoint: "/run/app.1", Locator: "127.0.0.1:10053",
		Isolate: r.iso,
		Crashed: func(c engine.Crash) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.crashes = append(r.crashes, c)
		},
		Listen: func(string) (net.Listener, error) { return r.ln, nil },
	}
	if change != nil {
		change(&o)
	}
	r.Engine = engine.New(o)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	r.client = r.dial()
	return r
}

// stop stops the engine without patience. In a bubble it waits for nothing real.
func (r *rig) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Stop(ctx) // what is left undone is the test's business
}

// dial connects another client.
func (r *rig) dial() *rpctest.Peer {
	return rpctest.New(r.t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: engine.Service(r.Engine, rpc.MuxOptions{})}})
}

// call opens a request on the client's connection.
func (r *rig) call(event string, hs ...hpack.Header) (channel uint64) {
	r.t.Helper()
	r.calls++
	r.client.SendHeaders(hs, r.calls, idl.AppEnqueue, event)
	synctest.Wait()
	return r.calls
}

// count reads a number of Info by its path.
func (r *rig) count(path ...string) int {
	r.t.Helper()
	var v any = r.Info(engine.InfoMore)
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok || m[key] == nil {
			r.t.Fatalf("info has no %v", path)
		}
		v = m[key]
	}
	switch n := v.(type) {
	case int:
		return n
	case int64:
		return int(n)
	case uint64:
		return int(n)
	}
	r.t.Fatalf("info %v is %T, not a number", path, v)
	return 0
}

// wantCount fails the test unless a number of Info is as wanted once everything
// has settled.
func (r *rig) wantCount(want int, path ...string) {
	r.t.Helper()
	synctest.Wait()
	if got := r.count(path...); got != want {
		r.t.Fatalf("%v = %d, want %d", path, got, want)
	}
}

// slaves are the states of the workers in the pool, by uuid.
func (r *rig) slaves() map[string]string {
	synctest.Wait()
	states := make(map[string]string)
	for id, v := range r.Info(engine.InfoOverseer)["pool"].(map[string]any)["slaves"].(map[string]any) {
		states[id] = v.(map[string]any)["state"].(string)
	}
	return states
}

// wantStates fails the test unless the pool has this many workers in each state.
func (r *rig) wantStates(want map[string]int) {
	r.t.Helper()
	got := make(map[string]int)
	for _, state := range r.slaves() {
		got[state]++
	}
	if len(got) != len(want) {
		r.t.Fatalf("states of workers are %v, want %v", got, want)
	}
	for state, n := range want {
		if got[state] != n {
			r.t.Fatalf("states of workers are %v, want %v", got, want)
		}
	}
}

// wantCrashes fails the test unless so many crashes were recorded; it returns them.
func (r *rig) wantCrashes(n int) []engine.Crash {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.crashes) != n {
		r.t.Fatalf("have %d crashes, want %d: %+v", len(r.crashes), n, r.crashes)
	}
	return r.crashes
}

// spawned takes the next process that the engine has started.
func (r *rig) spawned() *process {
	r.t.Helper()
	synctest.Wait()
	select {
	case p := <-r.iso.started:
		return p
	default:
		r.t.Fatal("no process was started")
		return nil
	}
}

// notSpawned fails the test if the engine has started a process.
func (r *rig) notSpawned() {
	r.t.Helper()
	synctest.Wait()
	select {
	case p := <-r.iso.started:
		r.t.Fatalf("process of worker %s was started, want none", p.Worker)
	default:
	}
}

// connect connects a process to the engine; it says nothing yet.
func (r *rig) connect(p *process) *worker {
	r.t.Helper()
	conn, err := r.ln.Dial(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	p.owns(conn)
	return &worker{Peer: rpctest.Play(r.t, conn), process: p}
}

// ready takes the next process and makes a worker of it.
func (r *rig) ready() *worker {
	r.t.Helper()
	w := r.connect(r.spawned())
	w.shake()
	return w
}

// pool makes n workers ready by way of control, then lets the size go.
func (r *rig) pool(n int) []*worker {
	r.t.Helper()
	r.SetTarget(n)
	ws := make([]*worker, n)
	for i := range ws {
		ws[i] = r.ready()
	}
	r.SetTarget(0)
	r.wantStates(map[string]int{"active": n})
	return ws
}

// A worker is a process that has connected. Its channels are numbered from 2, 1 is
// the control channel.
type worker struct {
	*rpctest.Peer
	*process
}

// shake shakes hands.
func (w *worker) shake() {
	w.Send(1, idl.WorkerHandshake, w.Worker)
	synctest.Wait()
}

// wantTerminate reads the engine's word to end.
func (w *worker) wantTerminate(t *testing.T, code int, text string) {
	t.Helper()
	w.Want(1, idl.WorkerTerminate, code, text)
}

// leave acknowledges a terminate, and the process ends well.
func (w *worker) leave() {
	w.Send(1, idl.WorkerTerminate, 0, "confirmed")
	synctest.Wait()
	w.end(isolate.Exit{})
	synctest.Wait()
}

// isolation is an isolate that starts nothing.
type isolation struct {
	started chan *process
	mu      sync.Mutex
	hook    func(ctx context.Context, p *process) error
}

func newIsolation() *isolation { return &isolation{started: make(chan *process, 10000)} }

// before has f run in each Spawn, with the power to block it or to fail it.
func (i *isolation) before(f func(ctx context.Context, p *process) error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hook = f
}

func (i *isolation) Spawn(ctx context.Context, s isolate.Spawn) (isolate.Process, error) {
	p := &process{Spawn: s, done: make(chan struct{}), born: time.Now()}
	i.mu.Lock()
	hook := i.hook
	i.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, p); err != nil {
			return nil, err
		}
	}
	i.started <- p
	return p, nil
}

// A process is what the test says it is. It ends by SIGTERM and by Kill unless told
// otherwise, and closes its connection when it ends.
type process struct {
	isolate.Spawn
	done chan struct{}
	born time.Time

	mu       sync.Mutex
	exit     isolate.Exit
	ended    bool
	deaf     bool // does not care for SIGTERM
	orphan   bool // something it has started keeps the connection open
	conn     net.Conn
	signals  []sent
	lastWord []string // printed when it ends
}

// sent is a signal that a process got, and how long after its start.
type sent struct {
	Name  string
	After time.Duration
}

func (p *process) owns(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = c
}

// change changes how the process behaves.
func (p *process) change(f func(p *process)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

// say prints a line.
func (p *process) say(line string) { p.Output([]byte(line), false) }

func (p *process) end(e isolate.Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	for _, line := range p.lastWord {
		p.Output([]byte(line), true)
	}
	p.ended, p.exit = true, e
	if p.conn != nil && !p.orphan {
		_ = p.conn.Close()
	}
	close(p.done)
}

func (p *process) PID() int              { return 4711 }
func (p *process) Done() <-chan struct{} { return p.done }

func (p *process) Exit() isolate.Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		return isolate.Exit{Err: isolate.ErrRunning}
	}
	return p.exit
}

func (p *process) Signal(sig os.Signal) error {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return os.ErrProcessDone
	}
	s := sig.(syscall.Signal)
	p.signals = append(p.signals, sent{isolate.SignalName(s), time.Since(p.born)})
	deaf := p.deaf
	p.mu.Unlock()
	if !deaf {
		p.end(isolate.Exit{Code: -1, Signal: s})
	}
	return nil
}

func (p *process) Kill() error {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return nil
	}
	p.signals = append(p.signals, sent{"SIGKILL", time.Since(p.born)})
	p.mu.Unlock()
	p.end(isolate.Exit{Code: -1, Signal: syscall.SIGKILL, Killed: true})
	return nil
}

// got are the signals that came.
func (p *process) got() []sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signals
}

// wait lets virtual time pass and everything settle.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
