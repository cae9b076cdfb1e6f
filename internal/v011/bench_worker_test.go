package v011_test

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// rawEcho is an isolate whose workers run in this process and send back what they get,
// as cheaply as workers of their generation can.
type rawEcho struct{ old bool }

func (e rawEcho) Spawn(_ context.Context, s isolate.Spawn) (isolate.Process, error) {
	conn, err := net.Dial("unix", s.Args[3])
	if err != nil {
		return nil, err
	}
	hello := msgpack.AppendString([]byte{0x93, 1, idl.WorkerHandshake, 0x91}, s.Worker)
	if e.old {
		hello = append(msgpack.AppendString([]byte{0x93, 0, 0, 0x91}, s.Worker), 0x93, 1, 0, 0x90)
	}
	if _, err := conn.Write(hello); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	p := &rawEchoProcess{conn, make(chan struct{})}
	answers := answersRecent()
	if e.old {
		answers = answersOld
	}
	go p.serve(answers)
	return p, nil
}

type rawEchoProcess struct {
	conn net.Conn
	done chan struct{}
}

// answersOld tells of each message whether it comes back as it is, and whether it tells
// the worker to go.
func answersOld(f wire.Frame) (back, leave bool) {
	typ := f.Channel
	return typ == 4 || typ == 6, typ == 2
}

// answersRecent is answersOld for v0.12, where the first frame of a channel invokes.
func answersRecent() func(f wire.Frame) (back, leave bool) {
	last := uint64(1)
	return func(f wire.Frame) (back, leave bool) {
		switch {
		case f.Channel == 1:
			return false, f.Type == idl.WorkerTerminate
		case f.Channel > last:
			last = f.Channel
			return false, false
		}
		return true, false
	}
}

// serve answers until the runtime tells the worker to go, or hangs up.
func (p *rawEchoProcess) serve(answers func(f wire.Frame) (back, leave bool)) {
	defer close(p.done)
	defer p.conn.Close()
	scanner := wire.NewScanner(wire.Limits{})
	in := make([]byte, 256<<10)
	var out []byte
	have := 0
	for {
		n, err := p.conn.Read(in[have:])
		if err != nil {
			return
		}
		have += n
		used := 0
		for {
			f, size, err := scanner.Next(in[used:have])
			if err != nil {
				break
			}
			back, leave := answers(f)
			if leave {
				return
			}
			if back {
				out = append(out, in[used:used+size]...)
			}
			used += size
		}
		have = copy(in, in[used:have])
		if _, err := p.conn.Write(out); err != nil {
			return
		}
		out = out[:0]
	}
}

func (p *rawEchoProcess) PID() int               { return 1 }
func (p *rawEchoProcess) Done() <-chan struct{}  { return p.done }
func (p *rawEchoProcess) Exit() isolate.Exit     { return isolate.Exit{} }
func (p *rawEchoProcess) Signal(os.Signal) error { return p.conn.Close() }
func (p *rawEchoProcess) Kill() error            { return p.conn.Close() }
