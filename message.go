package cocaine

import (
	"errors"

	"github.com/cocaine/cocaine-go/internal/codec"
	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// A Message is one message received on a Stream. It belongs to the receiver.
type Message struct {
	Name    string // as the service's graph names it: value, write
	Args    Raw    // the arguments, an array
	Headers Headers
}

// Decode decodes the arguments into v, a non-nil pointer: a single argument as it
// is, several as an array, which a struct or a slice takes. Of no arguments v
// learns nothing. Anything else than a pointer is ErrBadArgument.
func (m Message) Decode(v any) error {
	if !decodable(v) {
		return errNoTarget
	}
	if s, ok := v.(shaped); ok {
		return readShaped(m.Args, s)
	}
	r := msgpack.NewReader(m.Args)
	n := r.Array()
	if err := r.Err(); err != nil {
		return err
	}
	switch n {
	case 0:
		return nil
	case 1:
		return Raw(r.Raw()).Decode(v)
	}
	return m.Args.Decode(v)
}

// Bytes gives the first argument, if it is raw, else nil: the chunk of an app as
// the app wrote it.
func (m Message) Bytes() []byte {
	b, err := codec.Chunk(m.Args)
	if err != nil {
		return nil
	}
	return b
}

// errManyChunks is an answer to Invoke that is none.
var errManyChunks = error(&kindError{errors.New("answer has more than one chunk"), ErrBadAnswer})
