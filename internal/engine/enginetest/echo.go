// Package enginetest has what tests and benchmarks of engines share.
package enginetest

import (
	"context"
	"net"
	"os"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Echo is an isolate whose workers run in this process and send back what they get.
// Once warm they allocate nothing. The zero value is ready, for any number of engines.
type Echo struct{}

// Spawn connects a worker to the engine. It implements isolate.Isolate.
func (Echo) Spawn(_ context.Context, s isolate.Spawn) (isolate.Process, error) {
	conn, err := net.Dial("unix", s.Args[3])
	if err != nil {
		return nil, err
	}
	session, err := Serve(conn, s.Worker, nil)
	if err != nil {
		return nil, err
	}
	p := &echoProcess{session, make(chan struct{})}
	go func() {
		defer close(p.done)
		session.Wait()
	}()
	return p, nil
}

// Serve makes a connection that of an echo worker: it sends the handshake and answers
// requests until the session ends. control takes what the engine says on the control
// channel; if nil, terminate is answered and nothing else.
func Serve(conn net.Conn, uuid string, control rpc.Receiver) (*rpc.Session, error) {
	w := new(echoWorker)
	w.session = rpc.Start(conn, rpc.SessionOptions{Acceptor: w})
	if control == nil {
		control = (*echoControl)(w)
	}
	_, err := w.session.Open(nil, control, idl.WorkerHandshake, msgpack.AppendString([]byte{0x91}, uuid), nil)
	return w.session, err
}

type echoProcess struct {
	session *rpc.Session
	done    chan struct{}
}

func (p *echoProcess) PID() int               { return 1 }
func (p *echoProcess) Done() <-chan struct{}  { return p.done }
func (p *echoProcess) Exit() isolate.Exit     { return isolate.Exit{} }
func (p *echoProcess) Signal(os.Signal) error { return p.session.Close() }
func (p *echoProcess) Kill() error            { return p.session.Close() }

// echoWorker is used by its session's reader only.
type echoWorker struct {
	session *rpc.Session
	free    []*echoRequest
}

func (w *echoWorker) Accept(_ *rpc.Batch, _ *rpc.Session, ch uint64, _ *rpc.Frame) rpc.Receiver {
	if len(w.free) == 0 {
		w.free = append(w.free, &echoRequest{w: w})
	}
	q := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	q.ch = ch
	return q
}

type echoRequest struct {
	w  *echoWorker
	ch uint64
}

func (q *echoRequest) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	_ = q.w.session.Send(b, q.ch, f.Type, f.Args, nil)
	if f.Type == idl.Write {
		return false
	}
	q.w.free = append(q.w.free, q)
	return true
}
func (q *echoRequest) Lost(*rpc.Batch, error) {}

type echoControl echoWorker

func (c *echoControl) Receive(b *rpc.Batch, f *rpc.Frame) bool {
	if f.Type == idl.WorkerTerminate {
		_ = c.session.Send(b, 1, idl.WorkerTerminate, []byte{0x92, 0, 0xa0}, nil)
	}
	return false
}
func (c *echoControl) Lost(*rpc.Batch, error) {}
