package host_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/faultnet"
	"github.com/cocaine/cocaine-go/internal/host"
	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/rpc/rpctest"
)

// A stage is an app with its client and its worker, both played by the test. What
// either gets is taken down.
type stage struct {
	t        *testing.T
	client   *rpctest.Peer
	worker   *rpctest.Peer // connected and ready, unless the scene says otherwise
	connect  func() *rpctest.Peer
	stop     func(ctx context.Context) error
	says     []hpack.Header // of the worker's handshake
	protocol []string
}

const (
	queueLimit  = 2
	concurrency = 3
	requestTime = 100 * time.Second
	beatTime    = 30 * time.Second
)

// hear takes down everything that has come to the client and to the worker. There is
// no order between channels, so the lines of one time are sorted by them.
func (s *stage) hear() {
	synctest.Wait()
	var lines []line
	for _, who := range []struct {
		name string
		p    *rpctest.Peer
	}{{"client", s.client}, {"worker", s.worker}} {
		if who.p == nil {
			continue
		}
		for {
			f, err := who.p.Poll()
			if err == os.ErrDeadlineExceeded {
				break
			}
			if err != nil {
				lines = append(lines, line{who.name, math.MaxUint64, "end of the connection"})
				break
			}
			lines = append(lines, line{who.name, f.Channel, f.String()})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.who, b.who), cmp.Compare(a.channel, b.channel))
	})
	for _, l := range lines {
		s.protocol = append(s.protocol, l.who+": "+l.text)
	}
}

// A line is a frame that somebody got.
type line struct {
	who     string
	channel uint64
	text    string
}

// onEngine and onHost set the stage.
func onEngine(t *testing.T, s *stage) {
	profile, err := manifest.ParseProfile("test", map[string]any{
		"queue-limit": queueLimit, "concurrency": concurrency, "pool-limit": 1,
		"request-timeout": int(requestTime.Seconds()), "heartbeat-timeout": int(beatTime.Seconds()),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln := faultnet.NewListener("workers", faultnet.PipeOptions{})
	iso := isolation{started: make(chan *process, 100)}
	e := engine.New(engine.Options{
		App: "app", Release: "7", Manifest: manifest.Manifest{Slave: "run"}, Profile: *profile,
		Isolate: iso, Listen: func(string) (net.Listener, error) { return ln, nil },
	})
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	s.stop = e.Stop
	s.connect = func() *rpctest.Peer {
		e.SetTarget(1)
		synctest.Wait()
		conn, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		process := <-iso.started
		process.owns(conn)
		w := rpctest.Play(t, conn)
		w.SendHeaders(s.says, 1, idl.WorkerHandshake, process.Worker)
		synctest.Wait()
		e.SetTarget(0)
		return w
	}
	s.client = rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: engine.Service(e, rpc.MuxOptions{})}})
}

func onHost(t *testing.T, s *stage) {
	h := host.New(host.Options{App: "app", Release: "7", Queue: queueLimit, Concurrency: concurrency,
		RequestTimeout: requestTime, HeartbeatTimeout: beatTime})
	var serving sync.WaitGroup
	s.stop = func(ctx context.Context) error {
		err := h.Stop(ctx)
		serving.Wait()
		return err
	}
	s.connect = func() *rpctest.Peer {
		near, far := faultnet.Pipe(faultnet.PipeOptions{})
		serving.Go(func() { _ = h.Serve(context.Background(), far) })
		w := rpctest.Play(t, near)
		w.SendHeaders(s.says, 1, idl.WorkerHandshake, "some-worker")
		synctest.Wait()
		return w
	}
	s.client = rpctest.New(t, rpctest.Options{Session: rpc.SessionOptions{Acceptor: h.Service()}})
}

// perform plays a scene and returns what was heard.
func perform(t *testing.T, set func(*testing.T, *stage), sc scene) (heard string) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, says: sc.says}
		set(t, s)
		defer func() {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			if s.worker != nil {
				s.worker.Close()
			}
			_ = s.stop(now)
		}()
		if !sc.alone {
			s.worker = s.connect()
		}
		sc.play(s)
		s.hear()
		heard = strings.Join(s.protocol, "\n")
	})
	return heard
}

var (
	traced = []hpack.Header{{Name: "trace_id", Value: "\x01\x00\x00\x00\x00\x00\x00\x00"}, {Name: "span_id", Value: "\x02\x00\x00\x00\x00\x00\x00\x00"},
		{Name: "parent_id", Value: "\x00\x00\x00\x00\x00\x00\x00\x00"}}
	brief   = hpack.Header{Name: "request_timeout", Value: "\xe8\x03\x00\x00\x00\x00\x00\x00"} // 1 s
	briefer = hpack.Header{Name: "request_timeout", Value: "\x64\x00\x00\x00\x00\x00\x00\x00"} // 0.1 s
)

// hears is what a worker says that understands revoke.
var hears = []hpack.Header{{Name: "x-cocaine-revoke", Value: "1"}}

// A scene is what an app's client and worker may live to see.
type scene struct {
	name  string
	alone bool           // without a worker
	says  []hpack.Header // of the worker's handshake
	play  func(s *stage)
}

// givenUp is a client that gives up, and one that goes, when they have said everything:
// of requests that the worker has, and of those that wait for it.
func givenUp(s *stage) {
	for i := range uint64(concurrency + queueLimit) {
		s.client.Send(1+i, 0, "event")
		s.client.Send(1+i, 2)
	}
	s.hear()
	s.client.Send(10, 65535, 1, []any{2, 125})
	s.client.Send(11, 65535, 4, []any{99, 125})
	s.client.Send(12, 65535, 5000, []any{2, 125})
	s.hear()
	s.worker.Send(2, 0, "nobody wants it")
	s.worker.Send(2, 2)
	s.worker.Send(3, 0, "out")
	s.worker.Send(3, 2)
	s.hear()
	s.client.Send(13, 65535, 2, []any{2, 125}) // it has its answer
	s.client.Send(14, 65535, 5, []any{99, 125})
	s.hear()
	s.client.Close()
}

// scenes are all that there are. The engine is the judge of each.
var scenes = []scene{
	{name: "given up at the end", says: hears, play: givenUp},
	{name: "given up at the end, and the worker is not told", play: givenUp},
	{name: "given up, and out of time", says: hears, play: func(s *stage) {
		s.client.SendHeaders([]hpack.Header{brief}, 1, 0, "event")
		s.client.Send(1, 2)
		s.client.Send(2, 65535, 1, []any{2, 125})
		s.hear()
		time.Sleep(2 * time.Second)
		s.hear()
		s.worker.Send(2, 2)
	}},
	{name: "an ordinary request", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.client.Send(1, 0, "in")
		s.client.Send(1, 2)
		s.hear()
		s.worker.Send(2, 0, "out")
		s.worker.Send(2, 2)
	}},
	{name: "headers travel, the trace first and on every frame", play: func(s *stage) {
		s.client.SendHeaders(append([]hpack.Header{{Name: "x-user", Value: "ann"}}, traced...), 1, 0, "event")
		s.client.SendHeaders([]hpack.Header{{Name: "x-late", Value: "no"}}, 1, 0, "in")
		s.hear()
		s.worker.Send(2, 0, "out")
		s.worker.Send(2, 1, []any{42, 100}, "failed")
		s.client.Send(1, 2)
	}},
	{name: "surplus arguments", play: func(s *stage) {
		s.client.Send(1, 0, "event", "tag")
		s.client.Send(1, 0, "in", "more")
		s.hear()
		s.worker.Send(2, 0, "out", "more")
		s.worker.Send(2, 2, "more")
	}},
	{name: "a bad enqueue", play: func(s *stage) {
		s.client.Send(1, 0)
		s.client.Send(2, 0, 5)
		s.client.SendHeaders([]hpack.Header{{Name: "trace_bit", Value: "7"}}, 3, 0, "event")
		s.client.SendHeaders([]hpack.Header{{Name: "request_timeout", Value: "7"}}, 4, 0, "event")
		s.client.Send(5, 7, "event")
	}},
	{name: "a client breaks the protocol of its stream", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.client.Send(1, 0, 5)
		s.client.Send(2, 0, "event")
		s.client.Send(2, 9)
		s.client.Send(2, 2) // late
		s.hear()
		s.worker.Send(2, 0, "nobody wants it")
		s.worker.Send(2, 2)
	}},
	{name: "a client's error, and one of an unknown category", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.client.Send(1, 1, []any{43, 7}, "gave up")
		s.client.Send(2, 0, "event")
		s.client.Send(2, 1, []any{99, 7}, "gave up")
		s.client.Send(3, 0, "event")
		s.client.Send(3, 1, "what?")
		s.hear()
		s.worker.Send(2, 0, "still answered")
		s.worker.Send(2, 2)
	}},
	{name: "a worker's errors", play: func(s *stage) {
		for i := range uint64(3) {
			s.client.Send(1+i, 0, "event")
		}
		s.hear()
		s.worker.Send(2, 1, []any{99, 7}, "who knows")
		s.worker.Send(3, 0, 5)
		s.worker.Send(4, 9)
	}},
	{name: "revoke ends the client's half only", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.client.Send(2, 65535, 1, []any{2, 125})
		s.hear()
		s.worker.Send(2, 0, "out")
		s.worker.Send(2, 2)
	}},
	{name: "the worker hangs up", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.client.SendHeaders(traced, 2, 0, "event")
		s.client.Send(2, 2)
		s.hear()
		s.worker.Send(2, 0, "half")
		s.worker.Close()
		s.worker = nil
	}},
	{name: "the worker's connection is reset", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.hear()
		_ = s.worker.Conn().(*faultnet.PipeConn).Reset()
		s.worker = nil
	}},
	{name: "the worker falls silent", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.hear()
		time.Sleep(beatTime - time.Second)
		s.hear()
		time.Sleep(2 * time.Second)
	}},
	{name: "heartbeats are answered and keep it alive", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		for range 4 {
			time.Sleep(beatTime - time.Second)
			s.worker.Send(1, idl.WorkerHeartbeat)
			s.hear() // the last one comes after the request's time is up
		}
	}},
	{name: "the worker terminates by itself", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.hear()
		s.worker.Send(1, idl.WorkerTerminate, 1, "enough")
		time.Sleep(10 * time.Second)
	}},
	{name: "the worker speaks out of turn", play: func(s *stage) {
		s.worker.Send(1, 9)
		s.worker.Send(2, idl.WorkerHandshake, "again")
		s.worker.Send(3, 5)
	}},
	{name: "time is up in the queue and at the worker", play: func(s *stage) {
		for i := range uint64(concurrency) {
			s.client.SendHeaders([]hpack.Header{brief}, 1+i, 0, "event")
		}
		s.client.Send(1, 2)
		s.client.SendHeaders([]hpack.Header{briefer}, 4, 0, "queued")
		s.client.Send(4, 0, "in")
		s.hear()
		time.Sleep(2 * time.Second)
		s.hear()
		s.worker.Send(3, 0, "too late")
		s.worker.Send(3, 2)
	}},
	{name: "the profile's time is up", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		for range 11 {
			time.Sleep(10 * time.Second)
			s.worker.Send(1, idl.WorkerHeartbeat)
			s.hear()
		}
	}},
	{name: "the queue is full, and is served in order", play: func(s *stage) {
		for i := range uint64(concurrency + queueLimit + 1) {
			s.client.Send(1+i, 0, fmt.Sprint("event", i))
			s.client.Send(1+i, 0, "in")
			s.client.Send(1+i, 2)
		}
		s.hear()
		for i := range uint64(concurrency + queueLimit) {
			s.worker.Send(2+i, 2)
			s.hear()
		}
	}},
	{name: "what waits for the first worker", alone: true, play: func(s *stage) {
		s.client.SendHeaders(traced, 1, 0, "event")
		s.client.Send(1, 0, "one")
		s.client.Send(1, 0, "two")
		s.client.Send(1, 1, []any{99, 5}, "no more")
		synctest.Wait()
		s.worker = s.connect()
	}},
	{name: "a stop with requests at the worker and in the queue", play: func(s *stage) {
		for i := range uint64(concurrency + 1) {
			s.client.Send(1+i, 0, "event")
		}
		s.hear()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		var stopping sync.WaitGroup
		stopping.Go(func() { _ = s.stop(ctx) })
		synctest.Wait()
		s.client.Send(9, 0, "too late")
		s.worker.Send(2, 2)
		s.client.Send(1, 2)
		s.hear()
		time.Sleep(6 * time.Second)
		s.hear()
		s.worker.Send(3, 0, "the last one")
		s.worker.Send(3, 2)
		s.worker.Send(1, idl.WorkerTerminate, 11, "confirmed")
		stopping.Wait()
		s.client.Send(10, 0, "much too late")
	}},
	{name: "a worker that does not terminate", play: func(s *stage) {
		s.client.Send(1, 0, "event")
		s.hear()
		now, cancel := context.WithCancel(context.Background())
		cancel()
		var stopping sync.WaitGroup
		stopping.Go(func() { _ = s.stop(now) })
		s.hear()
		stopping.Wait()
	}},
	{name: "control", play: func(s *stage) {
		s.client.Send(1, 2)
		s.client.Send(1, 0, 1)
		s.client.Send(1, 2)
		s.client.Send(2, 2)
		s.client.Send(2, 0, "many")
	}},
}

func TestHostIsWhatTheEngineIs(t *testing.T) {
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			want := perform(t, onEngine, sc)
			if want == "" {
				t.Fatal("nothing was heard of the engine: the scene shows nothing")
			}
			if got := perform(t, onHost, sc); got != want {
				t.Errorf("of the host was heard:\n%s\nof the engine:\n%s", got, want)
			}
		})
	}
}

// isolation is an isolate that starts nothing.
type isolation struct{ started chan *process }

func (i isolation) Spawn(_ context.Context, s isolate.Spawn) (isolate.Process, error) {
	p := &process{Spawn: s, done: make(chan struct{})}
	i.started <- p
	return p, nil
}

// A process ends when it is told to, and closes its connection then.
type process struct {
	isolate.Spawn
	done chan struct{}
	once sync.Once
	mu   sync.Mutex
	conn net.Conn
}

func (p *process) owns(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = c
}

func (p *process) PID() int               { return 4711 }
func (p *process) Done() <-chan struct{}  { return p.done }
func (p *process) Exit() isolate.Exit     { return isolate.Exit{} }
func (p *process) Signal(os.Signal) error { return p.Kill() }

func (p *process) Kill() error {
	p.once.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.conn != nil {
			_ = p.conn.Close()
		}
		close(p.done)
	})
	return nil
}
