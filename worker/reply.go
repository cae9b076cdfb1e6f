package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Codes of category idl.CategoryWorker, as the frameworks of the original send
// them.
const (
	codeFailed    = 100 // the handler failed
	codeNoHandler = 200 // there is no handler for the event
)

// reply turns a handler's error into what its caller gets. An error with a code
// keeps it, and what was wrapped around it goes into the text.
func reply(err error) *cocaine.Error {
	if e, ok := err.(*cocaine.Error); ok {
		return e
	}
	if e, ok := errors.AsType[*cocaine.Error](err); ok {
		text := strings.TrimSuffix(err.Error(), fmt.Sprintf(" [%d, %d]", e.Category, e.Code))
		return &cocaine.Error{Category: e.Category, Code: e.Code, Message: text}
	}
	return &cocaine.Error{Category: idl.CategoryWorker, Code: codeFailed, Message: err.Error()}
}

// errGoexit is the failure of a handler that ended its goroutine.
var errGoexit = errors.New("handler ended its goroutine")

// guard calls a handler and makes a panic an error, with the stack in the log.
func (r *request) guard(call func() error) (err error) {
	err = errGoexit
	defer func() {
		if v := recover(); v != nil {
			r.run.log.Error("handler panicked", "event", r.event, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return call()
}

// finish sends the last message of a channel: its end, or the error.
func (r *request) finish(err error) error {
	if err == nil {
		return r.run.session.SendAll(r.channel, rpc.Outgoing{Type: idl.Close})
	}
	return r.run.session.SendAll(r.channel, rpc.Outgoing{Type: idl.StreamError, Args: rpc.AppendError(nil, reply(err))})
}

// tooLarge is the refusal of a chunk over Options.MaxChunk.
func tooLarge(n, limit int) error {
	return fmt.Errorf("chunk of %d bytes is too large: the limit is %d; send several", n, limit)
}

// gone is the cause of the end of a context whose caller is not there any more.
func gone(err error) error {
	if errors.Is(err, rpc.ErrClosed) || errors.Is(err, context.Canceled) {
		return ErrStopping
	}
	return cocaine.ErrDisconnected
}
