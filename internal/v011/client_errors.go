package v011

import (
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// The codes of errors that the v0.11 runtime itself sends. Workers and services may
// send any other.
const (
	invocationError = 1 // also whatever a method of a service fails with
	resourceError   = 2
	timeoutError    = 3
	deadlineError   = 4
)

// noHandler is what both frameworks of v0.11 say of an event without a handler.
const noHandler = -100

// oldCategory is of errors that are made for v0.11 clients: the code is the old one.
// No such category travels.
const oldCategory = -11

var errMethod = oldErrorf(invocationError, "unknown message type")

func oldErrorf(code int, format string, args ...any) *rpc.Error {
	return rpc.Errorf(oldCategory, code, format, args...)
}

func tooFew(want, have int) *rpc.Error {
	return oldErrorf(invocationError, "argument sequence length mismatch - expected at least %d, got %d", want, have)
}

var errArgument = oldErrorf(invocationError, "argument type mismatch")

// oldError is what an error of this runtime is to a v0.11 client.
type oldError struct {
	category, code int
	old            int
	text           string // "" for the error's own
}

// oldErrors are those whose code is not 1, or whose text was another. Errors of
// workers (categories 42, 43 and 255) keep their code, that of an event without a
// handler apart (docs/PROTOCOL.md, The v0.11 protocol).
var oldErrors = []oldError{
	{idl.CategoryDispatch, idl.DispatchUnbound, invocationError, "unknown message type"},
	{idl.CategoryOverseer, idl.OverseerQueueFull, resourceError, "the queue is full"},
	{idl.CategoryOverseer, idl.OverseerPoolFull, resourceError, "the pool is full"},
	{idl.CategoryNode, idl.NodeDeadline, deadlineError, ""},
	{idl.CategoryNode, idl.NodeNoResources, resourceError, ""},
	{idl.CategoryNode, idl.NodeWorkerTimeout, timeoutError, ""},
	{idl.CategoryNode, idl.NodeUnassigned, resourceError, ""},
	{idl.CategoryNode, idl.NodeNotRunning, resourceError, "the engine is not active"},
	{idl.CategoryGeneric, idl.GenericBrokenPipe, resourceError, "the engine is not active"},
	{idl.CategoryGeneric, idl.GenericTimeout, timeoutError, ""},
	// The worker died, its connection broke, or it was discarded.
	{idl.CategoryStream, idl.StreamEOF, resourceError, ""},
	{idl.CategorySocket, 104, resourceError, ""},
	{idl.CategorySocket, idl.SocketCanceled, resourceError, ""},
}

// toOld gives the code and the text of an error for a v0.11 client.
func toOld(e *rpc.Error) (code int, text string) {
	switch e.Category {
	case oldCategory, idl.CategoryWorker, idl.CategoryUser, idl.CategoryUnknown:
		return e.Code, e.Message
	}
	for i := range oldErrors {
		if o := &oldErrors[i]; o.category == e.Category && o.code == e.Code {
			if o.text != "" {
				return o.old, o.text
			}
			return o.old, e.Message
		}
	}
	return invocationError, e.Message
}

// appendError appends the error of a call.
func appendError(dst []byte, a answer, args []byte) []byte {
	e, err := rpc.DecodeError(args)
	if err != nil {
		e = oldErrorf(invocationError, "%v", err)
	}
	code, text := toOld(e)
	if e.Category == idl.CategoryWorker && e.Code == idl.WorkerNoHandler {
		code = noHandler // a v0.12 worker's way to say it; not in toOld, for what a client tells a worker is the client's
	}
	if a.method == nil || a.method.packing != rawStream {
		if e.Category == idl.CategoryDispatch && e.Code == idl.DispatchBadArgs {
			text = errArgument.Message
		}
	}
	if text == "" {
		text = idl.CodeText(e.Category, e.Code)
	}
	dst = appendHead(dst, errorMessage, a.session, 2)
	return msgpack.AppendString(msgpack.AppendInt(dst, int64(code)), text)
}
