package wire

import "github.com/cocaine/cocaine-go/internal/msgpack"

// Frame is one message on a channel.
type Frame struct {
	Channel uint64
	Type    uint64
	Args    []byte // the whole args array as encoded; aliases the buffer it was parsed from
	Headers []byte // the whole headers array, nil when the frame has only three elements or nil in their place; aliases likewise
}

const (
	frameOf3   = 0x93
	frameOf4   = 0x94
	emptyArray = 0x90
)

// AppendFrame appends f with all four elements. Nil Args and nil Headers become empty arrays.
func AppendFrame(dst []byte, f Frame) []byte {
	dst = AppendHead(dst, f.Channel, f.Type)
	return appendArray(appendArray(dst, f.Args), f.Headers)
}

// AppendHead appends the beginning of a frame; the caller appends the args array and the headers array.
func AppendHead(dst []byte, channel, typ uint64) []byte {
	return msgpack.AppendUint(msgpack.AppendUint(append(dst, frameOf4), channel), typ)
}

func appendArray(dst, array []byte) []byte {
	if array == nil {
		return append(dst, emptyArray)
	}
	return append(dst, array...)
}
