package tool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cocaine/cocaine-go"
)

// Code is an exit code. They are those of the original.
type Code int

// The exit codes, a contract with scripts.
const (
	OK          Code = 0
	Usage       Code = 2   // an option is missing, unknown or of the wrong kind
	Interrupted Code = 4   // by the user (EINTR)
	Invalid     Code = 22  // the value of an option cannot be used (EINVAL)
	Exclusive   Code = 64  // options that exclude each other (EX_USAGE)
	Failed      Code = 128 // everything else
)

// A failure is an error with an exit code and a next step. Zero values mean Failed
// and none.
type failure struct {
	err  error
	code Code
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usagef(format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), code: Usage}
}

func invalidf(format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), code: Invalid}
}

func hinted(err error, hint string, args ...any) error {
	return &failure{err: err, hint: fmt.Sprintf(hint, args...)}
}

// cannot is the error of what a command set out to do: "cannot <what>: <cause>",
// the cause in few words.
func cannot(err error, what string, args ...any) error {
	if f, ok := err.(*failure); ok {
		return f
	}
	what = fmt.Sprintf(what, args...)
	wrapped := fmt.Errorf("cannot %s: %w", what, &brief{inBrief(err), err})
	if _, ok := errors.AsType[*cocaine.ConnectError](err); ok {
		return hinted(wrapped, "--host and --port name the locator of another runtime")
	}
	return wrapped
}

// brief is an error told in fewer words.
type brief struct {
	text string
	err  error
}

func (b *brief) Error() string { return b.text }
func (b *brief) Unwrap() error { return b.err }

// inBrief leaves out through which layers an error came.
func inBrief(err error) string {
	if e, ok := errors.AsType[*cocaine.ResolveError](err); ok && errors.Is(err, cocaine.ErrServiceNotFound) {
		return fmt.Sprintf("this runtime has no service %q", e.Service)
	}
	if e, ok := errors.AsType[*cocaine.ConnectError](err); ok {
		return noConnection(e)
	}
	if e, ok := errors.AsType[*cocaine.CallError](err); ok && errors.Is(err, cocaine.ErrNoMethod) {
		return fmt.Sprintf("the service %q of this runtime has no method %q", e.Service, e.Method)
	}
	if e, ok := errors.AsType[*cocaine.Error](err); ok {
		return e.Error()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return err.Error()
}

// noConnection says who was tried, and why nobody is there.
func noConnection(e *cocaine.ConnectError) string {
	who := fmt.Sprintf("service %q", e.Service)
	if e.Service == "locator" {
		who = "the locator"
	}
	var tried []string
	for _, err := range e.Attempts {
		tried = append(tried, dialed(err))
	}
	return who + " is not reachable: " + strings.Join(tried, "; ")
}

func dialed(err error) string {
	e, ok := errors.AsType[*net.OpError](err)
	if !ok || e.Addr == nil {
		return err.Error()
	}
	cause := e.Err
	if call, ok := errors.AsType[*os.SyscallError](cause); ok {
		cause = call.Err
	}
	return fmt.Sprintf("%s: %v", e.Addr, cause)
}

// report prints an error and gives its exit code.
func (t *tool) report(err error) Code {
	code, hint := Failed, ""
	for e := err; ; {
		f, ok := errors.AsType[*failure](e)
		if !ok {
			break
		}
		if code == Failed && f.code != 0 {
			code = f.code
		}
		if hint == "" {
			hint = f.hint
		}
		e = f.err
	}
	text := capitalized(strings.TrimSpace(err.Error()))
	if t.errTerminal && t.color {
		text = paint(red, text)
	}
	if hint != "" {
		text += "\nhint: " + hint
	}
	fmt.Fprintln(t.env.Stderr, text)
	return code
}

// capitalized begins a text with a capital letter, as the original's messages do.
func capitalized(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[n:]
}
