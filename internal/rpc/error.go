package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/cocaine/cocaine-go/internal/idl"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Error is a failure as it travels: [[category, code], message]
// (docs/PROTOCOL.md, Errors). Category and Code are the contract, Message is for
// people.
type Error struct {
	Category int
	Code     int
	Message  string
}

// Errorf makes an Error with a formatted message.
func Errorf(category, code int, format string, args ...any) *Error {
	return &Error{Category: category, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error gives the message followed by the category and code.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s [%d, %d]", idl.CodeText(e.Category, e.Code), e.Category, e.Code)
	}
	return fmt.Sprintf("%s [%d, %d]", e.Message, e.Category, e.Code)
}

// Is reports whether target is an *Error with the same category and code, or
// ErrPermission and the error one of those that it stands for.
func (e *Error) Is(target error) bool {
	if target == ErrPermission {
		return e.denies()
	}
	t, ok := target.(*Error)
	return ok && t.Category == e.Category && t.Code == e.Code
}

// denies reports whether the error says that the caller may not do what it wants.
func (e *Error) denies() bool {
	switch e.Category {
	case idl.CategorySecurity:
		return e.Code == idl.SecurityUnauthorized || e.Code == idl.SecurityDenied
	case idl.CategoryGeneric:
		return e.Code == idl.GenericDenied
	}
	return false
}

// ErrPermission is the refusal of a caller that has given no identity, or one that
// may not do this: [9, 2], [9, 3] and [12, 13].
var ErrPermission = errors.New("permission denied: call with a token that may do this (Options.Token, CallOptions.Token), or have it granted to the one that you have")

var (
	// ErrClosed is the end of a session that this side closed.
	ErrClosed = errors.New("session is closed")
	// ErrDisconnected is the end of a session that the peer or the network
	// closed. The cause is wrapped beside it.
	ErrDisconnected = errors.New("disconnected")
	// ErrStalled is the cause of the end of a session whose peer took no byte for
	// SessionOptions.Stall.
	ErrStalled = errors.New("peer stopped reading")
	// ErrTooManyChannels refuses a channel over SessionOptions.Channels.
	ErrTooManyChannels = errors.New("too many open channels")
)

// AsError is the one funnel from Go errors to coded ones. An *Error in the chain
// is returned as it is; what the platform names gets the code that the original
// used (generic errno, category 12); a session that is over is [7, 3]; everything
// else is [12, 22].
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	code := syscall.EINVAL
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code = syscall.ENOENT
	case errors.Is(err, fs.ErrPermission):
		code = syscall.EACCES
	case errors.Is(err, fs.ErrExist):
		code = syscall.EEXIST
	case errors.Is(err, context.DeadlineExceeded):
		code = syscall.ETIMEDOUT
	case errors.Is(err, context.Canceled):
		code = syscall.ECANCELED
	case errors.Is(err, ErrDisconnected), errors.Is(err, ErrClosed):
		return &Error{Category: idl.CategoryDispatch, Code: idl.DispatchNotConnected, Message: err.Error()}
	}
	return &Error{Category: idl.CategoryGeneric, Code: int(code), Message: err.Error()}
}

// badArgs is the answer to arguments that do not decode.
func badArgs(method string, err error) *Error {
	return Errorf(idl.CategoryDispatch, idl.DispatchBadArgs, "cannot decode arguments of %s: %v", method, err)
}

// BadArgs is the error a method returns for arguments that do not decode.
func BadArgs(c *Call, err error) error { return badArgs(c.Method.Name, err) }

// AppendError appends the arguments of an error message.
func AppendError(b []byte, e *Error) []byte {
	b = msgpack.AppendArray(b, 2)
	b = msgpack.AppendArray(b, 2)
	b = msgpack.AppendInt(b, int64(e.Category))
	b = msgpack.AppendInt(b, int64(e.Code))
	return msgpack.AppendString(b, e.Message)
}

// DecodeError reads the arguments of an error message. The message is optional,
// nil included: it is for people, and no reason to lose the code.
func DecodeError(args []byte) (*Error, error) {
	r := msgpack.NewReader(args)
	n := r.Array()
	if r.Err() == nil && n < 1 {
		return nil, errors.New("cannot decode error: no arguments")
	}
	if m := r.Array(); r.Err() == nil && m < 2 {
		return nil, fmt.Errorf("cannot decode error: code has %d elements, want 2", m)
	}
	e := &Error{Category: int(r.Int()), Code: int(r.Int())}
	if n > 1 && r.Kind() != msgpack.KindNil {
		e.Message = r.String()
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("cannot decode error: %w", err)
	}
	return e, nil
}

// lostError is what the end of a session looks like to the channels it carried:
// the transport codes of the original (2 end of file, 104 reset, 125 cancelled).
func lostError(cause error) *Error {
	switch {
	case cause == nil, errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF):
		return &Error{Category: idl.CategoryStream, Code: 2, Message: "End of file"}
	case errors.Is(cause, syscall.ECONNRESET), errors.Is(cause, syscall.EPIPE):
		return &Error{Category: idl.CategorySocket, Code: int(syscall.ECONNRESET), Message: "Connection reset by peer"}
	default:
		return &Error{Category: idl.CategorySocket, Code: int(syscall.ECANCELED), Message: "Operation canceled"}
	}
}

// LostError gives the coded form of the error a session ended with.
func LostError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return lostError(err)
}
