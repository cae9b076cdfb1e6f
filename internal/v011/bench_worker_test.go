package v011_test

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/cocaine/cocaine-go/internal/isolate"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// oldEcho is an isolate whose workers run in this process, speak v0.11 and send back
// what they get, as cheaply as a worker can.
type oldEcho struct{}

func (oldEcho) Spawn(_ context.Context, s isolate.Spawn) (isolate.Process, error) {
	conn, err := net.Dial("unix", s.Args[3])
	if err != nil {
		return nil, err
	}
	hello := append(msgpack.AppendString([]byte{0x93, 0, 0, 0x91}, s.Worker), 0x93, 1, 0, 0x90)
	if _, err := conn.Write(hello); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	p := &oldEchoProcess{conn, make(chan struct{})}
	go p.serve()
	return p, nil
}

type oldEchoProcess struct {
	conn net.Conn
	done chan struct{}
}

// serve answers until the runtime tells the worker to go, or hangs up.
func (p *oldEchoProcess) serve() {
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
			switch f.Channel { // the type
			case 2:
				return
			case 4, 6: // come back as they are
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

func (p *oldEchoProcess) PID() int               { return 1 }
func (p *oldEchoProcess) Done() <-chan struct{}  { return p.done }
func (p *oldEchoProcess) Exit() isolate.Exit     { return isolate.Exit{} }
func (p *oldEchoProcess) Signal(os.Signal) error { return p.conn.Close() }
func (p *oldEchoProcess) Kill() error            { return p.conn.Close() }
