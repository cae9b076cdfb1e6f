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
	Info(flags int) map[string]any
	Lease() Lease
}

// A Lease is one open control channel. The pool is sized by hand while at least
// one is open and has named a size; when one ends the pool is automatic again, as
// in the original.
type Lease interface {
	Set(n int)
	End()
}

// Lease opens a control channel.
func (e *Engine) Lease() Lease { return (*lease)(e) }

type lease Engine

func (l *lease) Set(n int) { (*Engine)(l).SetTarget(n) }
func (l *lease) End()      { (*Engine)(l).SetTarget(0) }

// Service is the service of an app: enqueue, info, control.
func Service(t Target, o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.App, o)
	m.Raw("enqueue", t)
	m.Inline("info", func(context.Context, *rpc.Call) ([]byte, error) {
		doc := t.Info(InfoOverseer)
		return msgpack.AppendValue(msgpack.AppendArray(nil, 1), doc)
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
