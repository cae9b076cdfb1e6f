package engine

import (
	"context"
	"errors"
	"io"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A Target is what an app's service talks to: an Engine, or whatever stands in
// front of several while one release replaces another.
type Target interface {
	rpc.Acceptor // enqueue
	rpc.Timed
	Info(flags int) map[string]any
	Lease() Lease
}

// Lease opens a control channel.
func (e *Engine) Lease() Lease { return e.leases.Open() }

// Service is the service of an app: enqueue, info, control.
func Service(t Target, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.App, o)
	m.Raw("enqueue", t)
	report := new(rpc.Shared)
	m.Inline("info", func(_ context.Context, c *rpc.Call) ([]byte, error) {
		return report.Answer(c.Arrived, func() ([]byte, error) {
			return msgpack.AppendValue(msgpack.AppendArray(nil, 1), t.Info(InfoOverseer))
		})
	})
	m.Stream("control", func(ctx context.Context, _ *rpc.Call, s *rpc.Stream) error {
		return Control(ctx, s, t.Lease())
	})
	return m
}

// Control serves a control channel: a stream of wanted pool sizes, 0 for
// automatic. It ends when the client closes it or goes away.
func Control(ctx context.Context, s *rpc.Stream, l Lease) error {
	defer l.End()
	for {
		m, err := s.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r := msgpack.NewReader(m.Args)
		r.Array()
		n := r.Int()
		if r.Err() != nil {
			return rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode arguments of control: want one number")
		}
		l.Set(int(min(max(n, 0), 1<<20)))
	}
}
