package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// A moody worker does with each request whatever its dice say. It runs in this
// process, on a real socket.
type moody struct {
	dice *dice
	s    atomic.Pointer[rpc.Session]
	done chan struct{}
}

// dice are random numbers for many goroutines.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newDice(t *testing.T) *dice {
	seed := faultnet.Seed(t)
	return &dice{r: rand.New(rand.NewPCG(seed, seed))}
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

type moodyIsolate struct {
	dice *dice
	mu   sync.Mutex
	all  []*moody
}

func (i *moodyIsolate) Spawn(ctx context.Context, s isolate.Spawn) (isolate.Process, error) {
	if i.dice.n(20) == 0 {
		return nil, errors.New("the dice are against it")
	}
	conn, err := net.Dial("unix", s.Args[3])
	if err != nil {
		return nil, err
	}
	m := &moody{dice: i.dice, done: make(chan struct{})}
	session := rpc.Start(conn, rpc.SessionOptions{Acceptor: m})
	m.s.Store(session)
	_, _ = session.Open(nil, (*moodyControl)(m), idl.WorkerHandshake, msgpack.AppendString([]byte{0x91}, s.Worker), nil)
	go func() {
		defer close(m.done)
		session.Wait()
	}()
	i.mu.Lock()
	i.all = append(i.all, m)
	i.mu.Unlock()
	return &moodyProcess{m}, nil
}

// kill ends one of the workers.
func (i *moodyIsolate) kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := len(i.all); n > 0 {
		_ = i.all[i.dice.n(n)].s.Load().Close()
	}
}

type moodyProcess struct{ *moody }

func (p *moodyProcess) PID() int              { return 1 }
func (p *moodyProcess) Done() <-chan struct{} { return p.done }
func (p *moodyProcess) Exit() isolate.Exit    { return isolate.Exit{} }
func (p *moodyProcess) Kill() error           { return p.s.Load().Close() }

func (p *moodyProcess) Signal(os.Signal) error { return p.Kill() }

type moodyControl moody

func (c *moodyControl) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == idl.WorkerTerminate {
		_ = c.s.Load().Send(b, 1, idl.WorkerTerminate, []byte{0x92, 0, 0xa0}, nil)
	}
	return false
}
func (c *moodyControl) Lost(*rpc.Batch, error) {}

// Accept takes an invoke and decides what becomes of it.
func (m *moody) Accept(b *rpc.Batch, s *rpc.Session, ch uint64, _ *rpc.Frame) rpc.Receiver {
	switch mood := m.dice.n(20); {
	case mood < 2: // answers at once
		_ = s.Send(b, ch, idl.Write, []byte{0x91, 0xa1, 'x'}, nil)
		_ = s.Send(b, ch, idl.Close, nil, nil)
		return &moodyRequest{s: s, ch: ch, mute: true}
	case mood == 2:
		_ = s.Send(b, ch, idl.StreamError, []byte{0x92, 0x92, 42, 100, 0xa0}, nil)
		return &moodyRequest{s: s, ch: ch, mute: true}
	case mood == 3: // breaks the protocol of the request
		_ = s.Send(b, ch, 5, nil, nil)
		_ = s.Send(b, ch, idl.Write, []byte{0x91, 0xa1, 'x'}, nil)
		return &moodyRequest{s: s, ch: ch, mute: true}
	case mood == 4: // never answers
		return &moodyRequest{s: s, ch: ch, mute: true}
	case mood == 5 && m.dice.n(50) == 0: // leaves
		_ = s.Send(b, 1, idl.WorkerTerminate, []byte{0x92, 0, 0xa0}, nil)
		return &moodyRequest{s: s, ch: ch, mute: true}
	}
	return &moodyRequest{s: s, ch: ch} // echoes
}

type moodyRequest struct {
	s    *rpc.Session
	ch   uint64
	mute bool
}

func (q *moodyRequest) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if !q.mute {
		_ = q.s.Send(b, q.ch, f.Type, f.Args, nil)
	}
	return f.Type != idl.Write
}
func (q *moodyRequest) Lost(*rpc.Batch, error) {}

// A moodyCaller is one call of a client.
type moodyCaller struct {
	s     *rpc.Session
	slots chan struct{} // holds a token for each call under way
	ended atomic.Int32
	late  bool // closes its half after the answer
	mu    sync.Mutex
	ch    uint64
}

func (c *moodyCaller) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == idl.Write {
		return false
	}
	if c.late {
		c.mu.Lock()
		_ = c.s.Send(b, c.ch, idl.Close, nil, nil)
		c.mu.Unlock()
	}
	c.end()
	return true
}

func (c *moodyCaller) Lost(*rpc.Batch, error) { c.end() }

func (c *moodyCaller) end() {
	if c.ended.Add(1) == 1 {
		<-c.slots
	}
}

// Thousands of calls with random ends on both sides, deaths of workers and
// disconnects: each call ends exactly once, the counters add up, and no place on a
// worker is lost or given away twice.
func TestStress(t *testing.T) {
	d := newDice(t)
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		newStress(t, d).run()
	}
}

// stress is one engine under the load of several clients. A round is short, since
// after some deaths of workers an engine spends its time waiting.
type stress struct {
	t      *testing.T
	dice   *dice
	iso    *moodyIsolate
	engine *engine.Engine
	ln     net.Listener
	issued atomic.Int64 // calls
}

const (
	stressClients = 6 // of which the first four stay connected
	stressCalls   = 400
)

func newStress(t *testing.T, d *dice) *stress {
	t.Helper()
	p, err := manifest.ParseProfile("p", map[string]any{"pool-limit": 8, "pool-min": 4, "concurrency": 20, "queue-limit": 100,
		"grow-threshold": 5, "request-timeout": 0.2, "terminate-timeout": 1, "idle-timeout": 0.05})
	if err != nil {
		t.Fatal(err)
	}
	s := &stress{t: t, dice: d, iso: &moodyIsolate{dice: d}}
	s.engine = engine.New(engine.Options{App: "app", Profile: *p, Endpoint: filepath.Join(t.TempDir(), "s"), Isolate: s.iso, KillGrace: time.Second})
	if s.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stress) run() {
	t := s.t
	if err := s.engine.Start(); err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer(rpc.ServerOptions{})
	var serving, clients, trouble sync.WaitGroup
	serving.Go(func() { _ = server.Serve(t.Context(), s.ln, engine.Service(s.engine, rpc.MuxOptions{})) })
	calm := make(chan struct{})
	trouble.Go(func() { s.trouble(calm) })
	for i := range stressClients {
		clients.Go(func() { s.client(i < 4) })
	}
	clients.Wait()
	close(calm)
	trouble.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.engine.Stop(ctx); err != nil { // what is left expires
		t.Error(err)
	}
	if err := server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	serving.Wait()
	s.check()
}

func (s *stress) check() {
	t := s.t
	doc := s.engine.Info(1)
	requests := doc["requests"].(map[string]any)
	t.Logf("%d calls: %v; pool %v", s.issued.Load(), requests, doc["pool"])
	got, least := int64(requests["accepted"].(uint64)+requests["rejected"].(uint64)), int64(4*stressCalls)
	if got > s.issued.Load() || got < least {
		t.Errorf("accepted and rejected are %d, issued were %d, %d of them by clients that stayed", got, s.issued.Load(), least)
	}
	if doc["load"] != 0 || doc["queue"].(map[string]any)["depth"] != 0 {
		t.Errorf("load is %v, queue %v", doc["load"], doc["queue"])
	}
}

// trouble kills workers now and then, and changes the size of the pool.
func (s *stress) trouble(calm <-chan struct{}) {
	for {
		select {
		case <-calm:
			return
		case <-time.After(time.Duration(s.dice.n(20)) * time.Millisecond):
			if s.dice.n(10) == 0 {
				s.iso.kill()
			}
			if s.dice.n(5) == 0 {
				s.engine.SetTarget(s.dice.n(9))
			}
			_ = s.engine.Info(7)
		}
	}
}

// client makes calls, on one connection if it stays, otherwise on many, which it
// leaves behind in the middle of what they carry.
func (s *stress) client(stays bool) {
	slots := make(chan struct{}, 30)
	for left := stressCalls; left > 0; {
		conn, err := net.Dial("tcp", s.ln.Addr().String())
		if err != nil {
			s.t.Error(err)
			return
		}
		session := rpc.Start(&witness{Conn: conn, t: s.t, scanner: wire.NewScanner(wire.Limits{}), last: make(map[uint64]wire.Frame)}, rpc.SessionOptions{})
		n := left
		if !stays {
			n = min(left, 1+s.dice.n(100))
		}
		for range n {
			left--
			call(s.dice, session, slots)
			s.issued.Add(1)
			if s.dice.n(3) == 0 {
				time.Sleep(time.Duration(s.dice.n(3000)) * time.Microsecond)
			}
		}
		if stays {
			for range cap(slots) {
				slots <- struct{}{}
			}
		}
		_ = session.Close()
		session.Wait()
	}
}

// A witness sees every frame that a client gets, and fails the test if one comes
// behind the last one of its call.
type witness struct {
	net.Conn
	t       *testing.T
	buf     []byte
	scanner wire.Scanner
	last    map[uint64]wire.Frame // the last frames of calls
}

func (w *witness) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.buf = append(w.buf, p[:n]...)
	for {
		f, n, err := w.scanner.Next(w.buf)
		if err != nil {
			break
		}
		w.buf = w.buf[n:]
		if last, over := w.last[f.Channel]; over && !revoked(f) {
			w.t.Errorf("client got %v behind %v", f, last)
		}
		if f.Type != idl.Write {
			w.last[f.Channel] = f
		}
	}
	return n, err
}

// revoked reports whether a frame is a session's answer to a frame on a channel
// that it has forgotten: it does not remember all that were closed a while ago.
func revoked(f wire.Frame) bool {
	e, err := rpc.DecodeError(f.Args)
	return f.Type == idl.Error && err == nil && e.Category == idl.CategoryDispatch && e.Code == idl.DispatchRevoked
}

// call makes one call of a random kind.
func call(d *dice, s *rpc.Session, slots chan struct{}) {
	slots <- struct{}{}
	c := &moodyCaller{s: s, slots: slots, late: d.n(3) == 0}
	c.mu.Lock() // its channel's number is not known before it may be answered
	defer c.mu.Unlock()
	var headers []byte
	if d.n(4) == 0 {
		headers = hpack.AppendLiterals(nil, []hpack.Header{timeoutHeader(uint64(d.n(50)))})
	}
	rpc.Run(func(b *rpc.Batch) {
		id, err := s.Open(b, c, idl.AppEnqueue, []byte{0x91, 0xa1, 'e'}, headers)
		if err != nil {
			c.end()
			return
		}
		c.ch = id
		for range d.n(3) {
			_ = s.Send(b, id, idl.Write, []byte{0x91, 0xa1, 'x'}, nil)
		}
		switch {
		case c.late && d.n(2) == 0:
			_ = s.Send(b, id, idl.Write, []byte{0x90}, nil) // breaks the protocol
		case c.late:
		case d.n(10) == 0:
			_ = s.Send(b, id, idl.StreamError, []byte{0x92, 0x92, 43, 1, 0xa0}, nil)
		default:
			_ = s.Send(b, id, idl.Close, nil, nil)
		}
	})
}
