package cocaine

import (
	"fmt"
	"iter"
	"reflect"
)

// Mistakes of the program that are told as errors, all ErrBadArgument.
var (
	errNoService  = fmt.Errorf("%w: the service is not one of a client", ErrBadArgument)
	errNoContext  = fmt.Errorf("%w: the context is nil", ErrBadArgument)
	errNoStream   = fmt.Errorf("%w: the stream is not that of a call", ErrBadArgument)
	errNoFunction = fmt.Errorf("%w: the function is nil", ErrBadArgument)
	errNoFuture   = fmt.Errorf("%w: the future is not one of a function", ErrBadArgument)
	errNoSequence = fmt.Errorf("%w: the sequence is nil", ErrBadArgument)
	errNoPipe     = fmt.Errorf("%w: the end is not that of a pipe", ErrBadArgument)
	errNoTarget   = fmt.Errorf("%w: what to decode into is no pointer, or nil", ErrBadArgument)
)

// errNotCalled is the use of a stream that is not one of a call.
var errNotCalled = error(&CallError{Err: errNoStream})

// refuse gives a sequence of nothing but an error.
func refuse[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		yield(zero, err)
	}
}

// decodable reports whether something can be decoded into v.
func decodable(v any) bool {
	p := reflect.ValueOf(v)
	return p.Kind() == reflect.Pointer && !p.IsNil()
}
