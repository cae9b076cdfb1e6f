package codec

import "sync"

// A Buffer is a byte slice that is used again. Its owner passes it on or frees it.
type Buffer struct{ B []byte }

// keep is the largest buffer kept: one large value must not hold memory for ever.
const keep = 64 << 10

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// NewBuffer gives an empty buffer.
func NewBuffer() *Buffer {
	b := buffers.Get().(*Buffer)
	b.B = b.B[:0]
	return b
}

// Free gives the buffer back. Nothing may refer to its bytes any more.
func (b *Buffer) Free() {
	if cap(b.B) <= keep {
		buffers.Put(b)
	}
}
