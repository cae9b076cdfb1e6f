package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
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

// A failure is an error with a next step and an exit code.
type failure struct {
	err  error
	hint string
	code Code
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// hinted adds a next step to an error.
func hinted(err error, hint string, args ...any) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, hint: fmt.Sprintf(hint, args...)}
}

// usage is the error of a wrong command line.
func usage(err error, hint string) error { return &failure{err: err, hint: hint, code: Usage} }

// report prints an error and gives its exit code.
func report(w io.Writer, err error) Code {
	text := strings.TrimSpace(err.Error())
	if rest, ok := strings.CutPrefix(text, "unknown command "); ok {
		text = "cannot run " + rest // the words of the cobra package
		err = usage(err, "cocaine help")
	}
	fmt.Fprintln(w, text)
	var code Code
	for e := err; e != nil; {
		f, ok := errors.AsType[*failure](e)
		if !ok {
			break
		}
		if f.hint != "" {
			fmt.Fprintln(w, "hint: "+f.hint)
		}
		if code == 0 {
			code = f.code
		}
		e = f.err
	}
	if code == 0 {
		code = classify(err)
	}
	return code
}

// classify finds the exit code of an error that does not name its own.
func classify(err error) Code {
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
	case errors.Is(err, syscall.ECONNREFUSED):
		return Unreachable
	}
	return classifyRemote(err)
}
