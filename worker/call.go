package worker

import (
	"context"
	"errors"

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
	value   valueFunc
	started bool
	in      *codec.Buffer
}

var _ rpc.Receiver = (*call)(nil)

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
			c.start(codec.NewBuffer())
		}
		return true
	}
	c.run.log.Debug("unknown message dropped", "event", c.event, "message", f.Type)
	return false
}

// Lost ends a call whose connection is over. It implements rpc.Receiver.
func (c *call) Lost(_ *rpc.Batch, err error) {
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
	c.start(in)
}

// refuse answers a call that is not going to run.
func (c *call) refuse(b *rpc.Batch, err error) {
	c.started = true
	_ = c.run.session.Send(b, c.channel, idl.StreamError, rpc.AppendError(nil, reply(err)), nil) // a lost session has no caller
	c.run.gate.leave()
}

func (c *call) start(in *codec.Buffer) {
	c.started, c.in = true, in
	go c.serve()
}

// serve runs the handler and answers. It is the call's goroutine, which the run's
// gate counts.
func (c *call) serve() {
	defer c.run.gate.leave()
	if err := c.run.acquire(); err != nil {
		c.answer(nil, err)
		return
	}
	defer c.run.release()
	out := codec.NewBuffer()
	defer out.Free()
	var args []byte
	answered := false
	defer func() {
		if !answered { // the handler ended its goroutine
			_ = c.finish(errGoexit)
		}
		c.end(context.Canceled)
	}()
	err := c.guard(func() (err error) {
		args, err = c.call(out)
		return err
	})
	answered = true
	c.answer(args, err)
}

// call decodes, calls the handler and encodes.
func (c *call) call(out *codec.Buffer) ([]byte, error) {
	defer c.in.Free()
	format, err := c.format()
	if err != nil {
		return nil, cocaine.Errorf(idl.CategoryGeneric, idl.GenericInvalid, "%v", err)
	}
	args, err := c.value(&c.request, c.event, format, c.in, out)
	if err == nil && len(args) > c.run.opts.MaxChunk {
		return nil, tooLarge(len(args), c.run.opts.MaxChunk)
	}
	return args, err
}

// answer sends the value and the end as one piece.
func (c *call) answer(args []byte, err error) {
	session := c.run.session
	_ = session.AwaitRoom(c.run.base) // when the worker must stop, the answer goes out all the same
	if err == nil {
		err = session.SendAll(c.channel, rpc.Outgoing{Type: idl.Write, Args: args}, rpc.Outgoing{Type: idl.Close})
	} else {
		err = c.finish(err)
	}
	if err != nil {
		c.run.log.Debug("answer dropped", "event", c.event, "cause", err)
	}
}

// callerError is the error that the caller's half ended with.
func callerError(args []byte) error {
	e, err := rpc.DecodeError(args)
	if err != nil {
		return cocaine.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
	}
	return e
}

func badChunk(err error) error {
	return cocaine.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
}
