package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/logctx"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Codes of category idl.CategoryWorker, as the frameworks of the original send
// them.
const (
	codeFailed    = 100 // the handler failed
	codeNoHandler = 200 // there is no handler for the event
)

// reply turns a handler's error into what its caller gets. An error with a code
// keeps it, and what was wrapped around it goes into the text. Not so the error of a
// call that the handler made: that "no such service" is about another one.
func reply(err error) *cocaine.Error {
	switch e := err.(type) {
	case *cocaine.Error:
		return e
	case *RequestError:
		return e.Err
	}
	if _, ok := errors.AsType[*cocaine.PanicError](err); ok { // whatever the panic was about
		return &cocaine.Error{Category: idl.CategoryWorker, Code: codeFailed, Message: err.Error()}
	}
	if _, ok := errors.AsType[*cocaine.CallError](err); ok {
		return &cocaine.Error{Category: idl.CategoryWorker, Code: codeFailed, Message: err.Error()}
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
			e := newPanicError(v)
			r.run.log.LogAttrs(r, slog.LevelError, "handler panicked", append(r.attrs(), slog.Any("panic", v), slog.String("stack", string(e.Stack)))...)
			err = e
		}
	}()
	return call()
}

// logAttrs are what the log records of the request's context carry, besides those of
// the context that Run got.
func (r *request) logAttrs() logctx.Attrs {
	as := append(logctx.Attrs(nil), logctx.Of(r.run.base)...)
	as = append(as, slog.String("event", r.event), slog.Uint64("channel", r.channel))
	if app := r.run.opts.App; app != "" {
		as = append(as, slog.String("app", app))
	}
	if uuid := r.run.opts.UUID; uuid != "" {
		as = append(as, slog.String("worker", uuid))
	}
	return as
}

// attrs say in a log which request it is.
func (r *request) attrs() []slog.Attr {
	as := []slog.Attr{slog.String("event", r.event), slog.Uint64("channel", r.channel)}
	if t, err := rpc.ParseTrace(r.headers); err == nil && t.ID != 0 {
		as = append(as, slog.String("trace_id", fmt.Sprintf("%016x", t.ID)))
	}
	return as
}

// last is the last message of a channel: its end, or the error.
func last(err error) rpc.Outgoing {
	if err == nil {
		return rpc.Outgoing{Type: idl.Close}
	}
	return rpc.Outgoing{Type: idl.StreamError, Args: rpc.AppendError(nil, reply(err))}
}

// queue leaves messages for the crew to write.
func (r *request) queue(messages ...rpc.Outgoing) (waiting int) {
	waiting, err := r.run.session.Queue(r.channel, messages...)
	switch {
	case err != nil:
		r.run.log.Debug("answer dropped", "event", r.event, "cause", err)
	case waiting > maxUnwritten:
		r.run.session.Flush()
	}
	return waiting
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
