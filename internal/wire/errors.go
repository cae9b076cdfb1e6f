package wire

import (
	"errors"
	"fmt"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// Why a frame does not parse. All but ErrShort end the connection: where the next frame begins is unknown.
var (
	// ErrShort: the frame is incomplete so far.
	ErrShort = msgpack.ErrShort
	// ErrFraming: a well-formed value that is no frame.
	ErrFraming = errors.New("bad frame")
	// ErrMsgpack: bytes that are not msgpack.
	ErrMsgpack = msgpack.ErrMalformed
	// ErrTooLarge: the frame is, or claims to be, larger than the limit.
	ErrTooLarge = errors.New("frame too large")
	// ErrTooDeep: containers nested deeper than the limit.
	ErrTooDeep = msgpack.ErrTooDeep
)

// Error says where in a frame parsing failed. It wraps one of the errors above.
type Error struct {
	Offset int    // byte position in the frame
	Err    error  // the cause
	Detail string // may be empty
}

// Error implements error.
func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("cannot parse frame: %v at byte %d", e.Err, e.Offset)
	}
	return fmt.Sprintf("cannot parse frame: %v at byte %d: %s", e.Err, e.Offset, e.Detail)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
