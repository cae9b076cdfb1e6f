package cocaine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/rpc"
	"github.com/cocaine/cocaine-go/internal/wire"
)

// Error is a failure that a service or a worker reported:
//
//	type Error struct {
//		Category, Code int
//		Message        string
//	}
//	func (e *Error) Error() string        // MESSAGE [CATEGORY, CODE]
//	func (e *Error) Is(target error) bool // of the same category and code
//
// Category and Code are the contract, Message is for people. errors.Is matches two
// of them by category and code alone. docs/PROTOCOL.md, Errors, lists the codes.
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
	// ErrPermission is a service's refusal of a caller that has given no identity,
	// [9, 2], or one that may not do this, [9, 3] and [12, 13]. Options.Token and
	// CallOptions.Token say who calls. errors.Is matches any of the three.
	ErrPermission = rpc.ErrPermission
)

// Errors of this side.
var (
	// ErrNoMethod is a call of a method that the service does not have. Nothing
	// was sent.
	ErrNoMethod = errors.New("service has no such method")
	// ErrNoMessage is a message that the service's graph does not let the caller
	// send: a chunk to a method that takes none. Nothing was sent.
	ErrNoMessage = errors.New("method does not take this message")
	// ErrDisconnected is a call whose connection was lost before it was over. The
	// service may have done what it was asked. The error is a *DisconnectedError.
	ErrDisconnected = errors.New("connection lost")
	// ErrClosed is a call on a Client or a Stream that was closed. It is
	// net.ErrClosed, too.
	ErrClosed error = closedError{}
	// ErrBadArgument is a mistake of the program: an argument that has no form in
	// msgpack, an unknown content type, a handle that no Client made, a nil context or
	// function, options that cannot be used. Nothing was sent.
	ErrBadArgument = errors.New("bad argument")
	// ErrBadAnswer is an answer of another shape than was asked for. It has come,
	// and the service has done what it was asked.
	ErrBadAnswer = errors.New("bad answer")
	// ErrTooLarge is a message over Options.MaxFrame. One that this side would
	// have sent was not; one that came in has cost the connection.
	ErrTooLarge = wire.ErrTooLarge
)

// CallError says which call failed; what the functions of this package return is
// one of these, but for the bare io.EOF at the end of a stream. It wraps the cause.
type CallError struct {
	Service, Method string // of a call of an app's event the method is the event
	Err             error
}

// Error reads: cannot call SERVICE.METHOD: CAUSE. Of a call that was itself to resolve
// a name it is the cause alone, which says so. Of a refusal for want of an identity it
// says what to do.
func (e *CallError) Error() string {
	if _, ok := e.Err.(*ResolveError); ok && e.Service == locatorName {
		return e.Err.Error()
	}
	text := fmt.Sprintf("cannot call %s.%s: %v", e.Service, e.Method, e.Err)
	if errors.Is(e.Err, errUnauthorized) {
		text += "; Options.Token or CallOptions.Token gives one"
	}
	return text
}

// errUnauthorized is the refusal of a caller that has given no identity.
var errUnauthorized = &Error{Category: idl.CategorySecurity, Code: idl.SecurityUnauthorized}

// Unwrap gives the cause.
func (e *CallError) Unwrap() error { return e.Err }

// ResolveError says that a locator did not find a service, or not in time. If
// nobody serves the name, it wraps ErrServiceNotFound.
type ResolveError struct {
	Service string // the name that was asked for
	Locator string // the address of the locator that was asked; "" if none could be
	Err     error
}

// Error names the service and the cause.
func (e *ResolveError) Error() string {
	if errors.Is(e.Err, ErrServiceNotFound) { // what the locator says names the service again
		return fmt.Sprintf("cannot resolve service %q: nobody serves it [%d, %d]", e.Service, idl.CategoryLocator, idl.LocatorNotAvailable)
	}
	return fmt.Sprintf("cannot resolve service %q: %v", e.Service, e.Err)
}

// Unwrap gives the cause.
func (e *ResolveError) Unwrap() error { return e.Err }

// ConnectError says that no endpoint of a service could be connected to. It wraps
// what the dialer said of each: syscall.ECONNREFUSED, *net.DNSError,
// context.DeadlineExceeded.
type ConnectError struct {
	Service  string  // its name
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

// VersionError says that a service speaks another version of its protocol than
// CallOptions.Version wants. Nothing was sent.
type VersionError struct {
	Service   string // its name
	Want, Got int    // versions of its protocol
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("service %q has version %d, want %d", e.Service, e.Got, e.Want)
}

// DisconnectedError is the end of a connection as its calls see it. It is
// ErrDisconnected and whatever the network or the protocol said, but never io.EOF:
// a lost connection is not the end of a stream.
type DisconnectedError struct {
	Service  string // its name
	Endpoint string // host:port
	Err      error  // io.EOF if the other side closed it
}

// Error says what ended the connection, if it was more than its end. The name of
// the service is in the CallError around it.
func (e *DisconnectedError) Error() string {
	if e.Err == nil || e.Err == io.EOF {
		return ErrDisconnected.Error()
	}
	return fmt.Sprintf("%v: %v", ErrDisconnected, e.Err)
}

// Is matches ErrDisconnected and the cause.
func (e *DisconnectedError) Is(target error) bool {
	return target == ErrDisconnected || target != io.EOF && errors.Is(e.Err, target)
}

// As gives the cause to errors.As.
func (e *DisconnectedError) As(target any) bool { return errors.As(e.Err, target) }

// closedError is ErrClosed.
type closedError struct{}

func (closedError) Error() string        { return "client or stream is closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }

// errHalfClosed is what is sent after CloseSend or Fail.
var errHalfClosed error = halfClosedError{}

type halfClosedError struct{}

func (halfClosedError) Error() string {
	return "no more can be sent: this side of the stream is closed"
}
func (halfClosedError) Is(target error) bool { return target == io.ErrClosedPipe }

// kindError is an error that is also another one, which says of what kind it is.
// It reads as the former.
type kindError struct{ err, kind error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }

// ended gives the error of a context that has ended. If it has a cause of its own,
// it is that as well as context.Canceled or context.DeadlineExceeded.
func ended(ctx context.Context) error {
	cause, err := context.Cause(ctx), ctx.Err()
	if cause == nil || cause == err || errors.Is(cause, err) {
		return cmp.Or(cause, err)
	}
	return &kindError{cause, err}
}

// lost gives the end of the link's session as an error of this package.
func (l *link) lost() error {
	err := l.session.Err()
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case l.dropped.Load():
		err = errSilent
	case errors.Is(err, rpc.ErrClosed):
		return ErrClosed
	case ok: // rpc.ErrDisconnected and the cause
		parts := joined.Unwrap()
		err = parts[len(parts)-1]
	}
	return &DisconnectedError{Service: l.service, Endpoint: l.endpoint, Err: err}
}

// errSilent is why a connection was dropped.
var errSilent = errors.New("it did not answer in time")

// isLost reports whether an error of package rpc is about the session.
func isLost(err error) bool {
	return errors.Is(err, rpc.ErrDisconnected) || errors.Is(err, rpc.ErrClosed)
}
