package v011

import (
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// fromWorkerError is what an error of a v0.11 worker, [code, text], is to everybody
// else: one of the category that v0.12 has for what workers say, with the code as it
// is. 1 is a handler that failed, 2 one that can never work, -100 an event without a
// handler; any other the handler has chosen, and these it may have chosen too.
func fromWorkerError(args []byte) *rpc.Error {
	r := msgpack.NewReader(args)
	r.Array()
	code, text := r.Int(), r.String()
	if r.Err() != nil {
		return rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "worker sent a malformed error")
	}
	return &rpc.Error{Category: idl.CategoryWorker, Code: int(code), Message: text}
}

// appendWorkerError appends an error of this runtime, or of a client that it passes
// on, for a v0.11 worker: [code, text], the same that a v0.11 client gets of it.
func appendWorkerError(dst, args []byte) []byte {
	e, err := rpc.DecodeError(args)
	if err != nil {
		e = rpc.Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "%v", err)
	}
	code, text := toOld(e)
	return msgpack.AppendString(msgpack.AppendInt(msgpack.AppendArray(dst, 2), int64(code)), text)
}
