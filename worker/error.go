package worker

import (
	"errors"
	"runtime/debug"

	"github.com/cocaine/cocaine-go"
)

var (
	// ErrNoEndpoint is the end of a worker that no runtime started and that was told
	// not to stand alone.
	ErrNoEndpoint = errors.New("this program is a worker of a Cocaine app, and no runtime started it\nhint: run it with cocaine dev")
	// ErrDisowned is the end of a worker whose runtime did not answer heartbeats
	// for Options.Disown.
	ErrDisowned = errors.New("disowned: the runtime does not answer heartbeats")
	// ErrStopping is the cause of the end of the context of a handler that was
	// still at work when the worker's time to stop was up.
	ErrStopping = errors.New("worker is stopping")
	// ErrTimeout is the cause of the end of the context of a handler that has used
	// up the time that Timeout gave it. Its caller gets [12, 110], timed out.
	ErrTimeout = errors.New("handler has used up its time")
)

// errNotMade is a Worker that New did not make.
var errNotMade = errors.New("the worker is not one of New")

// A RequestError says that the caller ended its half of a stream with an error and
// not with an end, or that it gave up or went away later. Err tells its code, [5, 2] for a
// caller that went away.
type RequestError struct {
	Err *cocaine.Error // never nil
}

// Error reads: caller ended the request: CAUSE. A handler that returns it gives its
// caller the cause alone, which is what that has sent.
func (e *RequestError) Error() string { return "caller ended the request: " + e.Err.Error() }

// Unwrap gives the caller's error to errors.Is and errors.As.
func (e *RequestError) Unwrap() error { return e.Err }

// newPanicError is called by a deferred function that has recovered.
func newPanicError(v any) *cocaine.PanicError {
	return &cocaine.PanicError{Value: v, Stack: debug.Stack()}
}
