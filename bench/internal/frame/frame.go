// Package frame reads and writes the frames of the protocol for the benchmark:
// msgpack arrays [channel, type, args, headers].
//
// It is written for the bare forwarder, so it does the least that is still
// right: it finds where a frame ends and reads its two leading integers; args
// and headers are passed on as the bytes they came in. The product has its own,
// complete implementation; the benchmark does not share it, so that a mistake
// or a slowness there cannot hide in the yardstick.
//
// Nothing here allocates, keeps state or is tied to a goroutine.
package frame

import (
	"encoding/binary"
	"errors"
)

// Message types that the benchmark meets. Their meaning depends on the channel
// and on its state; see PROTOCOL.md, "Standard upstream protocols".
const (
	Enqueue   = 0 // opens a call of an app; the worker sees the same frame as invoke
	Write     = 0 // a chunk of a stream
	StreamErr = 1 // ends a stream with an error
	Close     = 2 // ends a stream
	Value     = 0 // the answer of a plain method
	ValueErr  = 1 // its error

	Handshake = 0 // first frame of a worker, on ControlChannel
	Heartbeat = 0 // every later type 0 there
	Terminate = 1 // asks a worker to leave, and its acknowledgement
)

// ControlChannel is the channel a worker opens for handshake and heartbeats.
const ControlChannel = 1

// MaxFrame bounds one frame; a longer one is a broken peer.
const MaxFrame = 64 << 20

// maxDepth is the nesting the original decoder accepts, the frame included.
const maxDepth = 32

// ErrShort means that the buffer ends inside a frame: read more and try again.
var ErrShort = errors.New("incomplete frame")

// ErrBroken means that the bytes are not a frame; the connection is lost.
var ErrBroken = errors.New("malformed frame")

// Frame is one frame, aliasing the buffer it was read from.
type Frame struct {
	Channel uint64
	Type    uint64
	Lead    byte   // the array header as it came: three or four elements
	Rest    []byte // type, args and headers, verbatim: what a forwarder copies
	args    int    // where args start in Rest
}

// Args returns args and headers as they came.
func (f Frame) Args() []byte { return f.Rest[f.args:] }

// Next splits the frame at the start of b and returns its length.
func Next(b []byte) (Frame, int, error) {
	if len(b) < 5 { // the shortest frame has four bytes; five keep the reads below simple
		return short(b)
	}
	if b[0] != 0x94 && b[0] != 0x93 {
		return Frame{}, 0, ErrBroken
	}
	elements := int(b[0]&0x0f) - 2
	channel, i, err := uintAt(b, 1)
	if err != nil {
		return Frame{}, 0, err
	}
	start := i
	typ, i, err := uintAt(b, i)
	if err != nil {
		return Frame{}, 0, err
	}
	args := i - start
	for range elements {
		if i >= len(b) {
			return Frame{}, 0, ErrShort
		}
		// An empty array is the common headers; a list of one raw the common args.
		switch b[i] {
		case 0x90:
			i++
			continue
		case 0x91:
			if i, err = skip(b, i+1, 2); err != nil {
				return Frame{}, 0, err
			}
			continue
		}
		if b[i]&0xf0 != 0x90 && b[i] != 0xdc && b[i] != 0xdd {
			return Frame{}, 0, ErrBroken
		}
		if i, err = skip(b, i, 1); err != nil {
			return Frame{}, 0, err
		}
	}
	return Frame{Channel: channel, Type: typ, Lead: b[0], Rest: b[start:i], args: args}, i, nil
}

// short handles the tail of a buffer: a whole frame of four bytes or too little.
func short(b []byte) (Frame, int, error) {
	if len(b) > 0 && b[0] != 0x94 && b[0] != 0x93 {
		return Frame{}, 0, ErrBroken
	}
	if len(b) == 4 && b[0] == 0x93 && b[1] < 0x80 && b[2] < 0x80 && b[3] == 0x90 {
		return Frame{Channel: uint64(b[1]), Type: uint64(b[2]), Lead: b[0], Rest: b[2:4], args: 1}, 4, nil
	}
	return Frame{}, 0, ErrShort
}

// uintAt reads the non-negative integer at b[i] in any width.
func uintAt(b []byte, i int) (v uint64, next int, err error) {
	if i >= len(b) {
		return 0, 0, ErrShort
	}
	tag := b[i]
	if tag < 0x80 {
		return uint64(tag), i + 1, nil
	}
	i++
	var n int
	switch tag {
	case 0xcc, 0xd0:
		n = 1
	case 0xcd, 0xd1:
		n = 2
	case 0xce, 0xd2:
		n = 4
	case 0xcf, 0xd3:
		n = 8
	default:
		return 0, 0, ErrBroken
	}
	if len(b)-i < n {
		return 0, 0, ErrShort
	}
	if tag >= 0xd0 && b[i] >= 0x80 {
		return 0, 0, ErrBroken
	}
	switch n {
	case 1:
		v = uint64(b[i])
	case 2:
		v = uint64(binary.BigEndian.Uint16(b[i:]))
	case 4:
		v = uint64(binary.BigEndian.Uint32(b[i:]))
	default:
		v = binary.BigEndian.Uint64(b[i:])
	}
	return v, i + n, nil
}

// fixed holds the size of what follows the tags c0..df: -1 for tags that carry
// a length, -2 for tags the protocol refuses.
var fixed = [32]int8{
	0, -2, 0, 0, -1, -1, -1, -2, -2, -2, 4, 8, 1, 2, 4, 8,
	1, 2, 4, 8, -2, -2, -2, -2, -2, -1, -1, -1, -1, -1, -1, -1,
}

// skip returns the index after the value at b[i]; depth counts the containers
// around it.
func skip(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return 0, ErrShort
	}
	tag := b[i]
	i++
	switch {
	case tag < 0x80 || tag >= 0xe0:
		return i, nil
	case tag >= 0xa0 && tag < 0xc0:
		return advance(b, i, int(tag&0x1f))
	case tag < 0x90:
		return skipMany(b, i, 2*int(tag&0x0f), depth)
	case tag < 0xa0:
		return skipMany(b, i, int(tag&0x0f), depth)
	}
	switch n := fixed[tag-0xc0]; n {
	case -2:
		return 0, ErrBroken
	case -1:
		return skipSized(b, i, tag, depth)
	default:
		return advance(b, i, int(n))
	}
}

// skipSized skips raws, arrays and maps whose length follows the tag.
func skipSized(b []byte, i int, tag byte, depth int) (int, error) {
	var n int
	switch tag {
	case 0xc4, 0xd9:
		if len(b)-i < 1 {
			return 0, ErrShort
		}
		n, i = int(b[i]), i+1
	case 0xc5, 0xda, 0xdc, 0xde:
		if len(b)-i < 2 {
			return 0, ErrShort
		}
		n, i = int(binary.BigEndian.Uint16(b[i:])), i+2
	default:
		if len(b)-i < 4 {
			return 0, ErrShort
		}
		n, i = int(binary.BigEndian.Uint32(b[i:])), i+4
	}
	switch tag {
	case 0xdc, 0xdd:
		return skipMany(b, i, n, depth)
	case 0xde, 0xdf:
		return skipMany(b, i, 2*n, depth)
	}
	if n > MaxFrame {
		return 0, ErrBroken
	}
	return advance(b, i, n)
}

func skipMany(b []byte, i, n, depth int) (int, error) {
	if depth >= maxDepth || n > MaxFrame {
		return 0, ErrBroken
	}
	var err error
	for range n {
		if i, err = skip(b, i, depth+1); err != nil {
			return 0, err
		}
	}
	return i, nil
}

func advance(b []byte, i, n int) (int, error) {
	if len(b)-i < n {
		return 0, ErrShort
	}
	return i + n, nil
}

// AppendForward appends f on another channel, everything else verbatim.
func AppendForward(dst []byte, f Frame, channel uint64) []byte {
	dst = append(dst, f.Lead)
	dst = AppendUint(dst, channel)
	return append(dst, f.Rest...)
}

// AppendTail appends a whole frame of four elements whose type, args and headers
// are already encoded in tail.
func AppendTail(dst []byte, channel uint64, tail []byte) []byte {
	dst = append(dst, 0x94)
	dst = AppendUint(dst, channel)
	return append(dst, tail...)
}

// AppendUint appends a non-negative integer in its shortest form.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(dst, byte(v))
	case v <= 0xff:
		return append(dst, 0xcc, byte(v))
	case v <= 0xffff:
		return append(dst, 0xcd, byte(v>>8), byte(v))
	case v <= 0xffffffff:
		return append(dst, 0xce, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
}
