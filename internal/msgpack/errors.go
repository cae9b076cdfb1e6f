package msgpack

import (
	"errors"
	"fmt"
)

// The causes of decoding failures. Match them with errors.Is.
var (
	// ErrShort: the input ends inside a value. More bytes may complete it.
	ErrShort = errors.New("incomplete msgpack value")
	// ErrMalformed: a byte that starts no value of the dialect (ext, 0xc1).
	ErrMalformed = errors.New("malformed msgpack")
	// ErrTooDeep: containers nested deeper than the limit.
	ErrTooDeep = errors.New("msgpack nested too deep")
	// ErrType: a valid value of another type than the caller asked for.
	ErrType = errors.New("unexpected msgpack type")
	// ErrRange: an integer that does not fit the type the caller asked for.
	ErrRange = errors.New("msgpack integer out of range")
)

// Error says where in the input decoding failed. It wraps one of ErrMalformed, ErrTooDeep, ErrType and ErrRange.
type Error struct {
	Offset int    // byte position of the offending value in the input
	Err    error  // the cause
	Detail string // what was wanted and found, may be empty
}

// Error implements error.
func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%v at byte %d", e.Err, e.Offset)
	}
	return fmt.Sprintf("%v at byte %d: %s", e.Err, e.Offset, e.Detail)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func malformed(offset int, tag byte) *Error {
	return &Error{Offset: offset, Err: ErrMalformed, Detail: fmt.Sprintf("tag 0x%02x", tag)}
}
