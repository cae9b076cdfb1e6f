package codec

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cocaine/cocaine-go/internal/msgpack"
)

// chunkHead is room for the longest head of a chunk: an array of one, a raw32.
const chunkHead = 1 + 5

// EncodeChunk encodes v as the arguments of a write message: an array that holds
// one raw, which holds the value. It writes over buf, growing it if needed, and
// returns it along with the arguments, which are a part of it: the head is put
// right before the value, so that nothing moves.
func (f Format) EncodeChunk(buf []byte, v any) (args, grown []byte, err error) {
	buf = append(buf[:0], make([]byte, chunkHead)...)
	buf, err = f.Append(buf, v)
	if err != nil {
		return nil, buf, err
	}
	n := len(buf) - chunkHead
	if n > math.MaxUint32 {
		return nil, buf, fmt.Errorf("cannot encode %T: %d bytes do not fit a chunk", v, n)
	}
	var head [chunkHead]byte
	h := append(head[:0], 0x91)
	switch {
	case n < 32:
		h = append(h, 0xa0|byte(n))
	case n <= math.MaxUint16:
		h = binary.BigEndian.AppendUint16(append(h, 0xda), uint16(n))
	default:
		h = binary.BigEndian.AppendUint32(append(h, 0xdb), uint32(n))
	}
	start := chunkHead - len(h)
	copy(buf[start:], h)
	return buf[start:], buf, nil
}

// Chunk gives the bytes in the arguments of a write message. They alias args.
func Chunk(args []byte) ([]byte, error) {
	r := msgpack.NewReader(args)
	if n := r.Array(); n < 1 && r.Err() == nil {
		return nil, fmt.Errorf("cannot read chunk: no arguments")
	}
	b := r.Bytes()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("cannot read chunk: %w", err)
	}
	return b, nil
}
