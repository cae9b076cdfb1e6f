package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cocaine/cocaine-go"
	"github.com/cocaine/cocaine-go/internal/idl"
)

// Code is an exit code.
type Code int

// The exit codes, a contract with scripts.
const (
	OK          Code = 0
	Failed      Code = 1
	Usage       Code = 2   // wrong flags or arguments
	NotFound    Code = 3   // no such app, event, service, file
	Conflict    Code = 4   // it is already so, or somebody else has it
	Unreachable Code = 5   // the runtime does not answer
	Timeout     Code = 6   // it took too long
	Denied      Code = 7   // no permission
	Interrupted Code = 130 // by the user
)

// A failure is an error with a next step and an exit code. Zero values are filled
// in from the error it wraps.
type failure struct {
	err  error
	hint string
	code Code
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// hinted adds a next step to an error, which must not be nil.
func hinted(err error, hint string, args ...any) error {
	return &failure{err: err, hint: fmt.Sprintf(hint, args...)}
}

// coded adds a next step and an exit code.
func coded(code Code, err error, hint string, args ...any) error {
	return &failure{err: err, hint: fmt.Sprintf(hint, args...), code: code}
}

// usage is the error of a wrong command line.
func usage(err error, hint string) error { return &failure{err: err, hint: hint, code: Usage} }

// cannot is the error of what a command set out to do: "cannot <what>: <cause>".
// The cause is cut down to what matters to a person; the whole chain stays there
// for errors.Is and errors.As. An error that says already what could not be done is
// passed on.
func cannot(err error, what string, args ...any) error {
	if f, ok := err.(*failure); ok {
		return f
	}
	return fmt.Errorf("cannot %s: %w", fmt.Sprintf(what, args...), inBrief(err))
}

// brief is an error told in fewer words.
type brief struct {
	text string
	err  error
}

func (b *brief) Error() string { return b.text }
func (b *brief) Unwrap() error { return b.err }

// inBrief leaves out through which layers an error came.
func inBrief(err error) error {
	if e, ok := errors.AsType[*cocaine.ConnectError](err); ok {
		return &brief{noConnection(e), err}
	}
	if e, ok := errors.AsType[*cocaine.Error](err); ok {
		return &brief{lastClause(e), err}
	}
	switch {
	case errors.Is(err, cocaine.ErrDisconnected):
		_, cause, _ := strings.Cut(err.Error(), cocaine.ErrDisconnected.Error())
		return &brief{cocaine.ErrDisconnected.Error() + cause, err}
	case errors.Is(err, context.DeadlineExceeded):
		return &brief{"no answer in time", err}
	case errors.Is(err, context.Canceled):
		return &brief{"interrupted", err}
	}
	return err
}

// noConnection says who was tried, and why nobody is there.
func noConnection(e *cocaine.ConnectError) string {
	who := fmt.Sprintf("service %q", e.Service)
	if e.Service == "locator" {
		who = "the runtime"
	}
	var tried []string
	for _, err := range e.Attempts {
		tried = append(tried, dialed(err))
	}
	return who + " is not reachable: " + strings.Join(tried, "; ")
}

// lastClause is the message of a remote error without "cannot start app "x":" in
// front, which the command says itself, and with its code.
func lastClause(e *cocaine.Error) string {
	text := e.Error()
	if head, rest, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(head, "cannot ") && strings.Contains(head, ` app "`) {
		return rest
	}
	return text
}

// report prints an error and gives its exit code.
func report(w io.Writer, err error) Code {
	text := strings.TrimSpace(err.Error())
	var hint string
	var code Code
	for e := err; e != nil; {
		f, ok := errors.AsType[*failure](e)
		if !ok {
			break
		}
		if hint == "" {
			hint = f.hint
		}
		if code == 0 {
			code = f.code
		}
		e = f.err
	}
	if code == 0 {
		code = classify(err)
	}
	if hint != "" {
		text += "\nhint: " + hint
	}
	fmt.Fprintln(w, text)
	return code
}

// classify finds the exit code of an error that does not name its own.
func classify(err error) Code {
	if _, ok := errors.AsType[*cocaine.ConnectError](err); ok {
		return Unreachable
	}
	if e, ok := errors.AsType[*cocaine.Error](err); ok {
		return classifyRemote(e)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrPermission):
		return Denied
	case errors.Is(err, syscall.EADDRINUSE):
		return Conflict
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, cocaine.ErrDisconnected):
		return Unreachable
	}
	return Failed
}

// classifyRemote finds the exit code of an error that a service reported.
func classifyRemote(e *cocaine.Error) Code {
	switch [2]int{e.Category, e.Code} {
	case [2]int{idl.CategoryLocator, idl.LocatorNotAvailable},
		[2]int{idl.CategoryGeneric, idl.GenericNotFound},
		[2]int{idl.CategoryNode, idl.NodeNotRunning},
		[2]int{idl.CategoryWorker, idl.WorkerNoHandler}, [2]int{idl.CategoryWorker, idl.WorkerNoEvent}:
		return NotFound
	case [2]int{idl.CategoryNode, idl.NodeAlreadyStarted}, [2]int{idl.CategoryGeneric, idl.GenericExists}:
		return Conflict
	case [2]int{idl.CategoryNode, idl.NodeDeadline}, [2]int{idl.CategoryNode, idl.NodeWorkerTimeout},
		[2]int{idl.CategoryGeneric, idl.GenericTimeout}:
		return Timeout
	case [2]int{idl.CategoryGeneric, idl.GenericDenied}, [2]int{idl.CategoryGeneric, idl.GenericNotPermitted}:
		return Denied
	}
	if e.Category == idl.CategorySecurity {
		return Denied
	}
	return Failed
}
