package node

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cocaine/cocaine-go/internal/engine"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/timing"
)

var _ engine.Target = (*App)(nil)

// Accept forwards an enqueue to the engine that serves the app now. It implements
// engine.Target together with Info and Lease.
func (a *App) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	return a.accept(b, s, channel, f, &a.calls)
}

// accept is Accept for a call of which calls is told how long it takes.
func (a *App) accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, calls *timing.Timer) rpc.Receiver {
	for {
		e := a.current.Load()
		if e == nil {
			calls.Add(0)
			return engine.Refuse(b, s, channel, f, rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "application %s is %s", a.name, a.State()))
		}
		if r, ok := e.Offer(b, s, channel, f, calls); ok {
			return r
		}
		if a.current.Load() == e {
			return e.AcceptTimed(b, s, channel, f, calls) // no successor: the refusal is the answer
		}
	}
}

// AcceptCall is Accept for a request that is there whole. It implements
// rpc.CallAcceptor.
func (a *App) AcceptCall(b *rpc.Batch, s *rpc.Session, channel uint64, first, write *rpc.Frame) bool {
	e := a.current.Load()
	return e != nil && e.AcceptCall(b, s, channel, first, write)
}

// Unwanted passes on what clients have given up: their requests may be with the engine
// that serves the app now, or with those of earlier releases that finish what they
// have. It implements rpc.AnswerAcceptor.
func (a *App) Unwanted(b *rpc.Batch, s *rpc.Session, revoked []rpc.Revoked) {
	for _, e := range a.working() {
		e.Unwanted(b, s, revoked)
	}
}

// working are the engines that may have requests.
func (a *App) working() []*engine.Engine {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Clone(a.leaving)
	if e := a.current.Load(); e != nil {
		all = append(all, e)
	}
	return all
}

// Info is the report of the engine that serves the app now; if there is none, the
// state is all there is to say.
func (a *App) Info(flags int) map[string]any {
	if e := a.current.Load(); e != nil {
		return e.Info(flags)
	}
	return map[string]any{"state": string(a.State())}
}

// Timer tells how long the calls of the app's enqueue take, whichever release served
// them. It implements rpc.Timed.
func (a *App) Timer() *timing.Timer { return &a.calls }

// Engine is the engine that serves the app now, nil if none does.
func (a *App) Engine() *engine.Engine { return a.current.Load() }

// Lease opens a control channel. What is said on it holds for every release that
// serves the app while it is open.
func (a *App) Lease() engine.Lease { return a.leases.Open() }

// Report is what node.info says of the app. With engine.InfoMore there is "published"
// beside the original's misspelt key.
func (a *App) Report(flags int) map[string]any {
	a.mu.Lock()
	state, cause, since := a.state, a.cause, a.since
	a.mu.Unlock()
	shown := a.front.shown.Load()
	m := map[string]any{"state": string(state)}
	switch state {
	case Broken:
		e := rpc.AsError(cause)
		m["error"], m["cause"] = e.Code, e.Message
		return m
	case Running, Stopping:
	default:
		return m
	}
	if flags&engine.InfoOverseer != 0 {
		if e := a.current.Load(); e != nil {
			m = e.Info(flags)
		}
		m["state"] = string(state)
	}
	m["uptime"] = int64(time.Since(since).Seconds())
	m["publushed"] = shown
	if flags&engine.InfoMore != 0 {
		m["published"] = shown
	}
	return m
}

// Service is the node service.
func (n *Node) Service(o rpc.MuxOptions) *rpc.Mux {
	m := rpc.NewMux(idl.NodeService, o)
	m.Unary("start_app", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		app, profile := r.String(), r.String()
		if r.Err() != nil {
			return nil, rpc.BadArgs(c, r.Err())
		}
		return nil, n.Start(context.WithoutCancel(ctx), app, profile)
	})
	m.Unary("pause_app", func(ctx context.Context, c *rpc.Call) ([]byte, error) {
		r := c.Reader()
		app := r.String()
		if r.Err() != nil {
			return nil, rpc.BadArgs(c, r.Err())
		}
		return nil, n.Pause(context.WithoutCancel(ctx), app)
	})
	m.Inline("list", func(context.Context, *rpc.Call) ([]byte, error) {
		names := n.Names()
		b := msgpack.AppendArray(msgpack.AppendArray(nil, 1), len(names))
		for _, name := range names {
			b = msgpack.AppendString(b, name)
		}
		return b, nil
	})
	m.Inline("info", n.serveInfo)
	m.Stream("control", n.serveControl)
	m.Raw("enqueue", (*enqueuer)(n))
	return m
}

func (n *Node) serveInfo(_ context.Context, c *rpc.Call) ([]byte, error) {
	r := c.Reader()
	app, flags := r.String(), uint64(0)
	if c.NArgs > 1 {
		flags = r.Uint()
	}
	if r.Err() != nil {
		return nil, rpc.BadArgs(c, r.Err())
	}
	a, err := n.App(app)
	if err != nil {
		return nil, unknown(app)
	}
	flags %= uint64(len(a.reports))
	return a.reports[flags].Answer(c.Arrived, func() ([]byte, error) {
		return msgpack.AppendValue(msgpack.AppendArray(nil, 1), a.Report(int(flags)))
	})
}

func (n *Node) serveControl(ctx context.Context, c *rpc.Call, s *rpc.Stream) error {
	r := c.Reader()
	name := r.String()
	if r.Err() != nil {
		return rpc.BadArgs(c, r.Err())
	}
	a, err := n.App(name)
	if err != nil {
		return err
	}
	if s := a.State(); s != Running {
		return rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "app %q is %s", name, s)
	}
	return engine.Control(ctx, s, a.Lease())
}

// enqueuer serves node.enqueue(app, event): the app's own enqueue for a caller
// that is connected to the node.
type enqueuer Node

// Timer tells how long these calls take: they are not among those of the app. It
// implements rpc.Timed.
func (n *enqueuer) Timer() *timing.Timer { return &n.calls }

// Accept finds the app, which does the rest.
func (n *enqueuer) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	r := msgpack.NewReader(f.Args)
	r.Array()
	name, event := r.String(), r.Bytes()
	if err := r.Err(); err != nil {
		n.calls.Add(0)
		return engine.Refuse(b, s, channel, f, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode arguments of enqueue: %v", err))
	}
	a, err := (*Node)(n).App(name)
	if err != nil {
		n.calls.Add(0)
		return engine.Refuse(b, s, channel, f, rpc.Errorf(idl.CategoryNode, idl.NodeNotRunning, "application %s is not found", name))
	}
	inner := *f
	inner.Args = msgpack.AppendBytes(msgpack.AppendArray(nil, 1), event)
	return a.accept(b, s, channel, &inner, &n.calls)
}

// Unwanted passes on what a caller has given up, to all apps: whose it was nobody has
// noted. It implements rpc.AnswerAcceptor.
func (n *enqueuer) Unwanted(b *rpc.Batch, s *rpc.Session, revoked []rpc.Revoked) {
	n.mu.Lock()
	apps := slices.Collect(maps.Values(n.apps))
	n.mu.Unlock()
	for _, a := range apps {
		a.Unwanted(b, s, revoked)
	}
}
