package cocaine

import (
	"context"
	"errors"
	"io"
	"slices"
)

// An Outcome is how a call went, in a word: a label of a metric.
type Outcome int

// The outcomes.
const (
	OutcomeOK          Outcome = iota // the answer has come
	OutcomeError                      // the service, or the handler of a worker, answered with an error
	OutcomeTimeout                    // the caller's time was up
	OutcomeCanceled                   // the caller gave up: it cancelled the context, closed the stream or the client, or panicked
	OutcomeUnavailable                // nobody serves the name, nobody answers there, or the connection was lost
	OutcomeInvalid                    // the two do not fit: no such method, another version, a bad argument or answer
	outcomes
)

// String gives the word: ok, error, timeout, canceled, unavailable, invalid.
func (o Outcome) String() string {
	switch o {
	case OutcomeOK:
		return "ok"
	case OutcomeError:
		return "error"
	case OutcomeTimeout:
		return "timeout"
	case OutcomeCanceled:
		return "canceled"
	case OutcomeUnavailable:
		return "unavailable"
	case OutcomeInvalid:
		return "invalid"
	}
	return "unknown"
}

// OutcomeOf tells the outcome from the error that a call returned. io.EOF, the end
// of an answer, is OutcomeOK.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil, unwrapCall(err) == io.EOF:
		return OutcomeOK
	case isAny(err, ErrClosed, context.Canceled), isA[*PanicError](err):
		return OutcomeCanceled
	case isAny(err, ErrBadArgument, ErrBadAnswer, ErrNoMethod, ErrNoMessage, ErrTooLarge), isA[*VersionError](err):
		return OutcomeInvalid
	case errors.Is(err, ErrDisconnected), isA[*ConnectError](err), isA[*ResolveError](err):
		return OutcomeUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return OutcomeTimeout
	}
	return OutcomeError
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
