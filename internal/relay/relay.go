// Package relay holds the rules of passing a request on: what of an app's enqueue
// reaches the worker as invoke, and what of a worker's answer reaches the client
// (docs/PROTOCOL.md, Calling an app). The engine and the host share them, so that a
// client cannot tell one from the other.
//
// The package has no state; its functions may be called from anywhere. Arguments
// and headers are those of one frame, as rpc.Frame has them.
package relay

import (
	"errors"

	"github.com/cocaine/cocaine-go/internal/hpack"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// DecodeEvent reads the arguments of enqueue: [event, tag?]. The tag has no
// meaning since v0.12.13. The event aliases args.
func DecodeEvent(args []byte) (event []byte, err error) {
	rd := msgpack.NewReader(args)
	if n := rd.Array(); n < 1 && rd.Err() == nil {
		return nil, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode arguments of enqueue: event is missing")
	}
	event = rd.Bytes()
	if rd.Err() != nil {
		return nil, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode arguments of enqueue: %v", rd.Err())
	}
	return event, nil
}

// EventArgs are the arguments of invoke.
func EventArgs(event []byte) []byte {
	return msgpack.AppendBytes(msgpack.AppendArray(nil, 1), event)
}

// InvokeArgs are the arguments of invoke for an enqueue: its own, unless it had
// more than invoke takes.
func InvokeArgs(enqueue, event []byte) []byte {
	if enqueue[0] != 0x91 {
		return EventArgs(event)
	}
	return enqueue
}

// Chunk returns the arguments of a write to pass on: as they are if they hold one
// byte string and nothing else, without what is surplus otherwise, nil if they
// hold none.
func Chunk(args []byte) []byte {
	if IsChunk(args) {
		return args
	}
	rd := msgpack.NewReader(args)
	if rd.Array() < 1 || rd.Err() != nil || rd.Kind() != msgpack.KindRaw {
		return nil
	}
	return append([]byte{0x91}, rd.Raw()...)
}

// IsChunk reports whether args are one byte string, without decoding it: the
// frame's extent was checked when it was read.
func IsChunk(args []byte) bool {
	if len(args) < 2 || args[0] != 0x91 {
		return false
	}
	switch t := args[1]; {
	case t >= 0xa0 && t <= 0xbf, t == 0xda, t == 0xdb, t == 0xd9, t >= 0xc4 && t <= 0xc6:
		return true
	}
	return false
}

// KnownError passes an error on, with a category that the other side may not know
// replaced by 255 as the original does. Arguments that do not decode become a
// dispatch error.
func KnownError(args []byte) []byte {
	e, err := rpc.DecodeError(args)
	if err != nil {
		return rpc.AppendError(nil, rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err))
	}
	if idl.CategoryName(e.Category) == idl.CategoryName(idl.CategoryUnknown) {
		e.Category = idl.CategoryUnknown
	}
	return rpc.AppendError(nil, e)
}

// Discarded is what a client learns when its worker died: the transport's code, the
// original's text. err is what the worker's connection ended with, nil when its
// process ended first.
func Discarded(err error) *rpc.Error {
	e := *rpc.LostError(err)
	if code, ok := malformed(err); ok {
		e.Category, e.Code = idl.CategoryTransport, code
	}
	e.Message = "slave has been discarded"
	return &e
}

// malformed tells the code of input that ends a connection, if it was such that did.
func malformed(err error) (code int, ok bool) {
	switch {
	case errors.Is(err, wire.ErrMsgpack), errors.Is(err, wire.ErrTooDeep):
		return idl.TransportMsgpack, true
	case errors.Is(err, wire.ErrFraming), errors.Is(err, wire.ErrTooLarge):
		return idl.TransportFraming, true
	case errors.Is(err, hpack.ErrHeaders):
		return idl.TransportHeaders, true
	}
	return 0, false
}

// Refuse answers an enqueue, the frame f, with an error. What the client still
// sends on the channel is late. It returns what Accept has to return then.
//
// No worker gets to see a refused request. A client that asks for the story is told
// so: it may make the call again, which it may not after an error of the same code
// from a worker.
func Refuse(b *rpc.Batch, s *rpc.Session, channel uint64, f *rpc.Frame, e *rpc.Error) rpc.Receiver {
	if e.Category == idl.CategoryDispatch {
		s.Violation(b, channel, e)
		return nil
	}
	trace, _ := rpc.ParseTrace(f.Headers) // a bad one was a violation
	headers := trace.Append(nil)
	if _, story := hpack.Lookup(f.Headers, StoryHeader); story {
		headers = hpack.AppendLiterals(nil, append(trace.Headers(), hpack.Header{Name: RefusedHeader, Value: "1"}))
	}
	_ = s.Send(b, channel, idl.StreamError, rpc.AppendError(nil, e), headers)
	return nil
}

// ClientError is the answer to a client that sent a message that its stream does
// not take.
func ClientError(typ, channel uint64) *rpc.Error {
	if typ == idl.Write {
		return rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode arguments of write: want one byte string")
	}
	return rpc.Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "message %d is not allowed on channel %d", typ, channel)
}

// WorkerError is what a client gets of a worker that sent a message that its
// stream does not take.
func WorkerError(typ uint64) *rpc.Error {
	if typ == idl.Write {
		return rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "worker sent a malformed write")
	}
	return rpc.Errorf(idl.CategoryDispatch, idl.DispatchUnbound, "worker sent message %d on a request", typ)
}
