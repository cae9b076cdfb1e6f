package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// A call is a request to a typed handler. Its goroutine starts when the chunk has
// come, so that a request that waits for it costs no stack.
//
//	accepted ─ write ─▶ running ─▶ answered
//	   │ close ─────────▶ ↑ (with no input)
//	   └ error, lost ─▶ ended without having run
//
// started and in belong to the reader goroutine until the call runs.
type call struct {
	request
	started bool
	in      *codec.Buffer

	answered atomic.Bool // the caller has been answered, or somebody is about to
}

var _ rpc.LastReceiver = (*call)(nil)

var errGaveUp = errors.New("caller gave up before it had sent anything")

// Receive takes a frame of the caller's half. It implements rpc.Receiver.
func (c *call) Receive(b *rpc.Batch, f *rpc.Frame) (done bool) {
	switch f.Type {
	case idl.Write:
		if !c.started {
			c.take(b, f)
		}
		return false // further chunks are not for a handler of one value
	case idl.StreamError:
		c.end(callerError(f.Args))
		if !c.started {
			c.refuse(b, errGaveUp)
		}
		return true
	case idl.Close:
		if !c.started {
			c.start(b, codec.NewBuffer())
		}
		return true
	}
	c.run.log.Debug("unknown message dropped", "event", c.event, "message", f.Type)
	return false
}

// ReceiveLast takes the chunk and the end in one step. It implements
// rpc.LastReceiver.
func (c *call) ReceiveLast(b *rpc.Batch, f *rpc.Frame) {
	if !c.started {
		c.take(b, f)
	}
}

// Lost ends a call whose connection is over, or that was revoked. It implements
// rpc.Receiver.
func (c *call) Lost(b *rpc.Batch, err error) {
	if cause, ok := err.(*rpc.Error); ok {
		c.revoke(cause)
		if !c.started {
			c.refuse(b, errGaveUp)
		}
		return
	}
	c.end(gone(err))
	if !c.started {
		c.started = true
		c.run.gate.leave()
	}
}

// take reads the one chunk and starts the handler.
func (c *call) take(b *rpc.Batch, f *rpc.Frame) {
	chunk, err := codec.Chunk(f.Args)
	if err != nil {
		c.refuse(b, badChunk(err))
		return
	}
	in := codec.NewBuffer()
	in.B = append(in.B, chunk...)
	c.start(b, in)
}

// refuse answers a call that is not going to run.
func (c *call) refuse(b *rpc.Batch, err error) {
	c.started = true
	_ = c.run.session.Send(b, c.channel, idl.StreamError, rpc.AppendError(nil, reply(err)), nil) // a lost session has no caller
	c.run.gate.leave()
}

func (c *call) start(b *rpc.Batch, in *codec.Buffer) {
	c.started, c.in = true, in
	if c.binding.pace.brief() && c.binding.slots == nil && c.run.slots == nil { // it will not wait for a slot
		c.run.intake.addBrief(b, c)
		return
	}
	c.run.intake.add(b, c)
}

// serve runs the handler and answers, on a goroutine of the crew or that of the reader. Its frame tells
// the stack of a stuck handler from others, so it must not be inlined.
//
//go:noinline
func (c *call) serve() {
	defer c.run.gate.leave()
	if err := c.acquire(); err != nil {
		c.answer(nil, err)
		return
	}
	defer c.release()
	if c.binding.timeout > 0 {
		defer c.limit(c.expire)()
	}
	out := codec.NewBuffer()
	defer out.Free()
	var args []byte
	returned := false
	defer func() {
		if !returned { // the handler ended its goroutine
			c.answer(nil, errGoexit)
		}
		c.end(context.Canceled)
	}()
	var began time.Time
	if samples(c.channel) {
		began = time.Now()
	}
	err := c.guard(func() (err error) {
		args, err = c.call(out)
		return err
	})
	if !began.IsZero() {
		c.binding.pace.note(time.Since(began))
	}
	returned = true
	if late := c.late(); late != nil {
		args, err = nil, late
	}
	c.answer(args, err)
}

// call decodes, calls the handler and encodes.
func (c *call) call(out *codec.Buffer) ([]byte, error) {
	defer c.in.Free()
	args, err := c.binding.value(&c.request, &c.request, c.in.B, out)
	if err == nil && len(args) > c.run.opts.MaxChunk {
		return nil, tooLarge(len(args), c.run.opts.MaxChunk)
	}
	return args, err
}

// expire answers a call whose handler has used up its time.
func (c *call) expire(err error) {
	c.answer(nil, err)
	c.run.session.Flush()
}

// answer queues the value and the end, or the error, unless the caller has been
// answered. The crew writes it.
func (c *call) answer(args []byte, err error) {
	if c.answered.Swap(true) {
		return
	}
	var waiting int
	if err == nil {
		waiting = c.queue(rpc.Outgoing{Type: idl.Write, Args: args}, rpc.Outgoing{Type: idl.Close})
	} else {
		waiting = c.queue(last(err))
	}
	if waiting > maxUnwritten { // who fills the output waits for the runtime to take it, but not when the worker must stop
		_ = c.run.session.AwaitRoom(c.run.base)
	}
}

// callerError is the error that the caller's half ended with.
func callerError(args []byte) error {
	e, err := rpc.DecodeError(args)
	if err != nil {
		e = cocaine.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
	}
	return &RequestError{e}
}

func badChunk(err error) error {
	return cocaine.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
}
