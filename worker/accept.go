package worker

import (
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

var _ rpc.AnswerAcceptor = (*run)(nil)

// errStopped is the answer to requests that a stopping worker does not take.
var errStopped = rpc.Errorf(idl.CategorySlave, idl.SlaveSealing, "%v", ErrStopping)

// Accept takes the first frame of a request: invoke, with the name of the event.
// It implements rpc.Acceptor.
func (r *run) Accept(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame) rpc.Receiver {
	if f.Type == idl.Revoke {
		if err := s.Revoke(b, f.Args); err != nil {
			r.log.Debug("unreadable message dropped", "cause", err)
		}
		return nil
	}
	if f.Type != idl.WorkerInvoke {
		r.refuse(b, channel, rpc.Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "a request begins with invoke, not with message %d", f.Type))
		return rejected{}
	}
	args := msgpack.NewReader(f.Args)
	args.Array()
	event := args.Bytes()
	if err := args.Err(); err != nil {
		r.refuse(b, channel, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot read invoke: %v", err))
		return rejected{}
	}
	bound := r.mux.find(event)
	if bound == nil {
		r.refuse(b, channel, rpc.Errorf(idl.CategoryWorker, codeNoHandler, "there is no handler for event %q", event))
		return rejected{}
	}
	name := bound.event
	if len(name) != len(event) { // it is a prefix
		name = string(event)
	}
	if bound.value != nil {
		c := &call{request: request{run: r, binding: bound, channel: channel, event: name}}
		if !c.begin(f, b.Now()) {
			r.refuse(b, channel, errStopped)
			return rejected{}
		}
		return c
	}
	c := &conversation{
		request: request{run: r, binding: bound, channel: channel, event: name},
		wake:    make(chan struct{}, 1),
	}
	c.stream.c = c
	if !c.begin(f, b.Now()) {
		r.refuse(b, channel, errStopped)
		return rejected{}
	}
	if _, c.patient = bound.handler.(*valueHandler); !c.patient {
		r.intake.add(b, c)
	}
	return c
}

// refuse answers a request that is not going to be served.
func (r *run) refuse(b *rpc.Batch, channel uint64, e *rpc.Error) {
	r.log.Debug("request refused", "cause", e)
	_ = r.session.Send(b, channel, idl.StreamError, rpc.AppendError(nil, e), nil) // a lost session has no caller
}

// rejected swallows what the caller of a refused request still sends. The channel
// stays open until it has ended its half: the original runtime counts it so.
type rejected struct{}

// Receive implements rpc.Receiver.
func (rejected) Receive(_ *rpc.Batch, f *rpc.Frame) (done bool) { return f.Type != idl.Write }

// Lost implements rpc.Receiver.
func (rejected) Lost(*rpc.Batch, error) {}
