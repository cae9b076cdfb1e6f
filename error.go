package cocaine

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
)

// Error is a failure that a service or a worker reported. Category and Code are
// the contract, Message is for people. errors.Is matches two of them by category
// and code alone.
type Error = rpc.Error

// CategoryUser is the category for codes that an app defines itself.
const CategoryUser = idl.CategoryUser

// Errorf makes an Error with a formatted message. A handler that returns one
// decides the code that its caller sees.
func Errorf(category, code int, format string, args ...any) *Error {
	return rpc.Errorf(category, code, format, args...)
}

// Errors of services that callers act upon.
var (
	// ErrServiceNotFound is the locator's answer to a name that nobody serves.
	ErrServiceNotFound error = &Error{Category: idl.CategoryLocator, Code: idl.LocatorNotAvailable}
	// ErrNotFound is what a service answers when the thing asked for is not
	// there, a key of the storage for one.
	ErrNotFound error = &Error{Category: idl.CategoryGeneric, Code: idl.GenericNotFound}
	// ErrQueueFull is the refusal of an app that has more requests waiting than
	// its profile allows.
	ErrQueueFull error = &Error{Category: idl.CategoryOverseer, Code: idl.OverseerQueueFull}
)

// Errors of this side.
var (
	// ErrNoMethod is a call of a method that the service does not have. Nothing
	// was sent.
	ErrNoMethod = errors.New("service has no such method")
	// ErrDisconnected is a call whose connection was lost before it was over. The
	// service may have done what it was asked.
	ErrDisconnected = errors.New("connection lost")
	// ErrClosed is a call on a Client or a Stream that was closed.
	ErrClosed = errors.New("client or stream is closed")
)

// ConnectError says that no endpoint of a service could be connected to.
type ConnectError struct {
	Service  string
	Attempts []error // one for each endpoint, in the order they were tried
}

// Error names the service and every attempt.
func (e *ConnectError) Error() string {
	texts := make([]string, len(e.Attempts))
	for i, err := range e.Attempts {
		texts[i] = err.Error()
	}
	return fmt.Sprintf("cannot connect to service %q: %s", e.Service, strings.Join(texts, "; "))
}

// Unwrap gives the attempts to errors.Is and errors.As.
func (e *ConnectError) Unwrap() []error { return e.Attempts }

// callError says which call failed. It formats only when it is read.
type callError struct {
	service, method string
	err             error
}

func (e *callError) Error() string {
	return fmt.Sprintf("cannot call %s.%s: %v", e.service, e.method, e.err)
}

func (e *callError) Unwrap() error { return e.err }

// lostError is the end of a connection as its calls see it. It is ErrDisconnected
// and whatever the network or the protocol said, but never io.EOF: a lost
// connection is not the end of a stream.
type lostError struct{ cause error }

func (e *lostError) Error() string {
	if e.cause == nil || e.cause == io.EOF {
		return ErrDisconnected.Error()
	}
	return fmt.Sprintf("%v: %v", ErrDisconnected, e.cause)
}

func (e *lostError) Is(target error) bool {
	return target == ErrDisconnected || target != io.EOF && errors.Is(e.cause, target)
}

func (e *lostError) As(target any) bool { return errors.As(e.cause, target) }

// lost gives the end of the link's session as an error of this package.
func (l *link) lost() error {
	err := l.session.Err()
	if errors.Is(err, rpc.ErrClosed) {
		return ErrClosed
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // rpc.ErrDisconnected and the cause
		parts := joined.Unwrap()
		err = parts[len(parts)-1]
	}
	return &lostError{err}
}

// isLost reports whether an error of package rpc is about the session.
func isLost(err error) bool {
	return errors.Is(err, rpc.ErrDisconnected) || errors.Is(err, rpc.ErrClosed)
}
