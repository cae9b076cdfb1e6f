package rpc

import "sync"

// Output waits in chunks of two sizes: a small one, so that a connection with
// little to say costs little, and large ones behind it. Chunks that were written
// go back to a pool that all sessions share, so an idle connection holds none, and
// a busy one never copies what it has buffered to make room.
const (
	smallChunk = 4 << 10
	largeChunk = 64 << 10
)

// A chunk holds bytes r up to w of b. It is guarded by Session.mu, but for the
// bytes between r and w, which only the goroutine that is writing reads and nobody
// changes.
type chunk struct {
	next *chunk
	r, w int
	b    []byte
}

// chunkPools are the free chunks of one size each. The pools hold no state that
// anybody could see.
var (
	smallChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, smallChunk)} }}
	largeChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, largeChunk)} }}
)

func newChunk(large bool) *chunk {
	if large {
		return largeChunks.Get().(*chunk)
	}
	return smallChunks.Get().(*chunk)
}

func (c *chunk) free() {
	c.next, c.r, c.w = nil, 0, 0
	if len(c.b) == smallChunk {
		smallChunks.Put(c)
	} else {
		largeChunks.Put(c)
	}
}

// room is what still fits.
func (c *chunk) room() int { return len(c.b) - c.w }
