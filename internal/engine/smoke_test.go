package engine

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"log/slog"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/manifest"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

type fakeIso struct{}
type fakeProc struct {
	done chan struct{}
	s    *rpc.Session
}

func (p *fakeProc) PID() int               { return 1 }
func (p *fakeProc) Done() <-chan struct{}  { return p.done }
func (p *fakeProc) Exit() isolate.Exit     { return isolate.Exit{} }
func (p *fakeProc) Signal(os.Signal) error { p.s.Close(); return nil }
func (p *fakeProc) Kill() error            { p.s.Close(); return nil }

type echoW struct{}
type echoR struct {
	s  *rpc.Session
	ch uint64
}

func (echoW) Accept(b *rpc.Batch, s *rpc.Session, ch uint64, f *rpc.Frame) rpc.Receiver {
	return &echoR{s, ch}
}
func (e *echoR) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	e.s.Send(b, e.ch, f.Type, f.Args, nil)
	return f.Type != 0
}
func (e *echoR) Lost(*rpc.Batch, error) {}

type ctl struct{ s *rpc.Session }

func (c ctl) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == 1 {
		c.s.Send(b, 1, 1, []byte{0x92, 0, 0xa0}, nil)
	}
	return false
}
func (c ctl) Lost(*rpc.Batch, error) {}

func (fakeIso) Spawn(ctx context.Context, sp isolate.Spawn) (isolate.Process, error) {
	conn, err := net.Dial("unix", sp.Args[3])
	if err != nil {
		return nil, err
	}
	s := rpc.Start(conn, rpc.SessionOptions{Acceptor: echoW{}})
	p := &fakeProc{done: make(chan struct{}), s: s}
	s.Open(nil, ctl{s}, 0, msgpack.AppendString([]byte{0x91}, sp.Worker), nil)
	go func() { s.Wait(); close(p.done) }()
	return p, nil
}

type loadR struct {
	s    *rpc.Session
	left *int
	done chan struct{}
	pl   []byte
	ev   []byte
}

func (l *loadR) start(b *rpc.Batch) {
	id, _ := l.s.Open(b, l, 0, l.ev, nil)
	l.s.Send(b, id, 0, l.pl, nil)
	l.s.Send(b, id, 2, nil, nil)
}
func (l *loadR) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == 0 {
		return false
	}
	if f.Type == 1 {
		e, _ := rpc.DecodeError(f.Args); panic(e.Error())
	}
	*l.left--
	if *l.left > 0 {
		l.start(b)
	} else if *l.left == 0 {
		close(l.done)
	}
	return true
}
func (l *loadR) Lost(*rpc.Batch, error) {}

func TestSmoke(t *testing.T) {
	p := manifest.DefaultProfile()
	p.PoolLimit, p.Concurrency, p.QueueLimit = 1, 10000, 10000
	e := New(Options{App: "echo", Release: "1", Profile: *p, Endpoint: filepath.Join(t.TempDir(), "s"), Isolate: fakeIso{}, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(rpc.ServerOptions{})
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	go srv.Serve(t.Context(), ln, Service(e, rpc.MuxOptions{}))
	s, err := rpc.Dial(t.Context(), "tcp", ln.Addr().String(), rpc.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	run := func(n, infl int) {
		left := n
		done := make(chan struct{})
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		t0 := time.Now()
		rpc.Run(func(b *rpc.Batch) {
			for i := 0; i < infl; i++ {
				l := &loadR{s, &left, done, msgpack.AppendBytes([]byte{0x91}, make([]byte, 128)), msgpack.AppendString([]byte{0x91}, "echo")}
				l.start(b)
			}
		})
		<-done
		d := time.Since(t0)
		runtime.ReadMemStats(&m1)
		t.Logf("inflight %d: %.0f/s  %.2f us each, mallocs/req %.3f", infl, float64(n)/d.Seconds(), d.Seconds()*1e6/float64(n), float64(m1.Mallocs-m0.Mallocs)/float64(n))
	}
	run(100, 1)
	run(20000, 1)
	run(300000, 256)
	run(300000, 256)
	t.Log(e.Info(1)["requests"], e.Info(1)["pool"])
	_ = idl.Write
	s.Close()
	s.Wait()
	ctx, c := context.WithTimeout(t.Context(), time.Second)
	defer c()
	if err := e.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	srv.Shutdown(ctx)
}
